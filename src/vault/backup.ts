import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { Fault, isFault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { FORMAT } from '../crypto/object-key.ts';
import { type Encoded, encode, isZero } from './codec.ts';
import { rootKey, type VolumeScope } from './layout.ts';
import {
  contextOf,
  createManifestReader,
  encodeRoot,
  type FullReason,
  type Manifest,
  type ManifestReader,
  sealMetadata,
} from './manifest.ts';
import { createManifestWriter, type ParentManifest } from './manifest-writer.ts';
import { createPackWriter } from './pack-writer.ts';
import { assertNotAborted, countAhead, mapInOrder } from './pipeline.ts';
import type { BlobStore, BlockChange, BlockSource, KeyService, Progress } from './ports.ts';
import { generateAttemptKeys } from './run-keys.ts';

/**
 * Blocks that are being fetched, checked or compressed, or wait for their turn in a pack. With both forms of each block in
 * memory, and the packs being filled and sent, a run needs about 64 × 1 MiB + 5 × 16 MiB, whatever the volume's size.
 */
export const WINDOW_BLOCKS = 64;

export type BackupDeps = {
  store: BlobStore;
  keys: KeyService;
  clock?: Clock;
  /** Source of salts and attempt ids; the system's own unless a test pins it. */
  random?: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor;
  /** Open every sealed block again and compare it, instead of one in 32. */
  checkAll?: boolean;
};

export type BackupInput = VolumeScope & {
  /** Names the run: a second try of the same run has the same id, and ends with the same manifest. */
  runId: string;
  /** The image that `source` reads. It is recorded, so that a later incremental can be held to it. */
  snapshotId: string;
  source: BlockSource;
  /** The earlier point to build on. */
  base?: { manifestKey: string; snapshotId: string } | null;
};

export type RunOptions = { signal?: AbortSignal; onProgress?: (progress: Progress) => void };

export type BackupResult = {
  manifestKey: string;
  kind: 'full' | 'incremental';
  /** Why it became a full one although a base was given; null otherwise. */
  reason: FullReason | null;
  volumeBytes: number;
  blocksRead: number;
  blocksStored: number;
  /** Bytes that this run added to the store, its root apart. */
  bytesStored: number;
};

type Plan = {
  parent: ParentManifest | null;
  changes: AsyncIterable<BlockChange>;
  reason: FullReason | null;
};

/** Faults of a parent that a full backup gets around. A store or key service that is away is not one of them. */
const UNREADABLE = ['object_missing', 'object_corrupt', 'wrong_key', 'unsupported_format', 'not_found'] as const;
const isUnreadable = (error: unknown) => UNREADABLE.some((code) => isFault(error, code));

const resultOf = (manifestKey: string, manifest: Manifest): BackupResult => {
  const { kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored } = manifest;
  return { manifestKey, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored };
};

/** What this run committed before, if it did: a second try then has nothing to do. */
async function committedRun(reader: ManifestReader, input: BackupInput): Promise<BackupResult | null> {
  const manifestKey = rootKey(input.volumeId, input.runId);
  const manifest = await reader.root(manifestKey).catch((error: unknown) => {
    if (isFault(error, 'object_missing')) return null;
    throw error;
  });
  if (!manifest) return null;
  const { volumeBytes, blockBytes } = input.source;
  const same =
    manifest.snapshotId === input.snapshotId &&
    manifest.volumeBytes === volumeBytes &&
    manifest.blockBytes === blockBytes;
  if (!same) throw new Fault('object_exists', 'This run has already stored another image.');
  return resultOf(manifestKey, manifest);
}

/** Decides between full and incremental. A base that does not hold is never an error: it costs a full backup, and says why. */
async function planBackup(reader: ManifestReader, input: BackupInput): Promise<Plan> {
  const { source, base } = input;
  const full = (reason: FullReason | null): Plan => ({ parent: null, changes: source.list(), reason });
  if (!base) return full(null);
  const manifest = await reader.root(base.manifestKey).catch((error: unknown) => {
    if (isUnreadable(error)) return null;
    throw error;
  });
  if (!manifest) return full('base_unreadable');
  const fits =
    manifest.snapshotId === base.snapshotId &&
    manifest.blockBytes === source.blockBytes &&
    manifest.volumeBytes <= source.volumeBytes;
  if (!fits) return full('base_mismatch');
  const changes = await source.listChanged(base.snapshotId);
  return changes ? { parent: { manifest, reader }, changes, reason: null } : full('lineage_lost');
}

type Fetched = { index: number; block: { encoded: Encoded; sha256: Uint8Array } | null; read: boolean };

/** Fetches one change and gets it ready to be sealed. Null is a block of zeros, which is not stored. */
async function fetchBlock(source: BlockSource, change: BlockChange): Promise<Fetched> {
  const { index, token } = change;
  if (token === null) return { index, block: null, read: false };
  const fetched = await source.fetch({ index, token });
  if (fetched.bytes.length !== source.blockBytes || !equalBytes(sha256(fetched.bytes), fetched.sha256))
    throw new Fault('block_checksum_mismatch', `Block ${index} is not what its checksum says.`);
  if (isZero(fetched.bytes)) return { index, block: null, read: true };
  return { index, block: { encoded: await encode(fetched.bytes), sha256: fetched.sha256 }, read: true };
}

/** Refuses a listing that would put blocks in the wrong place. */
function createOrderCheck(source: BlockSource) {
  const end = Math.ceil(source.volumeBytes / source.blockBytes);
  let last = -1;
  return (index: number) => {
    if (!Number.isInteger(index) || index <= last || index >= end)
      throw new Fault('internal', 'The source listed a block out of order or beyond the end of the volume.');
    last = index;
  };
}

async function runAttempt(
  deps: BackupDeps,
  input: BackupInput,
  plan: Plan,
  options: RunOptions,
): Promise<BackupResult> {
  const { source } = input;
  const { store, monitor, random = randomBytes, clock = systemClock } = deps;
  const attempt = await generateAttemptKeys(deps.keys, input, input.runId, random);
  const shared = { store, scope: input, attempt, random, monitor };
  const packs = createPackWriter({ ...shared, blockBytes: source.blockBytes, checkAll: deps.checkAll });
  const pages = createManifestWriter({ ...shared, packs, parent: plan.parent });
  const listing = await countAhead(plan.changes);
  const inOrder = createOrderCheck(source);
  let blocksDone = 0;
  let blocksRead = 0;
  try {
    const fetching = mapInOrder(listing.items, WINDOW_BLOCKS, async (change) => {
      assertNotAborted(options.signal);
      return fetchBlock(source, change);
    });
    for await (const { index, block, read } of fetching) {
      assertNotAborted(options.signal);
      inOrder(index);
      await pages.set(index, block && (await packs.add(block.encoded, block.sha256)));
      blocksDone += 1;
      if (read) blocksRead += 1;
      options.onProgress?.({ blocksDone, blocksTotal: listing.total(), bytesStored: packs.bytesStored() });
    }
    const refs = await pages.finish();
    let bytesStored = packs.bytesStored() + pages.bytesStored();
    for (const { key, bytes } of attempt.objects) {
      await store.putNew(key, bytes);
      bytesStored += bytes.length;
    }
    assertNotAborted(options.signal);
    const manifest: Manifest = {
      format: FORMAT,
      runId: attempt.runId,
      attempt: attempt.attempt,
      snapshotId: input.snapshotId,
      kind: plan.parent ? 'incremental' : 'full',
      reason: plan.reason,
      volumeBytes: source.volumeBytes,
      blockBytes: source.blockBytes,
      createdTime: clock.now().toISOString(),
      base: plan.parent && input.base ? { ...input.base } : null,
      blocksRead,
      blocksStored: packs.blocksStored(),
      bytesStored,
      pages: refs,
    };
    const context = contextOf(input, attempt, 'root', 0);
    const root = await sealMetadata({ dataKey: attempt.keys.index, context, random, monitor }, encodeRoot(manifest));
    const manifestKey = rootKey(input.volumeId, input.runId);
    if ((await store.putNew(manifestKey, root)) === 'created') return resultOf(manifestKey, manifest);
    // Ours, and its first answer was lost; or another attempt of this run was faster. Either way the point is there.
    return (await committedRun(createManifestReader(deps, input), input)) ?? resultOf(manifestKey, manifest);
  } finally {
    await packs.settle();
  }
}

/**
 * Backs up one image of a volume. Everything is stored before the root manifest, whose creation commits the point: until
 * then nothing of this run can be seen, and after it the point is complete. Trying again with the same run id is safe at any
 * time: each try has keys and object names of its own.
 *
 * @throws Fault `aborted` (or the signal's own reason), `object_exists` (the run id was used for another image),
 *   `store_unavailable`, `key_unavailable`, and what the source throws
 */
export async function backupVolume(
  deps: BackupDeps,
  input: BackupInput,
  options: RunOptions = {},
): Promise<BackupResult> {
  assertNotAborted(options.signal);
  const reader = createManifestReader(deps, input);
  const committed = await committedRun(reader, input);
  if (committed) return committed;
  let pageLost = false;
  const watched: ManifestReader = {
    ...reader,
    page: (ref) =>
      reader.page(ref).catch((error: unknown) => {
        pageLost = isUnreadable(error);
        throw error;
      }),
  };
  const plan = await planBackup(watched, input);
  try {
    return await runAttempt(deps, input, plan, options);
  } catch (error) {
    if (!pageLost) throw error;
    return runAttempt(deps, input, { parent: null, changes: input.source.list(), reason: 'base_unreadable' }, options);
  }
}
