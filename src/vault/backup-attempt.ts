import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { fromHex, sha256, toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { FORMAT } from '../crypto/object-key.ts';
import { type BackupInput, type BackupPlan, type BackupResult, committedRun, resultOf } from './backup-plan.ts';
import { type BundleWriter, createBundleWriter, PAGE } from './bundle-writer.ts';
import { createDedupIndex, DEDUP_PAGES_MAX, type DedupIndex, type StoredPacks } from './dedup.ts';
import { createInventory } from './inventory.ts';
import { type BackupLane, createLane } from './lane.ts';
import { allPacks, copyInLanes } from './lanes.ts';
import { type AttemptRef, contextOf, packsPrefix, rootKey, rootsPrefix, runOfRootKey } from './layout.ts';
import { lockOfNew } from './locks/generations.ts';
import {
  createManifestReader,
  type Manifest,
  type ManifestReader,
  type RootPlace,
  rootPlaceOf,
  sealRoot,
} from './manifest.ts';
import { createManifestWriter } from './manifest-writer.ts';
import { createPackWriter, type PackNumbers } from './pack-writer.ts';
import { assertNotAborted, countAhead, type RunOptions } from './pipeline.ts';
import type { ContainerRef, PagePlace } from './places.ts';
import type { BlobStore, KeyRecipient, KeyService } from './ports.ts';
import { type AttemptKeys, createAttemptKeys } from './run-keys.ts';

export type AttemptDeps = {
  store: BlobStore;
  keys: KeyService;
  recipients?: readonly KeyRecipient[];
  clock: Clock;
  random: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor;
  checkAll?: boolean;
  openLanes?: OpenLanes;
  tuning?: Tuning;
};

/** Sizes that tests make small, so that a small volume has many packs and looks at what earlier runs stored. */
export type Tuning = { packBytes?: number; changesPerDedupPage?: number };

const ID_KEY_BYTES = 32;
/** One page of earlier blocks is looked at for so many changes: a small run does not read a large index. */
const CHANGES_PER_DEDUP_PAGE = 1_024;

async function namesOf(store: BlobStore, prefix: string): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for await (const { key } of store.list(prefix)) names.add(key);
  return names;
}

/** Fills in what earlier runs of the volume stored, newest first, as far as it pays. A page that does not read is no loss. */
async function loadKnown(
  { store, tuning }: AttemptDeps,
  earlier: Earlier,
  changes: number | null,
  volumeId: string,
): Promise<DedupIndex> {
  const { manifest, reader } = earlier;
  const known = createDedupIndex();
  if (!manifest) return known;
  const changesPerPage = tuning?.changesPerDedupPage ?? CHANGES_PER_DEDUP_PAGE;
  const pages = Math.min(DEDUP_PAGES_MAX, Math.floor((changes ?? Number.MAX_SAFE_INTEGER) / changesPerPage));
  const listed = new Map<string, Promise<ReadonlySet<string>>>();
  const storedPacks: StoredPacks = (attempt) => {
    const prefix = packsPrefix(volumeId, attempt);
    const names = listed.get(prefix) ?? namesOf(store, prefix);
    listed.set(prefix, names);
    return names;
  };
  for (const ref of manifest.dedup.slice(0, pages)) {
    const bytes = await reader.page(PAGE.dedup, ref).catch(() => null);
    if (bytes && !(await known.load(volumeId, ref.number, bytes, storedPacks))) break;
  }
  return known;
}

/** The volume's newest other point: what the head chain names, and whose id key and known blocks are handed on. */
type Earlier = { previous: Manifest['previous']; manifest: Manifest | null; reader: ManifestReader };

