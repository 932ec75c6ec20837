import { createHash } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { fromHex } from '../crypto/bytes.ts';
import type { VolumeScope } from './layout.ts';
import type { StoredBlock } from './leaf.ts';
import { blocksOf, createManifestReader, type Manifest, type ManifestReader, type VaultDeps } from './manifest.ts';
import { createPackReader, type SealedBlock } from './pack-reader.ts';
import { assertNotAborted, mapInOrder, type RunOptions } from './pipeline.ts';
import type { BlockSink } from './ports.ts';

/** Blocks that are read together, so that neighbours in a pack come in one request. */
const BATCH_BLOCKS = 32;
/** Batches being read: with the blocks being written, about 2 × 32 × ½ MiB + 32 × 1 MiB are in memory. */
const BATCHES_IN_FLIGHT = 2;
/** Blocks being opened and written to the sink. */
const WRITES_IN_FLIGHT = 32;

export type RestoreInput = VolumeScope & { manifestKey: string };
export type RestoreResult = { blocksWritten: number; volumeBytes: number };

type Place = { index: number; block: StoredBlock };

/** Every stored block of a point, ascending, in batches; one leaf is in memory at a time. */
async function* batchesOf(reader: ManifestReader, manifest: Manifest): AsyncGenerator<Place[]> {
  for await (const { number, ref } of reader.leaves(manifest)) {
    const places = [...(await reader.leaf(number, ref))].map(([index, block]) => ({ index, block }));
    for (let from = 0; from < places.length; from += BATCH_BLOCKS) yield places.slice(from, from + BATCH_BLOCKS);
  }
}

async function* flatten<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const batch of batches) yield* batch;
}

/**
 * Writes a point into a new image: every stored block, in ascending order of index, each proved against the id that
 * was made of it when it was backed up. Blocks of zeros are left out. The sink is completed only when all of it was written.
 *
 * @throws Fault `wrong_key`, `object_corrupt`, `object_missing`, `unsupported_format`, `key_unavailable`,
 *   `store_unavailable`, `aborted`, and what the sink throws
 */
export async function restoreVolume(
  deps: VaultDeps,
  input: RestoreInput,
  sink: BlockSink,
  options: RunOptions = {},
): Promise<RestoreResult> {
  assertNotAborted(options.signal);
  const reader = createManifestReader(deps, input);
  const manifest = await reader.root(input.manifestKey);
  if (manifest.blockBytes !== sink.blockBytes)
    throw new Fault(
      'unsupported_format',
      `The backup has blocks of ${manifest.blockBytes} bytes, the target of ${sink.blockBytes}.`,
    );
  const packs = createPackReader(deps, input, reader.ring);
  const linear = createHash('sha256');
  const blocksTotal = blocksOf(manifest);
  const idKey = fromHex(manifest.idKey);
  let blocksWritten = 0;

  const reading = mapInOrder(batchesOf(reader, manifest), BATCHES_IN_FLIGHT, async (batch) => {
    assertNotAborted(options.signal);
    return packs.read(batch);
  });
  const writing = mapInOrder(flatten(reading), WRITES_IN_FLIGHT, async (sealed: SealedBlock) => {
    assertNotAborted(options.signal);
    const { bytes, sha256 } = packs.open(sealed, idKey, manifest.blockBytes);
    await sink.put(sealed.index, bytes, sha256);
    return sha256;
  });
  for await (const digest of writing) {
    linear.update(digest);
    blocksWritten += 1;
    options.onProgress?.({ blocksDone: blocksWritten, blocksTotal, bytesStored: 0 });
  }
  assertNotAborted(options.signal);
  await sink.complete(blocksWritten, linear.digest());
  return { blocksWritten, volumeBytes: manifest.volumeBytes };
}
