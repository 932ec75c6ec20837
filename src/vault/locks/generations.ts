/**
 * The rule of locks (docs/format.md, "Lock generations"): until when an object is locked, and when that is made longer. Pure; times
 * are instants, a lock holds until just before its end.
 */

const DAY_MS = 86_400_000;
/** Time is cut into generations of 30 days, counted from 1970: an object's lock is looked at once in each. */
export const GENERATION_MS = 30 * DAY_MS;

const generationOf = (at: Date) => Math.floor(at.getTime() / GENERATION_MS);
/** The end of the generation that is so many after the one of `now`. */
const endAfter = (now: Date, generations: number) => new Date((generationOf(now) + generations + 1) * GENERATION_MS);
const earlier = (a: Date, b: Date) => (a < b ? a : b);

/** No lock ends later than this: at most 90 days ahead. What is locked by mistake, or by a thief, is free again after that. */
export const lockHorizon = (now: Date): Date => endAfter(now, 2);

/**
 * What a point that is locked until `lockUntil` demands of all it refers to, from its acknowledgement on: a lock to its end, or to
 * the end of the next generation. Whoever looks once in each generation is then never late.
 */
export const lockDemanded = (lockUntil: Date, now: Date): Date => earlier(lockUntil, endAfter(now, 1));

/**
 * What a pack or bundle is locked to when it is put, or extended: the end of the generation in which the lock of its point ends, so
 * that a point of the next days which refers to it too finds it locked. A generation longer than demanded costs nothing, and halves
 * the calls where locks are long.
 */
function lockOfShared(lockUntil: Date, now: Date): Date {
  const rounded = new Date(Math.ceil(lockUntil.getTime() / GENERATION_MS) * GENERATION_MS);
  return earlier(rounded, lockHorizon(now));
}

/** A root belongs to one point alone: it is locked as long as the point, so that the point can go at once when that has ended. */
const lockOfRoot = (lockUntil: Date, now: Date): Date => earlier(lockUntil, lockHorizon(now));

/** What an object is locked for: a root for its own point, everything else for all that come to refer to it. */
export type Lockable = 'root' | 'shared';

export const lockTarget = (what: Lockable, lockUntil: Date, now: Date): Date =>
  what === 'root' ? lockOfRoot(lockUntil, now) : lockOfShared(lockUntil, now);

/** The lock that a new object is put with; undefined: none, because its point is not locked, or no longer. */
export function lockOfNew(what: Lockable, pointLockUntil: Date | null | undefined, now: Date): Date | undefined {
  return pointLockUntil && pointLockUntil > now ? lockTarget(what, pointLockUntil, now) : undefined;
}

/** May an object whose lock ends then be deleted now? */
export const isLocked = (lockedUntil: Date | null, now: Date): boolean => lockedUntil !== null && lockedUntil > now;

/** Blocks that a pack of a real disk holds, by measurement: 16 MiB of blocks that compress to two fifths. */
const PACK_BLOCKS = 80;
const BLOCKS_PER_NODE = 524_288;
const BLOCK_BYTES = 524_288;

/** Objects of a full volume that compresses as most do: its packs, and two bundles for each of its nodes. */
export function objectsOfVolume(volumeBytes: number): number {
  const blocks = Math.ceil(volumeBytes / BLOCK_BYTES);
  return Math.ceil(blocks / PACK_BLOCKS) + 2 * Math.ceil(blocks / BLOCKS_PER_NODE);
}

/**
 * Calls a day, on average, that keep objects locked which every day's new point refers to: in a generation one look at each, and one
 * extension; in every second one where locks are of more than 60 days.
 */
export function renewalsPerDay(objects: number, lockDays: number): { looks: number; extensions: number } {
  const days = GENERATION_MS / DAY_MS;
  const generations = lockDays > 2 * days ? 2 : 1;
  return { looks: Math.ceil(objects / days), extensions: Math.ceil(objects / (days * generations)) };
}
