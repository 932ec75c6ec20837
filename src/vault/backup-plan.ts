import { Fault, isFault } from '../core/faults.ts';
import { type Checkpoint, findCheckpoint, isUnreadable } from './checkpoint.ts';
import { rootKey, type VolumeScope } from './layout.ts';
import type { FullReason, Manifest, ManifestReader } from './manifest.ts';
import type { BlobStore, BlockChange, BlockSource } from './ports.ts';

export type BackupInput = VolumeScope & {
  /** Names the run: a second try of the same run has the same id, and ends with the same manifest. */
  runId: string;
  /** The image that `source` reads. It is recorded, so that a later incremental can be held to it. */
  snapshotId: string;
  source: BlockSource;
  /** The earlier point to build on. */
  base?: { manifestKey: string; snapshotId: string } | null;
  /**
   * Given, even empty: the volume shares with others of its tenant, and these are points whose blocks it may name instead of
   * storing them again. Who destroys the keys of such a volume then destroys those blocks of this one too.
   */
  related?: readonly { volumeId: string; manifestKey: string }[];
  /** Until when the point is to be locked: recorded in its root; what it stores is locked by generations. */
  lockUntil?: Date | null;
  /**
   * Names of packs of the tenant that are condemned, read after this run was known to be open: nothing new is built on them. Whoever
   * deletes them waits for the runs that were open before, and for no other.
   */
  condemned?: ReadonlySet<string>;
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
  kind: 'full' | 'incremental';
  reason: FullReason | null;
  /** Whose pages it begins with: its base's, or those of the checkpoint that it goes on from. */
  parent: Manifest | null;
  /** The checkpoint that it goes on from: what was done before counts. */
  checkpoint: Manifest | null;
  changes: AsyncIterable<BlockChange>;
};

export const resultOf = (manifestKey: string, manifest: Manifest): BackupResult => {
  const { kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored } = manifest;
  return { manifestKey, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored };
};

/** Is this a manifest of the image that the source reads? */
function isOf(manifest: Manifest, { snapshotId, source }: BackupInput): boolean {
  const { volumeBytes, blockBytes } = source;
  return (
    manifest.snapshotId === snapshotId && manifest.volumeBytes === volumeBytes && manifest.blockBytes === blockBytes
  );
}

/** What this run committed before, if it did: a second try then has nothing to do. */
export async function committedRun(reader: ManifestReader, input: BackupInput): Promise<BackupResult | null> {
  const manifestKey = rootKey(input.volumeId, input.runId);
  const manifest = await reader.root(manifestKey).catch((error: unknown) => {
    if (isFault(error, 'object_missing')) return null;
    throw error;
  });
  if (!manifest) return null;
  if (!isOf(manifest, input)) throw new Fault('object_exists', 'This run has already stored another image.');
  return resultOf(manifestKey, manifest);
}

/** A full backup from the beginning. */
export const planFull = ({ source }: BackupInput, reason: FullReason | null): BackupPlan => ({
  kind: 'full',
  reason,
  parent: null,
  checkpoint: null,
  changes: source.list(0),
});

/** Goes on from a checkpoint of this run; null when it is of another image or base, or cannot be compared any more. */
async function planResumed(input: BackupInput, { manifest, next }: Checkpoint): Promise<BackupPlan | null> {
  const { source, base } = input;
  if (!isOf(manifest, input)) return null;
  const { kind, reason } = manifest;
  const going = { kind, reason, parent: manifest, checkpoint: manifest };
  if (kind === 'full') return { ...going, changes: source.list(next) };
  if (!base || manifest.base?.snapshotId !== base.snapshotId) return null;
  const changes = await source.listChanged(base.snapshotId, next);
  return changes && { ...going, changes };
}

/** Decides between full and incremental. A base that does not hold is never an error: it costs a full backup, and says why. */
async function planAnew(reader: ManifestReader, input: BackupInput): Promise<BackupPlan> {
  const { source, base } = input;
  if (!base) return planFull(input, null);
  const manifest = await reader.root(base.manifestKey).catch((error: unknown) => {
    if (isUnreadable(error)) return null;
    throw error;
  });
  if (!manifest) return planFull(input, 'base_unreadable');
  const fits =
    manifest.snapshotId === base.snapshotId &&
    manifest.blockBytes === source.blockBytes &&
    manifest.volumeBytes <= source.volumeBytes;
  if (!fits) return planFull(input, 'base_mismatch');
  const changes = await source.listChanged(base.snapshotId, 0);
  if (!changes) return planFull(input, 'lineage_lost');
  return { kind: 'incremental', reason: null, parent: manifest, checkpoint: null, changes };
}

/** From the farthest checkpoint of the run, where there is one, else from the beginning. */
export async function planBackup(store: BlobStore, reader: ManifestReader, input: BackupInput): Promise<BackupPlan> {
  const checkpoint = await findCheckpoint(store, reader, input);
  const resumed = checkpoint && (await planResumed(input, checkpoint));
  return resumed ?? planAnew(reader, input);
}
