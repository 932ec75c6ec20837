import { Fault, type FaultCode } from '../core/faults.ts';
import type { Progress } from './ports.ts';

/** How a caller ends a long run, and hears of it. */
export type RunOptions = { signal?: AbortSignal; onProgress?: (progress: Progress) => void };

/** Throws the reason of an aborted signal: the Fault it was aborted with, else Fault `aborted`. */
export function assertNotAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  if (signal.reason instanceof Fault) throw signal.reason;
  throw new Fault('aborted', 'The job was aborted.', { cause: signal.reason });
}

/** Why work ends early, as data. */
export type StopReason = { code: FaultCode; message: string };

/** Tells `stop` once when the signal is aborted, and why; what is returned ends the listening. */
export function onAbort(signal: AbortSignal | undefined, stop: (reason: StopReason) => void): () => void {
  const tell = () => {
    const { reason } = signal ?? {};
    stop(reason instanceof Fault ? reason : { code: 'aborted', message: 'The job was aborted.' });
  };
  if (signal?.aborted) tell();
  else signal?.addEventListener('abort', tell, { once: true });
  return () => signal?.removeEventListener('abort', tell);
}

/**
 * Works on up to `window` items at a time and gives the results in the order of the items. At most `window` results exist at
 * once, finished or not, so a slow item holds the others back instead of filling memory. On an error, or when the consumer
 * leaves, the work in flight is awaited first: nothing goes on behind the caller's back.
 */
export async function* mapInOrder<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  window: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const flying: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      result.catch(() => {}); // It is awaited below, in turn: until then a failure is not an unhandled one.
      flying.push(result);
      if (flying.length < window) continue;
      const first = flying.shift();
      if (first) yield await first;
    }
    for (let first = flying.shift(); first; first = flying.shift()) yield await first;
  } finally {
    await Promise.allSettled(flying);
  }
}

/** How many items of a listing are looked at before the first is worked on, to learn the total early. */
const PEEK_ITEMS = 65_536;

/**
 * A listing and, when it is short, its length: a progress bar then knows its end from the start. A longer listing streams,
 * and its length is known at its end.
 */
export async function countAhead<T>(
  items: AsyncIterable<T>,
): Promise<{ items: AsyncIterable<T>; total: () => number | null }> {
  const rest = items[Symbol.asyncIterator]();
  const head: T[] = [];
  let next = await rest.next();
  for (; !next.done && head.length < PEEK_ITEMS; next = await rest.next()) head.push(next.value);
  let total: number | null = next.done ? head.length : null;
  async function* all(): AsyncGenerator<T> {
    try {
      yield* head.splice(0);
      let count = PEEK_ITEMS;
      for (; !next.done; next = await rest.next()) {
        count += 1;
        yield next.value;
      }
      total ??= count;
    } finally {
      await rest.return?.();
    }
  }
  return { items: all(), total: () => total };
}
