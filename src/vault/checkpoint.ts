import { Fault, isFault } from '../core/faults.ts';
import { checkpointsPrefix } from './layout.ts';
import type { Manifest, ManifestReader } from './manifest.ts';
import type { BlobStore, BlockSource } from './ports.ts';

/** How far a run had come: its manifest as it was then, and the first block that was left. */
export type Checkpoint = { manifest: Manifest; next: number };

/** Changes between two checkpoints, at least: 8 GiB of blocks that were read. */
const EVERY_BLOCKS_MIN = 16_384;
/** Checkpoints of a run, at most: what each repeats stays small beside what lies between them. */
const CHECKPOINTS_MAX = 256;
/** Checkpoints that are tried before a run begins anew. */
const TRIED_MAX = 3;

/** After how many changes a checkpoint is due. Pure. */
export function checkpointEvery({ volumeBytes, blockBytes }: Pick<BlockSource, 'volumeBytes' | 'blockBytes'>): number {
  return Math.max(EVERY_BLOCKS_MIN, Math.ceil(volumeBytes / blockBytes / CHECKPOINTS_MAX));
}

/** Faults of what was stored that are got around by doing without it. A store or key service that is away is not one of them. */
const UNREADABLE = ['object_missing', 'object_corrupt', 'wrong_key', 'unsupported_format', 'not_found'] as const;
export const isUnreadable = (error: unknown) => UNREADABLE.some((code) => isFault(error, code));

/** The index that a checkpoint's name states. */
function nextOf(key: string): number {
  const next = Number(key.split('/').at(-1)?.split('-')[0]);
  if (!Number.isInteger(next)) throw new Fault('not_found', 'This is not the name of a checkpoint.');
  return next;
}

/**
 * The farthest checkpoint of a run that opens, whichever attempt made it; null: the run begins at its beginning. What a checkpoint
 * refers to was durable before it.
 */
export async function findCheckpoint(
  store: BlobStore,
  reader: ManifestReader,
  { volumeId, runId }: { volumeId: string; runId: string },
): Promise<Checkpoint | null> {
  const keys: string[] = [];
  for await (const { key } of store.list(checkpointsPrefix(volumeId, runId))) keys.push(key);
  for (const key of keys.toReversed().slice(0, TRIED_MAX)) {
    try {
      const next = nextOf(key);
      return { manifest: await reader.checkpoint(key, runId, next), next };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }
  return null;
}