async function findEarlier(deps: AttemptDeps, input: BackupInput, plan: BackupPlan): Promise<Earlier> {
  const { volumeId, runId } = input;
  const reader = plan.parent?.reader ?? createManifestReader(deps, input);
  let newest: string | null = null;
  for await (const { key } of deps.store.list(rootsPrefix(volumeId)))
    if (key !== rootKey(volumeId, runId) && (newest === null || key > newest)) newest = key;
  if (newest === null) return { previous: null, manifest: null, reader };
  const bytes = await deps.store.get(newest);
  const previous = { runId: runOfRootKey(volumeId, newest), sha256: toHex(sha256(bytes)) };
  // One that does not open costs equal blocks their equal ids, and nothing else.
  const manifest = plan.parent?.manifest ?? (await reader.openRoot(newest, bytes).catch(() => null));
  return { previous, manifest, reader };
}

/** Pages that the root will name once their bundles are closed. */
function createRootPages(bundles: BundleWriter, kind: typeof PAGE.inventory | typeof PAGE.dedup) {
  const places: PagePlace[] = [];
  return {
    put: async (number: number, bytes: Uint8Array) => void places.push(await bundles.add(kind, number, bytes)),
    refs: (): RootPlace[] => places.map((place, number) => rootPlaceOf(number, place)),
  };
}

/** Puts the root. `exists` is our own put whose answer was lost, or a faster attempt at this run: the point is there. */
async function commit(
  deps: AttemptDeps,
  input: BackupInput,
  attempt: AttemptKeys,
  manifest: Manifest,
): Promise<BackupResult> {
  const { random, monitor } = deps;
  const context = contextOf(input, attempt, 'root', 0);
  const root = sealRoot({ dataKey: attempt.index, context, random, monitor }, manifest);
  const manifestKey = rootKey(input.volumeId, input.runId);
  const put = { lockUntil: lockOfNew('root', input.lockUntil, deps.clock.now()) };
  if ((await deps.store.putNew(manifestKey, root, put)) === 'created') return resultOf(manifestKey, manifest);
  const committed = await committedRun(createManifestReader(deps, input), input);
  if (!committed) throw new Fault('conflict', 'The manifest of this run was deleted as it was being stored.');
  return committed;
}

/** What each lane of an attempt starts from. */
export type LaneStart = {
  scope: BackupInput;
  attempt: AttemptRef;
  idKey: Uint8Array;
  known: DedupIndex;
  packs: PackNumbers;
  checkAll: boolean;
  /** So many more blocks have been dealt with. */
  onCopied: (blocks: number) => void;
  signal: AbortSignal | undefined;
};

/** Opens the lanes of an attempt: one in this thread, or one in each thread of a pool. */
export type OpenLanes = (start: LaneStart) => Promise<readonly BackupLane[]>;

/** The one lane in this thread. */
function laneHere({ store, random, monitor, tuning }: AttemptDeps, start: LaneStart): BackupLane {
  const { scope, signal } = start;
  const { source } = scope;
  const packs = createPackWriter({ ...start, ...tuning, store, random, monitor, blockBytes: source.blockBytes });
  return createLane({
    ...start,
    source,
    packs,
    onCopied: () => start.onCopied(1),
    assertGoingOn: () => assertNotAborted(signal),
  });
}

/** Numbers packs in the order in which they are begun, and takes each down when it is closed. */
function createPackNumbers(attempt: AttemptKeys, closed: PackNumbers['closed']): PackNumbers {
  let count = 0;
  return {
    async open() {
      const ordinal = count;
      count += 1;
      return { ordinal, dataKey: await attempt.pack(ordinal) };
    },
    closed,
  };
}

