import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { FORMAT } from '../crypto/object-key.ts';
import { type BackupInput, type BackupPlan, type BackupResult, committedRun, resultOf } from './backup-plan.ts';
import { type BundleWriter, createBundleWriter, PAGE } from './bundle-writer.ts';
import { checkpointEvery } from './checkpoint.ts';
import { DEDUP_PAGES_MAX, type DedupIndex } from './dedup.ts';
import { type Earlier, findEarlier, loadKnown } from './earlier.ts';
import { createInventory } from './inventory.ts';
import { type BackupLane, createLane } from './lane.ts';
import { allPacks, copyInLanes } from './lanes.ts';
import { type AttemptRef, checkpointKey, contextOf, rootKey } from './layout.ts';
import { lockOfNew } from './locks/generations.ts';
import {
  createManifestReader,
  type Inventory,
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

/** Sizes that tests make small, so that a small volume has many packs and checkpoints, and looks at what earlier runs stored. */
export type Tuning = { packBytes?: number; changesPerDedupPage?: number; checkpointEvery?: number };

const ID_KEY_BYTES = 32;
/** One page of earlier blocks is looked at for so many changes: a small run does not read a large index. */
const CHANGES_PER_DEDUP_PAGE = 1_024;

/** Pages that the root will name once their bundles are closed. */
function createRootPages(bundles: BundleWriter, kind: typeof PAGE.inventory | typeof PAGE.dedup) {
  const places: PagePlace[] = [];
  return {
    /** A page that is put again under its number takes the place of the first. */
    put: async (number: number, bytes: Uint8Array) => {
      places[number] = await bundles.add(kind, number, bytes);
    },
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

/** What an attempt has before its first block. */
type Begun = {
  attempt: AttemptKeys;
  plan: BackupPlan;
  reader: ManifestReader;
  idKey: Uint8Array;
  known: DedupIndex;
  earlier: Earlier;
  /** Other volumes whose packs its manifest may name. */
  refersTo: string[];
  onCopied: (blocks: number) => void;
};

/** What a manifest says of the work as it stands. */
type Written = Pick<
  Manifest,
  'nodes' | 'inventory' | 'resumed' | 'dedup' | 'blocksRead' | 'blocksStored' | 'bytesStored'
>;

/** The writers of one attempt, and what its root says of what they wrote. */
async function createWriters(deps: AttemptDeps, input: BackupInput, options: RunOptions, begun: Begun) {
  const { store, random, monitor } = deps;
  const { attempt, plan, reader, idKey, known, earlier } = begun;
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
  const pages = createManifestWriter({ volumeId: input.volumeId, packs, bundles, parent: plan.parent, reader });
  const { checkpoint } = plan;
  const resumed: readonly Inventory[] = checkpoint ? [...checkpoint.resumed, checkpoint.inventory] : [];
  const dedupBefore = earlier.sources.find(({ volumeId }) => volumeId === input.volumeId)?.manifest.dedup ?? [];

  /** Stores the pages as they are; the last time, hints for later writers too. All that a manifest is to name is durable then. */
  async function storePages(blocksRead: number, isLast: boolean): Promise<Written> {
    await pages.closePages();
    const hints = isLast ? known.pages() : [];
    for (const [number, bytes] of hints.entries()) await dedupPages.put(number, bytes);
    const totals = await inventory.state();
    await bundles.close();
    const { blocksStored, bytesStored } = packs.totals();
    return {
      nodes: pages.nodes(),
      inventory: { attempt: attempt.attempt, ...totals, pages: inventoryPages.refs() },
      resumed,
      dedup: [...dedupPages.refs(), ...dedupBefore].slice(0, DEDUP_PAGES_MAX),
      blocksRead: blocksRead + (checkpoint?.blocksRead ?? 0),
      blocksStored: blocksStored + (checkpoint?.blocksStored ?? 0),
      bytesStored: bytesStored + bundles.bytesStored() + attempt.bytesStored() + (checkpoint?.bytesStored ?? 0),
    };
  }
  return { lanes, packs, pages, storePages };
}

/** The manifest of an attempt as it stands. */
function manifestOf(deps: AttemptDeps, input: BackupInput, begun: Begun, written: Written): Manifest {
  const { attempt, plan, earlier, refersTo, idKey } = begun;
  const { volumeBytes, blockBytes } = input.source;
  const { manifestKey, snapshotId } = input.base ?? {};
  const isBuilt = plan.kind === 'incremental' && manifestKey !== undefined && snapshotId !== undefined;
  return {
    format: FORMAT,
    runId: attempt.runId,
    attempt: attempt.attempt,
    snapshotId: input.snapshotId,
    kind: plan.kind,
    reason: plan.reason,
    volumeBytes,
    blockBytes,
    createdTime: deps.clock.now().toISOString(),
    lockUntil: input.lockUntil?.toISOString() ?? null,
    base: isBuilt ? { manifestKey, snapshotId } : null,
    previous: earlier.previous,
    refersTo,
    about: input.about ?? null,
    idKey: toHex(idKey),
    ...written,
  };
}

/** Puts down how far the attempt has come. A later one that finds it goes on from there. */
async function saveCheckpoint(
  deps: AttemptDeps,
  input: BackupInput,
  begun: Begun,
  { written, next }: { written: Written; next: number },
): Promise<void> {
  const { attempt } = begun;
  const { random, monitor } = deps;
  const context = contextOf(input, attempt, 'checkpoint', next);
  const sealed = sealRoot(
    { dataKey: attempt.index, context, random, monitor },
    manifestOf(deps, input, begun, written),
  );
  await deps.store.putNew(checkpointKey(input.volumeId, attempt, next), sealed); // 'exists': our own put, whose answer was lost.
}

/** One try at a run, with keys and object names of its own. Throws as `backupVolume`. */
export async function runAttempt(
  deps: AttemptDeps,
  input: BackupInput,
  plan: BackupPlan & { reader: ManifestReader },
  options: RunOptions,
): Promise<BackupResult> {
  const { source } = input;
  const { reader, checkpoint } = plan;
  const earlier = await findEarlier(deps, input, reader, plan.parent);
  const idKey = earlier.idKey ?? deps.random(ID_KEY_BYTES);
  const attempt = await createAttemptKeys(deps, input, input.runId, deps.random);
  reader.ring.know(attempt, 'index', attempt.index);
  const listing = await countAhead(plan.changes);
  const perPage = deps.tuning?.changesPerDedupPage ?? CHANGES_PER_DEDUP_PAGE;
  const changes = listing.total();
  // A full backup is rare, and looks at all.
  const pagesMax = plan.kind === 'full' || changes === null ? DEDUP_PAGES_MAX : Math.floor(changes / perPage);
  const { known, others } = await loadKnown(deps, input, earlier, pagesMax);
  const refersTo = [...new Set([...(plan.parent?.refersTo ?? []), ...others])].toSorted();
  const before = checkpoint?.blocksRead ?? 0;
  let blocksDone = before;
  const onCopied = (blocks: number) => {
    blocksDone += blocks;
    const total = listing.total();
    const { bytesStored } = writers.packs.totals();
    options.onProgress?.({ blocksDone, blocksTotal: total === null ? null : total + before, bytesStored });
  };
  const begun = { attempt, plan, reader, idKey, known, earlier, refersTo, onCopied };
  const writers = await createWriters(deps, input, options, begun);
  const every = deps.tuning?.checkpointEvery ?? checkpointEvery(source);
  let blocksRead = 0;
  let sinceCheckpoint = 0;
  try {
    for await (const { index, block, read } of copyInLanes(source, listing.items, writers.lanes)) {
      assertNotAborted(options.signal);
      await writers.pages.set(index, block);
      if (read) blocksRead += 1;
      sinceCheckpoint += 1;
      if (sinceCheckpoint < every) continue;
      sinceCheckpoint = 0;
      await saveCheckpoint(deps, input, begun, {
        written: await writers.storePages(blocksRead, false),
        next: index + 1,
      });
    }
    const written = await writers.storePages(blocksRead, true);
    assertNotAborted(options.signal);
    return await commit(deps, input, attempt, manifestOf(deps, input, begun, written));
  } finally {
    await writers.packs.settle();
  }
}
