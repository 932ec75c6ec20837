import type { DiscoveredInstance } from '../../aws/instances.ts';
import { deleteStep, lockStep } from '../../aws/policies/session.ts';
import { deleteSnapshot, lockSnapshot, type OwnSnapshot } from '../../aws/snapshots.ts';
import { isFault } from '../../core/faults.ts';
import type { PointVolume, recoveryPoints } from '../db/schema/recovery-points.ts';
import type { BackupJobRow } from '../services/job-views.ts';
import type { Copied } from './backup-result.ts';
import { loadConnection } from './verify.ts';
import { type ConnectionRow, inAccount, stepOf, type Worker } from './worker.ts';

/** A snapshot as a part of a recovery point that never leaves the account: no block of it is read. */
function keptVolume(instance: DiscoveredInstance, snapshot: OwnSnapshot, jobId: string): PointVolume[] {
  const volume = instance.volumes.find(({ volumeId }) => volumeId === snapshot.volumeId);
  if (!volume) return []; // detached since: it is no longer part of the instance
  const { volumeId, deviceName, volumeType, iops, throughput, tags } = volume;
  return [
    {
      volumeId,
      // EBS stores what changed since the volume's last snapshot, and restores each as a whole.
      kind: 'full',
      reason: null,
      volumeBytes: snapshot.volumeGiB * 2 ** 30,
      blocksRead: 0,
      blocksStored: 0,
      bytesStored: 0,
      runId: jobId,
      manifestKey: null,
      deviceName,
      encrypted: snapshot.encrypted,
      kmsKeyArn: snapshot.kmsKeyArn,
      volumeType,
      iops,
      throughput,
      snapshotId: snapshot.snapshotId,
      tags,
    },
  ];
}

/**
 * `account` storage: the EBS snapshots themselves become the recovery point, locked where the rule says so. They are
 * complete by now; the cell's bucket stays empty.
 */
export async function keepSnapshots(
  worker: Worker,
  connection: ConnectionRow,
  row: BackupJobRow,
  taken: { instance: DiscoveredInstance; snapshots: readonly OwnSnapshot[] },
): Promise<Copied> {
  const { awsRegion, id: jobId } = row;
  const lock = row.retention?.lock;
  const stored = taken.snapshots.flatMap((snapshot) => keptVolume(taken.instance, snapshot, jobId));
  if (!lock) return { stored, failed: [] };
  const policy = lockStep(stepOf(worker, connection, awsRegion));
  const until = await inAccount(worker, connection, { awsRegion, jobId, policy }, async ({ ec2 }) => {
    const ends: Date[] = [];
    for (const { snapshotId } of taken.snapshots) {
      const wanted = { snapshotId, mode: lock.mode, days: lock.days, coolOffHours: lock.coolOffHours ?? null };
      ends.push(await lockSnapshot(ec2, awsRegion, wanted));
    }
    return ends;
  });
  return { stored, failed: [], lockedUntil: new Date(Math.max(...until.map((end) => end.getTime()))) };
}

/**
 * Deletes the EBS snapshots of points of one connection that are to go.
 *
 * @returns false when the account does not let us now: the points stay marked, and the next retention tries again
 */
export async function deleteKeptSnapshots(
  worker: Worker,
  points: readonly (typeof recoveryPoints.$inferSelect)[],
): Promise<boolean> {
  const [first] = points;
  if (!first) return true;
  const { tenantId, connectionId } = first;
  const connection = await loadConnection(worker, tenantId, connectionId);
  if (connection?.state !== 'CONNECTED') return false;
  try {
    for (const { awsRegion, volumes, backupJobId: jobId } of points) {
      const policy = deleteStep(stepOf(worker, connection, awsRegion));
      await inAccount(worker, connection, { awsRegion, jobId, policy }, async ({ ec2 }) => {
        for (const { snapshotId } of volumes) if (snapshotId !== null) await deleteSnapshot(ec2, awsRegion, snapshotId);
      });
    }
    return true;
  } catch (error) {
    if (!isFault(error) || error.owner !== 'customer-account') throw error;
    worker.log.log('warn', 'retention.snapshots_refused', { tenantId, connectionId, code: error.code }, error);
    return false;
  }
}