/** The writers of one attempt, and what its root says of what they wrote. */
async function createWriters(deps: AttemptDeps, input: BackupInput, options: RunOptions, begun: Begun) {
  const { store, random, monitor } = deps;
  const { attempt, plan, idKey, known, earlier } = begun;
  const lockUntil = () => lockOfNew('shared', input.lockUntil, deps.clock.now());
  const bundles = createBundleWriter({ store, scope: input, attempt, random, monitor, lockUntil });
  const inventoryPages = createRootPages(bundles, PAGE.inventory);
  const dedupPages = createRootPages(bundles, PAGE.dedup);
  const inventory = createInventory(input, attempt, inventoryPages.put);
  async function closed(pack: ContainerRef): Promise<Date | undefined> {
    const lock = lockUntil();
    await inventory.add(pack, lock?.getTime() ?? 0);
    return lock;
  }
  const start: LaneStart = {
    scope: input,
    attempt: { runId: attempt.runId, attempt: attempt.attempt },
    idKey,
    known,
    packs: createPackNumbers(attempt, closed),
    checkAll: deps.checkAll ?? false,
    onCopied: (blocks) => begun.onCopied(blocks),
    signal: options.signal,
  };
  const lanes = deps.openLanes ? await deps.openLanes(start) : [laneHere(deps, start)];
  const packs = allPacks(lanes);
  const pages = createManifestWriter({ volumeId: input.volumeId, packs, bundles, parent: plan.parent });
  return {
    lanes,
    packs,
    pages,
    /** Stores the last pages. All that the root is to name is durable then. */
    async finish() {
      await pages.closePages();
      for (const [number, bytes] of known.pages().entries()) await dedupPages.put(number, bytes);
      const totals = await inventory.finish();
      await bundles.close();
      const { blocksStored, bytesStored } = packs.totals();
      return {
        nodes: pages.nodes(),
        inventory: { ...totals, pages: inventoryPages.refs() },
        dedup: [...dedupPages.refs(), ...(earlier.manifest?.dedup ?? [])].slice(0, DEDUP_PAGES_MAX),
        blocksStored,
        bytesStored: bytesStored + bundles.bytesStored() + attempt.bytesStored(),
      };
    },
  };
}

/** What an attempt has before its first block. */
type Begun = {
  attempt: AttemptKeys;
  plan: BackupPlan;
  idKey: Uint8Array;
  known: DedupIndex;
  earlier: Earlier;
  onCopied: (blocks: number) => void;
};

/** One try at a run, with keys and object names of its own. Throws as `backupVolume`. */
export async function runAttempt(
  deps: AttemptDeps,
  input: BackupInput,
  plan: BackupPlan,
  options: RunOptions,
): Promise<BackupResult> {
  const { source, volumeId } = input;
  const earlier = await findEarlier(deps, input, plan);
  const idKey = earlier.manifest ? fromHex(earlier.manifest.idKey) : deps.random(ID_KEY_BYTES);
  const attempt = await createAttemptKeys(deps, input, input.runId, deps.random);
  const listing = await countAhead(plan.changes);
  const known = await loadKnown(deps, earlier, listing.total(), volumeId);
  let blocksDone = 0;
  const onCopied = (blocks: number) => {
    blocksDone += blocks;
    const { bytesStored } = writers.packs.totals();
    options.onProgress?.({ blocksDone, blocksTotal: listing.total(), bytesStored });
  };
  const writers = await createWriters(deps, input, options, { attempt, plan, idKey, known, earlier, onCopied });
  try {
    let blocksRead = 0;
    for await (const { index, block, read } of copyInLanes(source, listing.items, writers.lanes)) {
      assertNotAborted(options.signal);
      await writers.pages.set(index, block);
      if (read) blocksRead += 1;
    }
    const written = await writers.finish();
    assertNotAborted(options.signal);
    return await commit(deps, input, attempt, {
      format: FORMAT,
      runId: attempt.runId,
      attempt: attempt.attempt,
      snapshotId: input.snapshotId,
      kind: plan.parent ? 'incremental' : 'full',
      reason: plan.reason,
      volumeBytes: source.volumeBytes,
      blockBytes: source.blockBytes,
      createdTime: deps.clock.now().toISOString(),
      lockUntil: input.lockUntil?.toISOString() ?? null,
      base:
        plan.parent && input.base ? { manifestKey: input.base.manifestKey, snapshotId: input.base.snapshotId } : null,
      previous: earlier.previous,
      about: input.about ?? null,
      idKey: toHex(idKey),
      blocksRead,
      ...written,
    });
  } finally {
    await writers.packs.settle();
  }
}
