import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { FORMAT } from '../crypto/object-key.ts';
import {
  type BackupInput,
  type BackupPlan,
  type BackupResult,
  committedRun,
  isUnreadable,
  planBackup,
  resultOf,
} from './backup-plan.ts';
import { type Encoded, encode, isZero } from './codec.ts';
import { contextOf, rootKey } from './layout.ts';
import { createManifestReader, encodeRoot, type Manifest, type ManifestReader, sealMetadata } from './manifest.ts';
import { createManifestWriter, type ManifestWriter } from './manifest-writer.ts';
import { createPackWriter, type PackWriter } from './pack-writer.ts';
import { assertNotAborted, countAhead, mapInOrder, type RunOptions } from './pipeline.ts';
import type { BlobStore, BlockChange, BlockSource, KeyService } from './ports.ts';
import { type AttemptKeys, generateAttemptKeys } from './run-keys.ts';

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

type Writers = { packs: PackWriter; pages: ManifestWriter };

/** Takes every change from the source into packs and pages, and waits until they are durable. */
async function copyBlocks(source: BlockSource, changes: AsyncIterable<BlockChange>, to: Writers, options: RunOptions) {
  const listing = await countAhead(changes);
  const checkOrder = createOrderCheck(source);
  let blocksDone = 0;
  let blocksRead = 0;
  const fetching = mapInOrder(listing.items, WINDOW_BLOCKS, async (change) => {
    assertNotAborted(options.signal);
    return fetchBlock(source, change);
  });
  for await (const { index, block, read } of fetching) {
    assertNotAborted(options.signal);
    checkOrder(index);
    await to.pages.set(index, block && (await to.packs.add(block.encoded, block.sha256)));
    blocksDone += 1;
    if (read) blocksRead += 1;
    options.onProgress?.({ blocksDone, blocksTotal: listing.total(), bytesStored: to.packs.bytesStored() });
  }
  const pages = await to.pages.finish();
  const bytesStored = to.packs.bytesStored() + to.pages.bytesStored();
  return { pages, blocksRead, blocksStored: to.packs.blocksStored(), bytesStored };
}

/** Puts the wrapped keys: from then on what was stored can be read. Returns their size. */
async function storeKeys(store: BlobStore, { objects }: AttemptKeys): Promise<number> {
  for (const { key, bytes } of objects) await store.putNew(key, bytes);
  return objects.reduce((sum, { bytes }) => sum + bytes.length, 0);
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
  const root = await sealMetadata({ dataKey: attempt.keys.index, context, random, monitor }, encodeRoot(manifest));
  const manifestKey = rootKey(input.volumeId, input.runId);
  if ((await deps.store.putNew(manifestKey, root)) === 'created') return resultOf(manifestKey, manifest);
  const committed = await committedRun(createManifestReader(deps, input), input);
  if (!committed) throw new Fault('conflict', 'The manifest of this run was deleted as it was being stored.');
  return committed;
}

type AttemptDeps = BackupDeps & { clock: Clock; random: (bytes: number) => Uint8Array };

async function runAttempt(
  deps: AttemptDeps,
  input: BackupInput,
  plan: BackupPlan,
  options: RunOptions,
): Promise<BackupResult> {
  const { source } = input;
  const { store, random, monitor } = deps;
  const attempt = await generateAttemptKeys(deps.keys, input, input.runId, random);
  const shared = { store, scope: input, attempt, random, monitor };
  const packs = createPackWriter({ ...shared, blockBytes: source.blockBytes, checkAll: deps.checkAll });
  const pages = createManifestWriter({ ...shared, packs, parent: plan.parent });
  try {
    const copied = await copyBlocks(source, plan.changes, { packs, pages }, options);
    const keyBytes = await storeKeys(store, attempt);
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
      base:
        plan.parent && input.base ? { manifestKey: input.base.manifestKey, snapshotId: input.base.snapshotId } : null,
      ...copied,
      bytesStored: copied.bytesStored + keyBytes,
    });
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
  const ready = { ...deps, clock: deps.clock ?? systemClock, random: deps.random ?? randomBytes };
  const plan = await planBackup(watched, input);
  try {
    return await runAttempt(ready, input, plan, options);
  } catch (error) {
    if (!pageLost) throw error;
    const full: BackupPlan = { parent: null, changes: input.source.list(), reason: 'base_unreadable' };
    return runAttempt(ready, input, full, options);
  }
}
