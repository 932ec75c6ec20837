import { openSnapshotSource } from '../../aws/ebs-source.ts';
import type { DiscoveredVolume } from '../../aws/instances.ts';
import { readStep } from '../../aws/policies/session.ts';
import type { OwnSnapshot } from '../../aws/snapshots.ts';
import { backupVolume } from '../../vault/backup.ts';
import type { Progress } from '../../vault/ports.ts';
import type { PointVolume } from '../db/schema/recovery-points.ts';
import type { Claim } from './claim.ts';
import { enterVault } from './garbage/vault-run.ts';
import { whileKeyIsEnabled } from './key-watch.ts';
import { backupLanes } from './lane-use.ts';
import type { PointAbout, VolumeAbout } from './point-about.ts';
import { recipientsOf } from './recipients.ts';
import { inVault } from './vault-principals.ts';
import { type ConnectionRow, inAccount, stepOf, type Worker } from './worker.ts';

export type VolumeTask = {
  connection: ConnectionRow;
  awsRegion: string;
  claim: Claim;
  volume: DiscoveredVolume;
  snapshot: OwnSnapshot;
  /** Ids of our snapshots that exist in the account: a base that is not among them was deleted there. */
  present: ReadonlySet<string>;
  about: Omit<PointAbout, 'volume'>;
  /** Until when the point is to be locked. */
  lockUntil: Date | null;
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
};

/**
 * Copies one volume into the vault, through a session that can read its new snapshot and its base and nothing else. The
 * job's id is the run's: objects of a job that is still open are recognised by it.
 */
export async function copyVolume(worker: Worker, task: VolumeTask): Promise<PointVolume> {
  const { connection, awsRegion, volume, snapshot } = task;
  const { jobId } = task.claim;
  const { base, related, condemned } = await enterVault(worker, task.claim, connection, volume.volumeId);
  const baseIsThere = base !== null && task.present.has(base.snapshotId);
  const snapshotIds = [snapshot.snapshotId, ...(baseIsThere ? [base.snapshotId] : [])];
  const policy = readStep(stepOf(worker, connection, awsRegion), snapshotIds, snapshot.kmsKeyArn);
  return inAccount(worker, connection, { awsRegion, jobId, policy }, async (clients) => {
    const opened = await openSnapshotSource(clients, awsRegion, snapshot.snapshotId);
    const source = base && !baseIsThere ? { ...opened, listChanged: async () => null } : opened;
    const facts: VolumeAbout = {
      deviceName: volume.deviceName,
      encrypted: snapshot.encrypted,
      kmsKeyArn: snapshot.kmsKeyArn,
      volumeType: volume.volumeType,
      iops: volume.iops,
      throughput: volume.throughput,
      tags: volume.tags,
    };
    const about: PointAbout = { ...task.about, volume: facts };
    const input = {
      cell: worker.region.cell,
      tenantId: connection.tenantId,
      volumeId: volume.volumeId,
      runId: jobId,
      snapshotId: snapshot.snapshotId,
      source,
      base: base ? { manifestKey: base.manifestKey, snapshotId: base.snapshotId } : null,
      ...(related ? { related } : {}),
      condemned,
      about,
      lockUntil: task.lockUntil,
    };
    const { onProgress } = task;
    const tenants = await recipientsOf(worker, connection.tenantId);
    const stored = await inVault(worker, { principal: 'writer', tenantId: connection.tenantId }, (vault) => {
      const lanes = backupLanes(worker, vault, clients, { awsRegion, snapshotId: snapshot.snapshotId });
      const recipients = [...vault.recipients, ...tenants];
      const deps = { ...vault, ...lanes, recipients, clock: worker.clock };
      return whileKeyIsEnabled(worker, task.signal, (signal) => backupVolume(deps, input, { signal, onProgress }));
    });
    return {
      volumeId: volume.volumeId,
      kind: stored.kind,
      reason: stored.reason,
      volumeBytes: stored.volumeBytes,
      blocksRead: stored.blocksRead,
      blocksStored: stored.blocksStored,
      bytesStored: stored.bytesStored,
      runId: jobId,
      manifestKey: stored.manifestKey,
      snapshotId: snapshot.snapshotId,
      ...facts,
    };
  });
}
