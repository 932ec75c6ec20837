import { type Lockable, lockDemanded, lockTarget } from './generations.ts';

/** An object that a locked point refers to, and until when that point is locked. */
export type LockNeed = { key: string; what: Lockable; lockUntil: Date };

/** One call: the lock of this object is to end then, and no earlier. */
export type LockExtension = { key: string; until: Date };

/** Of several points that need the same object the one that is locked longest counts. */
function longest(needs: Iterable<LockNeed>): LockNeed[] {
  const byKey = new Map<string, LockNeed>();
  for (const need of needs) {
    const known = byKey.get(need.key);
    if (!known || known.lockUntil < need.lockUntil) byKey.set(need.key, need);
  }
  return [...byKey.values()];
}

/**
 * Which locks are to be made longer now, and to when. An object that unlocks before what its point demands (docs/format.md) is
 * extended; the soonest to unlock come first. Needs of points whose lock has ended count for nothing. Pure.
 *
 * @param ends when each object's lock ends now; an object without a lock is null or not there
 */
export function planExtensions(
  needs: Iterable<LockNeed>,
  ends: ReadonlyMap<string, Date | null>,
  now: Date,
): LockExtension[] {
  const endOf = (key: string) => ends.get(key)?.getTime() ?? 0;
  return longest(needs)
    .filter(({ key, lockUntil }) => lockUntil > now && endOf(key) < lockDemanded(lockUntil, now).getTime())
    .map(({ key, what, lockUntil }) => ({ key, until: lockTarget(what, lockUntil, now) }))
    .toSorted((a, b) => endOf(a.key) - endOf(b.key));
}
