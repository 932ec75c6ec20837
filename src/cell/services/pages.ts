import { Fault } from '../../core/faults.ts';
import { pepperedHash, sameHash } from '../credentials.ts';

export type PageQuery = { limit: number; cursor?: string | undefined };
export type Page<T> = { items: T[]; nextCursor: string | null };

/** One list: whose, which, with which filters, and how to read on after the row with a given sort key. */
export type Listing<Row> = {
  tenantId: string;
  name: string;
  filters?: Record<string, string | undefined>;
  keyOf: (row: Row) => string;
  load: (after: string | null, limit: number) => Promise<Row[]>;
};

const MAC_BYTES = 16;

/**
 * Pages of lists. A cursor is the sort key of the last row under a MAC over tenant, list and filters, so it can be
 * neither made up nor moved to another list; it does not expire, because it names no state of ours.
 */
export function createPages(pepper: Uint8Array) {
  const macOf = (label: string, key: string) =>
    pepperedHash(pepper, 'cursor', `${label}\n${key}`).subarray(0, MAC_BYTES);

  const readCursor = (label: string, cursor: string): string => {
    const bytes = Buffer.from(cursor, 'base64url');
    const key = bytes.subarray(MAC_BYTES).toString('utf8');
    if (sameHash(macOf(label, key), bytes.subarray(0, MAC_BYTES))) return key;
    const detail = 'is not a cursor of this list with these filters';
    throw new Fault('invalid_request', 'The cursor does not belong to this list.', {
      violations: [{ pointer: '?cursor', detail }],
    });
  };

  return async function page<Row>(query: PageQuery, listing: Listing<Row>): Promise<Page<Row>> {
    const label = JSON.stringify([listing.tenantId, listing.name, listing.filters ?? {}]); // undefined ones vanish
    const after = query.cursor === undefined ? null : readCursor(label, query.cursor);
    const rows = await listing.load(after, query.limit + 1);
    const items = rows.slice(0, query.limit);
    const last = items.at(-1);
    if (rows.length <= query.limit || last === undefined) return { items, nextCursor: null };
    const key = listing.keyOf(last);
    const nextCursor = Buffer.concat([macOf(label, key), Buffer.from(key)]).toString('base64url');
    return { items, nextCursor };
  };
}

export type Paginate = ReturnType<typeof createPages>;

/** A page's rows as views. */
export function mapPage<Row, View>(page: Page<Row>, view: (row: Row) => View): Page<View> {
  return { items: page.items.map(view), nextCursor: page.nextCursor };
}
