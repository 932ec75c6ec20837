import { type Clock, systemClock } from '../../core/clock.ts';
import { Fault, isFault } from '../../core/faults.ts';
import { rootKey, type VolumeScope } from '../layout.ts';
import type { VaultDeps } from '../manifest.ts';
import { isLocked } from '../locks/generations.ts';
import { mapInOrder } from '../pipeline.ts';
import type { LockReader } from '../ports.ts';
import { type Garbage, isLockable } from './condemned.ts';
import { createJudge, scan, survey, type Tally } from './judge.ts';
import { type Marks, markVolume } from './mark.ts';
import type { VolumeState } from './state.ts';
import { planSweep, type Sweep, type SweepInput } from './sweep.ts';

/** Locks that are asked for at once. */
const LOOKS_AT_ONCE = 16;

/** What is to happen to a volume's objects, complete: executing it takes no further decision. Plain data, fit to be shown first. */
export type CollectionPlan = {
  volumeId: string;
  plannedAt: string;
  /** All that the volume has, and what of it the kept points and open runs need. */
  stored: Tally;
  needed: Tally;
  rootsToDelete: readonly string[];
  condemn: readonly Garbage[];
  sweep: Sweep;
};

/** The ends of the locks of these objects; one that is gone has none. */
async function locksOf(locks: LockReader | undefined, keys: readonly string[]): Promise<Map<string, Date>> {
  const ends = new Map<string, Date>();
  if (!locks) return ends;
  const look = async (key: string) => {
    const until = await locks.lockedUntil(key).catch((error: unknown) => {
      if (isFault(error, 'object_missing')) return null;
      throw error;
    });
    if (until) ends.set(key, until);
  };
  for await (const _ of mapInOrder(keys.filter(isLockable), LOOKS_AT_ONCE, look));
  return ends;
}

function refuseMissing(marks: Marks): void {
  const lost = marks.missing();
  if (!lost) return;
  throw new Fault('object_missing', 'A kept recovery point needs an object that is not there: nothing is deleted.', {
    facts: { volumeId: marks.volumeId, ...lost },
  });
}

/**
 * Works out what becomes of a volume's objects: which are garbage from now on, and which of those condemned earlier can go. Reads,
 * and deletes nothing; writers go on meanwhile. Two lists are read with the caller's answer between them: a run that the
 * first does not show is not judged, and of every run that it shows the caller knows whether it is open or what became of it.
 *
 * @param readState is asked once, after the first list
 * @throws Fault of the reason when a manifest to keep cannot be read in full, or an object that one needs is missing: nothing
 *   may go where something is damaged
 */
export async function planCollection(
  deps: VaultDeps & { clock?: Clock; locks?: LockReader },
  scope: VolumeScope,
  readState: () => Promise<VolumeState>,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<CollectionPlan> {
  const { volumeId } = scope;
  const seen = await survey(deps.store, volumeId);
  const state = await readState();
  const now = (deps.clock ?? systemClock).now();
  const openRoots = state.openRunIds.filter((id) => seen.rootRunIds.has(id)).map((id) => rootKey(volumeId, id));
  // A point is whole or not there: what a locked root refers to stays with it.
  const lockedRoots = [...(await locksOf(deps.locks, state.deletedRoots))].flatMap(([key, until]) =>
    isLocked(until, now) ? [key] : [],
  );
  const kept = [...state.kept, { volumeId, manifestKeys: [...openRoots, ...lockedRoots] }];
  const marks = await markVolume(deps, { ...scope, kept }, options);
  const found = await scan(deps.store, volumeId, createJudge({ seen, state, marks, now }));
  refuseMissing(marks);
  const listed = [...state.doomed, ...state.condemnations.flatMap(({ objects }) => objects)];
  const condemned = new Set(listed.map(({ key }) => key));
  const input: SweepInput = {
    ...state,
    volumeId,
    needs: (key) => marks.needs(key),
    openRunIds: new Set(state.openRunIds),
    now,
    packsAllowed: Number.POSITIVE_INFINITY,
    lockedUntil: new Map(),
  };
  const ripe = planSweep(input).delete.map(({ key }) => key);
  const lockedUntil = await locksOf(deps.locks, ripe);
  return {
    volumeId,
    plannedAt: now.toISOString(),
    stored: found.stored,
    needed: found.needed,
    rootsToDelete: found.roots,
    condemn: found.garbage.filter(({ key }) => !condemned.has(key)),
    sweep: planSweep({ ...input, lockedUntil, packsAllowed: state.packsAllowed(found.stored.packs) }),
  };
}
