import { Fault, isFault } from '../core/faults.ts';
import { rootKey, type VolumeScope } from './layout.ts';
import type { FullReason, Manifest, ManifestReader } from './manifest.ts';
import type { ParentManifest } from './manifest-writer.ts';
import type { BlockChange, BlockSource } from './ports.ts';

export type BackupInput = VolumeScope & {
  /** Names the run: a second try of the same run has the same id, and ends with the same manifest. */
  runId: string;
  /** The image that `source` reads. It is recorded, so that a later incremental can be held to it. */
  snapshotId: string;
  source: BlockSource;
  /** The earlier point to build on. */
  base?: { manifestKey: string; snapshotId: string } | null;
  /** Until when the point is to be locked: recorded in its root; what it stores is locked by generations. */
  lockUntil?: Date | null;
  /** What the caller wants to find in the root again, as JSON: this engine does not look at it. */
  about?: unknown;
};

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

/** What a backup is going to do. */
export type BackupPlan = {
  parent: ParentManifest | null;
  changes: AsyncIterable<BlockChange>;
  reason: FullReason | null;
};

/** Faults of a parent that a full backup gets around. A store or key service that is away is not one of them. */
const UNREADABLE = ['object_missing', 'object_corrupt', 'wrong_key', 'unsupported_format', 'not_found'] as const;
export const isUnreadable = (error: unknown) => UNREADABLE.some((code) => isFault(error, code));

export const resultOf = (manifestKey: string, manifest: Manifest): BackupResult => {
  const { kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored } = manifest;
  return { manifestKey, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored };
};

/** What this run committed before, if it did: a second try then has nothing to do. */
export async function committedRun(reader: ManifestReader, input: BackupInput): Promise<BackupResult | null> {
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
export async function planBackup(reader: ManifestReader, input: BackupInput): Promise<BackupPlan> {
  const { source, base } = input;
  const full = (reason: FullReason | null): BackupPlan => ({ parent: null, changes: source.list(), reason });
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
