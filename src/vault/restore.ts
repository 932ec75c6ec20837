import { createHash } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { fromHex } from '../crypto/bytes.ts';
import { createShare } from './lanes.ts';
import type { VolumeScope } from './layout.ts';
import { blocksOf, createManifestReader, type VaultDeps } from './manifest.ts';
import { createPackReader } from './pack-reader.ts';
import { assertNotAborted, mapInOrder, type RunOptions } from './pipeline.ts';
import type { BlockSink } from './ports.ts';
import { createRestoreLane, DIGEST_BYTES, type Place, type RestoreLane } from './restore-lane.ts';
import { blocksBefore, spansOf } from './restore-spans.ts';
import type { DataKeys } from './run-keys.ts';

/** Spans of a lane under way: while the last blocks of one are written, the next one is read. */
const SPANS_PER_LANE = 2;

export type RestoreInput = VolumeScope & {
  manifestKey: string;
  /** Blocks with an index below were written by an earlier try: they are not read again. */
  from?: number;
};
/** `blocksSkipped` were written before. */
export type RestoreResult = { blocksWritten: number; blocksSkipped: number; volumeBytes: number };

export type RestoreOptions = RunOptions & {
  /** Told now and then, and waited for: every block with an index below `next` was written. `from` of a later try. */
  onWritten?: (next: number) => void | Promise<void>;
};

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

/** The one lane in this thread. */
function laneHere(deps: VaultDeps, start: RestoreStart, sink: BlockSink): RestoreLane {
  const packs = createPackReader(deps, start.scope, start.ring);
  return createRestoreLane({ ...start, packs, sink, assertGoingOn: () => assertNotAborted(start.signal) });
}

/**
 * Writes a point into a new image: every stored block, in ascending order of index, each proved against the id that
 * was made of it when it was backed up. Blocks of zeros are left out. The sink is completed only when all of it was written, with the
 * count and digest of what this try has written.
 *
 * @throws Fault `wrong_key`, `object_corrupt`, `object_missing`, `unsupported_format`, `key_unavailable`,
 *   `store_unavailable`, `aborted`, and what the sink throws
 */
export async function restoreVolume(
  deps: RestoreDeps,
  input: RestoreInput,
  sink: BlockSink,
  options: RestoreOptions = {},
): Promise<RestoreResult> {
  const { signal } = options;
  const { from = 0 } = input;
  assertNotAborted(signal);
  const reader = createManifestReader(deps, input);
  const manifest = await reader.root(input.manifestKey);
  const { blockBytes, volumeBytes } = manifest;
  if (blockBytes !== sink.blockBytes)
    throw new Fault(
      'unsupported_format',
      `The backup has blocks of ${blockBytes} bytes, the target of ${sink.blockBytes}.`,
    );
  const blocksSkipped = await blocksBefore(reader, manifest, from);
  const start = { scope: input, idKey: fromHex(manifest.idKey), blockBytes, ring: reader.ring, signal };
  const lanes = deps.openRestoreLanes ? await deps.openRestoreLanes(start) : [laneHere(deps, start, sink)];
  const linear = createHash('sha256');
  const blocksTotal = blocksOf(manifest);
  let blocksWritten = 0;
  const tell = () => options.onProgress?.({ blocksDone: blocksSkipped + blocksWritten, blocksTotal, bytesStored: 0 });
  tell();
  try {
    const share = createShare(lanes);
    const write = async (span: Place[]) => ({
      digests: await share(span.length, (lane) => lane.write(span)),
      next: (span.at(-1)?.index ?? 0) + 1,
    });
    const spans = spansOf(reader, manifest, from);
    for await (const { digests, next } of mapInOrder(spans, lanes.length * SPANS_PER_LANE, write)) {
      assertNotAborted(signal);
      linear.update(digests);
      blocksWritten += digests.length / DIGEST_BYTES;
      tell();
      await options.onWritten?.(next);
    }
  } finally {
    await Promise.all(lanes.map((lane) => lane.settle()));
  }
  assertNotAborted(signal);
  await sink.complete(blocksWritten, linear.digest());
  return { blocksWritten, blocksSkipped, volumeBytes };
}
