import { isFault } from '../../core/faults.ts';
import { mapInOrder } from '../pipeline.ts';
import type { LockReader } from '../ports.ts';

const LOOKS_AT_ONCE = 32;

/**
 * When the locks of these objects end, for who decides what may go: milliseconds since 1970 by name, 0 for one that has no lock, is not
 * there, or was not asked about.
 *
 * @throws Fault `store_unavailable`
 */
export async function lockEnds(locks: LockReader, keys: Iterable<string>): Promise<(key: string) => number> {
  const ends = new Map<string, number>();
  const look = async (key: string) => {
    const end = await locks.lockedUntil(key).catch((error: unknown) => {
      if (isFault(error, 'object_missing')) return null;
      throw error;
    });
    if (end) ends.set(key, end.getTime());
  };
  for await (const _ of mapInOrder(keys, LOOKS_AT_ONCE, look));
  return (key) => ends.get(key) ?? 0;
}
