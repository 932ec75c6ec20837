import type { AttemptRef } from './layout.ts';
import { createManifestReader, type VaultDeps } from './manifest.ts';
import { createPackReader } from './pack-reader.ts';
import { assertNotAborted, mapInOrder } from './pipeline.ts';
import { closedOf } from './places.ts';
import type { RestoreInput } from './restore.ts';
import { batchesOf, type Place } from './restore-lane.ts';
import { spansOf } from './restore-spans.ts';

/** Batches whose packs are opened at the same time. */
const PLANNED_AHEAD = 8;

/** One read of a pack that a restore makes, and how many blocks it brings. */
export type PlannedRead = { object: string; start: number; length: number; blocks: number };

/** The pack in which a block lies. `sizeBytes` is the whole pack's. */
export type PackUse = AttemptRef & { volumeId: string; ordinal: number; sizeBytes: number };

/** `onBlock` hears of the pack of each block. */
type PlanOptions = { signal?: AbortSignal; onBlock?: (pack: PackUse) => void };

/**
 * Every read of blocks that `restoreVolume` makes with one lane, in its order. Nothing but manifest, keys and the ends of packs is
 * read for it, and these as a restore reads them.
 *
 * @throws as `restoreVolume`
 */
export async function* planRestore(
  deps: VaultDeps,
  input: RestoreInput,
  { signal, onBlock }: PlanOptions = {},
): AsyncGenerator<PlannedRead> {
  const reader = createManifestReader(deps, input);
  const manifest = await reader.root(input.manifestKey);
  const packs = createPackReader(deps, input, reader.ring);
  async function* batches(): AsyncGenerator<readonly Place[]> {
    for await (const span of spansOf(reader, manifest, input.from ?? 0)) yield* batchesOf(span);
  }
  const plan = async (batch: readonly Place[]) => {
    assertNotAborted(signal);
    for (const { block } of batch) onBlock?.({ ...block.pack, sizeBytes: closedOf(block.pack).sizeBytes });
    return packs.plan(batch);
  };
  for await (const reads of mapInOrder(batches(), PLANNED_AHEAD, plan))
    for (const { object, start, length, placed } of reads) yield { object, start, length, blocks: placed.length };
}
