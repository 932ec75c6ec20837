import type { Fault } from '../../src/core/faults.ts';
import type { Intercept, PortCall } from './ports.ts';

/** How a call goes wrong. `hang`: it is never answered, and its caller is ended. */
export type Mode = 'before' | 'after' | 'hang' | 'torn';
export const MODES: readonly Mode[] = ['before', 'after', 'hang', 'torn'];

/** Only the n-th call goes wrong, or that and all after it. */
export type Reach = 'once' | 'sticky';

/** A process that never got its answer: it is gone. */
export class Ended extends Error {}

async function goWrong<T>({ effect, torn, failure }: PortCall<T>, mode: Mode, end: (gone: Ended) => void): Promise<T> {
  if (mode === 'torn' && torn) return torn();
  if (mode !== 'before') await effect().catch(() => {});
  if (mode !== 'hang') throw failure() as Fault;
  end(new Ended('It was never answered.'));
  return new Promise<never>(() => {});
}

/**
 * Counts calls, and lets the `limit`-th go wrong. `ended` rejects when a call hangs: whoever waits for the work waits for this, too.
 */
export function createNthCall(limit: number, mode: Mode, reach: Reach) {
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {}); // Most runs end by themselves.
  let calls = 0;
  const intercept: Intercept = (call) => {
    calls += 1;
    const isWrong = calls === limit || (reach === 'sticky' && calls > limit);
    return isWrong ? goWrong(call, mode, ended.reject) : call.effect();
  };
  return { intercept, ended: ended.promise, calls: () => calls, wasMet: () => calls >= limit };
}
