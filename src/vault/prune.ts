import { type Clock, systemClock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { timeOfId } from '../core/ids.ts';
import {
  type AttemptRef,
  bundleKey,
  keyObjectKey,
  packKey,
  packKeyName,
  rootKey,
  rootsPrefix,
  runOfObject,
  runOfRootKey,
  type VolumeScope,
  volumePrefix,
} from './layout.ts';
import {
  createManifestReader,
  type Manifest,
  type ManifestReader,
  type RootPlace,
  type VaultDeps,
} from './manifest.ts';
import { type ContainerRef, objectRefOf } from './places.ts';
import { assertNotAborted } from './pipeline.ts';
import type { BlobStore } from './ports.ts';

/**
 * Belt and braces. A run that has no root and is newer than every committed one may be under way without the caller's
 * knowledge: its objects are left alone until it is this old by its id. (After a later run has committed they can go: runs
 * of one volume follow each other.) An id that does not tell its age counts as new.
 */
export const SAFETY = { unknownRunAgeMs: 24 * 3_600_000 } as const;

export type PruneInput = VolumeScope & {
  /** Manifests of the points to keep, and of whatever a run in progress builds on. */
  manifestKeysToKeep: readonly string[];
  /** Runs in progress, or whose end is not recorded yet: whatever they stored stays, their root included. */
  openRunIds: readonly string[];
};

/** What is to be deleted, complete: executing it takes no further decision. Plain data, fit to be shown first. */
export type PrunePlan = {
  volumeId: string;
  rootsKept: readonly string[];
  rootsToDelete: readonly string[];
  /** Bundles, then packs, then keys, that nothing kept refers to. */
  objectsToDelete: readonly string[];
  bytesToDelete: number;
  bytesKept: number;
};

type Listed = { key: string; sizeBytes: number; runId: string };

async function listVolume(store: BlobStore, volumeId: string): Promise<Listed[]> {
  const objects: Listed[] = [];
  for await (const { key, sizeBytes } of store.list(volumePrefix(volumeId))) {
    const runId = runOfObject(volumeId, key);
    if (runId !== null) objects.push({ key, sizeBytes, runId }); // A stranger's object is not ours to delete.
  }
  return objects;
}

/** The names of everything that these manifests need. A page that several share is read once. */
async function referencedBy(
  manifests: readonly Manifest[],
  reader: ManifestReader,
  { volumeId }: VolumeScope,
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  const needed = new Set<string>();
  const seen = new Set<string>();
  const needKey = (ref: AttemptRef, key: string) => needed.add(keyObjectKey(volumeId, ref, key));
  const needBundle = (ref: RootPlace) => {
    needed.add(bundleKey(volumeId, ref));
    needKey(ref, 'index');
  };
  const needPack = (pack: ContainerRef) => {
    if (pack.volumeId !== volumeId) return;
    needed.add(packKey(volumeId, objectRefOf(pack)));
    needKey(pack, packKeyName(pack.ordinal));
  };
  /** Is this the first time that the page at this place is met? */
  const isNew = (bundle: string, slot: number) => {
    const size = seen.size;
    return seen.add(`${bundle}#${slot}`).size > size;
  };
  async function needNode(node: RootPlace): Promise<void> {
    for (const [number, ref] of await reader.node(node)) {
      const bundle = objectRefOf(ref.bundle);
      if (!isNew(bundleKey(volumeId, bundle), ref.slot)) continue;
      assertNotAborted(signal);
      needed.add(bundleKey(volumeId, bundle));
      needKey(bundle, 'index');
      for (const { pack } of (await reader.leaf(number, ref)).values()) needPack(pack);
    }
  }
  for (const manifest of manifests) {
    needed.add(rootKey(volumeId, manifest.runId));
    needKey(manifest, 'index');
    const inventories = [manifest.inventory, ...manifest.resumed];
    for (const place of [...inventories.flatMap(({ pages }) => pages), ...manifest.nodes]) needBundle(place);
    for (const node of manifest.nodes) if (isNew(bundleKey(volumeId, node), node.slot)) await needNode(node);
  }
  return needed;
}

/** May this run, which has no root, be one that the caller does not know of yet? */
function createNewcomerCheck(rootRunIds: readonly string[], now: Date) {
  const newest = rootRunIds.toSorted().at(-1) ?? '';
  return (runId: string): boolean => {
    if (runId <= newest) return false;
    const started = timeOfId(runId);
    return started === null || now.getTime() - started.getTime() < SAFETY.unknownRunAgeMs;
  };
}

const ORDER = ['checkpoints', 'index', 'packs', 'keys'];
const orderOf = (volumeId: string, key: string) =>
  ORDER.indexOf(key.slice(volumePrefix(volumeId).length).split('/')[0] ?? '');

/**
 * Works out what of a volume can go. Reads, and deletes nothing. The caller must hold off new runs of the volume from the
 * moment it makes its two lists until the plan is executed, or name them as open.
 *
 * @throws Fault of the reason when a manifest to keep cannot be read in full: what it needs is then unknown, so nothing may go
 */
export async function planPrune(
  deps: VaultDeps & { clock?: Clock },
  input: PruneInput,
  options: { signal?: AbortSignal } = {},
): Promise<PrunePlan> {
  const { volumeId } = input;
  const reader = createManifestReader(deps, input);
  const objects = await listVolume(deps.store, volumeId);
  const open = new Set(input.openRunIds);
  const roots = objects.filter(({ key }) => key.startsWith(rootsPrefix(volumeId)));
  const openRoots = roots.filter(({ runId }) => open.has(runId)).map(({ key }) => key);
  const rootsKept = [...new Set([...input.manifestKeysToKeep, ...openRoots])].toSorted();
  const manifests: Manifest[] = [];
  for (const key of rootsKept) manifests.push(await reader.root(key));
  const needed = await referencedBy(manifests, reader, input, options.signal);

  const now = (deps.clock ?? systemClock).now();
  const isNewcomer = createNewcomerCheck(
    roots.map(({ runId }) => runId),
    now,
  );
  const goes = ({ key, runId }: Listed) => !needed.has(key) && !open.has(runId) && !isNewcomer(runId);
  const going = objects.filter(goes);
  const isRoot = ({ key }: Listed) => key.startsWith(rootsPrefix(volumeId));
  const bytes = (some: readonly Listed[]) => some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    volumeId,
    rootsKept,
    rootsToDelete: going.filter(isRoot).map(({ key }) => key),
    objectsToDelete: going
      .filter((object) => !isRoot(object))
      .map(({ key }) => key)
      .toSorted((a, b) => orderOf(volumeId, a) - orderOf(volumeId, b)),
    bytesToDelete: bytes(going),
    bytesKept: bytes(objects) - bytes(going),
  };
}

/**
 * Deletes what a plan names: roots first, so that a point is whole or not there at all, then what they alone needed. A crash
 * leaves garbage and no broken point; planning and executing again removes the rest.
 *
 * @throws Fault `conflict` when a point was committed since the plan was made: plan again. Faults of the store.
 */
export async function executePrune(plan: PrunePlan, store: BlobStore): Promise<void> {
  await store.delete(plan.rootsToDelete);
  const known = new Set([...plan.rootsKept, ...plan.rootsToDelete]);
  for await (const { key } of store.list(rootsPrefix(plan.volumeId))) {
    if (!known.has(key))
      throw new Fault('conflict', 'A recovery point was added while its volume was being pruned. Plan again.', {
        facts: { runId: runOfRootKey(plan.volumeId, key) },
      });
  }
  await store.delete(plan.objectsToDelete);
}
