import { timeOfId } from '../../core/ids.ts';
import { volumePrefix } from '../layout.ts';
import type { BlobStore } from '../ports.ts';
import { type Garbage, isPack } from './condemned.ts';
import type { Marks } from './mark.ts';
import { objectNameOf } from './object-name.ts';
import type { VolumeState } from './state.ts';

/**
 * Belt and braces. A run that has no root and is newer than every committed one may be under way without the caller's
 * knowledge: its objects are left alone until it is this old by its id. (After a later run has committed they can go: runs
 * of one volume follow each other.) An id that does not tell its age counts as new.
 */
export const SAFETY = { unknownRunAgeMs: 24 * 3_600_000 } as const;

/** Runs that a volume has objects of, and its roots. */
type Survey = { runIds: ReadonlySet<string>; rootRunIds: ReadonlySet<string>; newest: string };

export async function survey(store: BlobStore, volumeId: string): Promise<Survey> {
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
export function createJudge(known: { seen: Survey; state: VolumeState; marks: Marks; now: Date }) {
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

/** So many objects, packs among them. */
export type Tally = { objects: number; packs: number; bytes: number };
type Found = { stored: Tally; needed: Tally; roots: string[]; garbage: Garbage[] };

/** Goes through all objects of a volume. Keeps the names of garbage and of nothing else. */
export async function scan(store: BlobStore, volumeId: string, judge: (key: string) => Judgement): Promise<Found> {
  const none = () => ({ objects: 0, packs: 0, bytes: 0 });
  const found = { stored: none(), needed: none(), roots: new Array<string>(), garbage: new Array<Garbage>() };
  const count = (sum: Tally, { key, sizeBytes }: Garbage) => {
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
