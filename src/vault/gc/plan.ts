import { type Clock, systemClock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { timeOfId } from '../../core/ids.ts';
import { rootKey, type VolumeScope, volumePrefix } from '../layout.ts';
import type { VaultDeps } from '../manifest.ts';
import type { BlobStore } from '../ports.ts';
import { type Condemnation, type Garbage, isPack } from './condemned.ts';
import { type KeptRoots, type Marks, markVolume } from './mark.ts';
import { objectNameOf } from './object-name.ts';
import { planSweep, type Sweep } from './sweep.ts';

/**
 * Belt and braces. A run that has no root and is newer than every committed one may be under way without the caller's
 * knowledge: its objects are left alone until it is this old by its id. (After a later run has committed they can go: runs
 * of one volume follow each other.) An id that does not tell its age counts as new.
 */
export const SAFETY = { unknownRunAgeMs: 24 * 3_600_000 } as const;

/** What the caller knows of a volume, at one instant. */
export type VolumeState = {
  /** The roots that stay: of every point that is kept, and of whatever open runs and later ones build on. */
  kept: readonly KeptRoots[];
  /** Roots of points that were deleted: they go at once. */
  deletedRoots: readonly string[];
  /** Runs that have not ended: whatever they stored stays, and what their roots need. */
  openRunIds: readonly string[];
  condemnations: readonly Condemnation[];
  /** What an earlier collection has decided to delete, and may have deleted. */
  doomed: readonly Garbage[];
  /** The longest that a job of the tenant has taken so far. */
  longestJobMs: number;
  /** Packs of the volume that may be deleted now, given how many it has. */
  packsAllowed: (packs: number) => number;
};

/** What is to happen to a volume's objects, complete: executing it takes no further decision. Plain data, fit to be shown first. */
export type CollectionPlan = {
  volumeId: string;
  plannedAt: string;
  /** All that the volume has, and what of it the kept points and open runs need. */
  stored: { objects: number; packs: number; bytes: number };
  needed: { objects: number; packs: number; bytes: number };
  rootsToDelete: readonly string[];
  condemn: readonly Garbage[];
  sweep: Sweep;
};

/** Runs that a volume has objects of, and its roots. */
type Survey = { runIds: ReadonlySet<string>; rootRunIds: ReadonlySet<string>; newest: string };

async function survey(store: BlobStore, volumeId: string): Promise<Survey> {
  const runIds = new Set<string>();
  const rootRunIds = new Set<string>();
  for await (const { key } of store.list(volumePrefix(volumeId))) {
    const name = objectNameOf(volumeId, key);
    if (name) runIds.add(name.runId);
    if (name?.kind === 'roots') rootRunIds.add(name.runId);
  }
  return { runIds, rootRunIds, newest: [...rootRunIds].toSorted().at(-1) ?? '' };
}

type Judgement = 'needed' | 'deleted_root' | 'garbage' | 'stranger';

/** What an object is, by its name, the marks and what is known of its run. Pure. */
function createJudge(known: { seen: Survey; state: VolumeState; marks: Marks; now: Date }) {
  const { seen, state, marks, now } = known;
  const open = new Set(state.openRunIds);
  const deleted = new Set(state.deletedRoots);
  const mayBeNew = (runId: string) => {
    if (!seen.runIds.has(runId)) return true; // It began after the caller was asked.
    if (runId <= seen.newest) return false;
    const started = timeOfId(runId);
    return started === null || now.getTime() - started.getTime() < SAFETY.unknownRunAgeMs;
  };
  return (key: string): Judgement => {
    const name = objectNameOf(marks.volumeId, key);
    if (!name) return 'stranger';
    if (marks.needs(key) || open.has(name.runId)) return 'needed';
    if (deleted.has(key)) return 'deleted_root';
    return mayBeNew(name.runId) ? 'needed' : 'garbage';
  };
}

type Found = Pick<CollectionPlan, 'stored' | 'needed'> & { roots: string[]; garbage: Garbage[] };

async function scan(store: BlobStore, volumeId: string, judge: (key: string) => Judgement): Promise<Found> {
  const none = () => ({ objects: 0, packs: 0, bytes: 0 });
  const found = { stored: none(), needed: none(), roots: new Array<string>(), garbage: new Array<Garbage>() };
  const count = (sum: Found['stored'], { key, sizeBytes }: Garbage) => {
    sum.objects += 1;
    sum.bytes += sizeBytes;
    if (isPack(key)) sum.packs += 1;
  };
  for await (const object of store.list(volumePrefix(volumeId))) {
    const { key, sizeBytes } = object;
    const judgement = judge(key);
    if (judgement === 'stranger') continue;
    count(found.stored, object);
    if (judgement === 'needed') count(found.needed, object);
    if (judgement === 'deleted_root') found.roots.push(key);
    if (judgement === 'garbage') found.garbage.push({ key, sizeBytes });
  }
  return found;
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
  deps: VaultDeps & { clock?: Clock; lockedUntilMs?: (key: string) => number },
  scope: VolumeScope,
  readState: () => Promise<VolumeState>,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<CollectionPlan> {
  const { volumeId } = scope;
  const seen = await survey(deps.store, volumeId);
  const state = await readState();
  const now = (deps.clock ?? systemClock).now();
  const lockedUntilMs = deps.lockedUntilMs ?? (() => 0);
  const openRoots = state.openRunIds.filter((id) => seen.rootRunIds.has(id)).map((id) => rootKey(volumeId, id));
  // A point is whole or not there: what a locked root refers to stays with it.
  const lockedRoots = state.deletedRoots.filter((key) => lockedUntilMs(key) > now.getTime());
  const kept = [...state.kept, { volumeId, manifestKeys: [...openRoots, ...lockedRoots] }];
  const marks = await markVolume(deps, { ...scope, kept }, options);
  const found = await scan(deps.store, volumeId, createJudge({ seen, state, marks, now }));
  refuseMissing(marks);
  const listed = [...state.doomed, ...state.condemnations.flatMap(({ objects }) => objects)];
  const condemned = new Set(listed.map(({ key }) => key));
  return {
    volumeId,
    plannedAt: now.toISOString(),
    stored: found.stored,
    needed: found.needed,
    rootsToDelete: found.roots,
    condemn: found.garbage.filter(({ key }) => !condemned.has(key)),
    sweep: planSweep({
      volumeId,
      condemnations: state.condemnations,
      doomed: state.doomed,
      needs: (key) => marks.needs(key),
      openRunIds: new Set(state.openRunIds),
      now,
      longestJobMs: state.longestJobMs,
      packsAllowed: state.packsAllowed(found.stored.packs),
      lockedUntilMs,
    }),
  };
}
