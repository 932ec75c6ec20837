import { createHash } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { fromHex } from '../crypto/bytes.ts';
import { createShare } from './lanes.ts';
import type { VolumeScope } from './layout.ts';
import { blocksOf, createManifestReader, type Manifest, type ManifestReader, type VaultDeps } from './manifest.ts';
import { createPackReader } from './pack-reader.ts';
import { assertNotAborted, mapInOrder, type RunOptions } from './pipeline.ts';
import type { BlockSink } from './ports.ts';
import { createRestoreLane, DIGEST_BYTES, type Place, type RestoreLane } from './restore-lane.ts';
import type { DataKeys } from './run-keys.ts';

/** Neighbouring blocks that one lane takes at a time: about two packs. */
const SPAN_BLOCKS = 128;
/** Spans of a lane under way: while the last blocks of one are written, the next one is read. */
const SPANS_PER_LANE = 2;

export type RestoreInput = VolumeScope & { manifestKey: string };
export type RestoreResult = { blocksWritten: number; volumeBytes: number };

/** What each lane of a restore starts from. */
export type RestoreStart = {
  scope: VolumeScope;
  idKey: Uint8Array;
  blockBytes: number;
  ring: DataKeys;
  signal: AbortSignal | undefined;
};

/** Opens the lanes of a restore: one in this thread, or one in each thread of a pool. They write to `sink`'s image. */
export type OpenRestoreLanes = (start: RestoreStart) => Promise<readonly RestoreLane[]>;

export type RestoreDeps = VaultDeps & {
  /** Where blocks are opened and written; in this thread when it is not given. */
  openRestoreLanes?: OpenRestoreLanes;
};

/** Every stored block of a point, ascending, in spans; one leaf is in memory at a time. */
async function* spansOf(reader: ManifestReader, manifest: Manifest): AsyncGenerator<Place[]> {
  for await (const { number, ref } of reader.leaves(manifest)) {
    const places = [...(await reader.leaf(number, ref))].map(([index, block]) => ({ index, block }));
    for (let from = 0; from < places.length; from += SPAN_BLOCKS) yield places.slice(from, from + SPAN_BLOCKS);
  }
}

/** The one lane in this thread. */
function laneHere(deps: VaultDeps, start: RestoreStart, sink: BlockSink): RestoreLane {
  const packs = createPackReader(deps, start.scope, start.ring);
  return createRestoreLane({ ...start, packs, sink, assertGoingOn: () => assertNotAborted(start.signal) });
}

/**
 * Writes a point into a new image: every stored block, in ascending order of index, each proved against the id that
 * was made of it when it was backed up. Blocks of zeros are left out. The sink is completed only when all of it was written.
 *
 * @throws Fault `wrong_key`, `object_corrupt`, `object_missing`, `unsupported_format`, `key_unavailable`,
 *   `store_unavailable`, `aborted`, and what the sink throws
 */
export async function restoreVolume(
  deps: RestoreDeps,
  input: RestoreInput,
  sink: BlockSink,
  options: RunOptions = {},
): Promise<RestoreResult> {
  const { signal } = options;
  assertNotAborted(signal);
  const reader = createManifestReader(deps, input);
  const manifest = await reader.root(input.manifestKey);
  const { blockBytes, volumeBytes } = manifest;
  if (blockBytes !== sink.blockBytes)
    throw new Fault(
      'unsupported_format',
      `The backup has blocks of ${blockBytes} bytes, the target of ${sink.blockBytes}.`,
    );
  const start = { scope: input, idKey: fromHex(manifest.idKey), blockBytes, ring: reader.ring, signal };
  const lanes = deps.openRestoreLanes ? await deps.openRestoreLanes(start) : [laneHere(deps, start, sink)];
  const linear = createHash('sha256');
  const blocksTotal = blocksOf(manifest);
  let blocksWritten = 0;
  try {
    const share = createShare(lanes);
    const write = (span: Place[]) => share(span.length, (lane) => lane.write(span));
    for await (const digests of mapInOrder(spansOf(reader, manifest), lanes.length * SPANS_PER_LANE, write)) {
      assertNotAborted(signal);
      linear.update(digests);
      blocksWritten += digests.length / DIGEST_BYTES;
      options.onProgress?.({ blocksDone: blocksWritten, blocksTotal, bytesStored: 0 });
    }
  } finally {
    await Promise.all(lanes.map((lane) => lane.settle()));
  }
  assertNotAborted(signal);
  await sink.complete(blocksWritten, linear.digest());
  return { blocksWritten, volumeBytes };
}
