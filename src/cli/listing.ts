import type { Answer, Api, Operation, QueryOf } from './api-client.ts';

type Page = { items: unknown[]; nextCursor: string | null };
/** The operations that answer page by page. */
export type ListOperation = { [O in Operation]: Answer<O> extends Page ? O : never }[Operation];
export type ItemOf<O extends ListOperation> = Answer<O> extends { items: (infer I)[] } ? I : never;

/** The first items of a list, and whether the service has more. */
export type Listing<T> = { items: T[]; more: boolean };

const PAGE_ITEMS_MAX = 1000;

/** Reads pages until `limit` items are there or the list ends. */
export async function listItems<O extends ListOperation>(
  api: Api,
  operation: O,
  limit: number,
  filters?: QueryOf<O>,
): Promise<Listing<ItemOf<O>>> {
  const items: ItemOf<O>[] = [];
  for (let cursor: string | undefined; ; ) {
    const query = { ...filters, limit: Math.min(PAGE_ITEMS_MAX, limit - items.length), cursor };
    const page = (await api.call(operation, { query: query as unknown as QueryOf<O> })) as Page;
    items.push(...(page.items as ItemOf<O>[]));
    if (page.nextCursor === null || items.length >= limit) return { items, more: page.nextCursor !== null };
    cursor = page.nextCursor;
  }
}
