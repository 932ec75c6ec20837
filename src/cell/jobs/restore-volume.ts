import { openSnapshotSink, startSnapshot } from '../../aws/ebs-sink.ts';
import { deleteStep, startStep, volumeStep, writeStep } from '../../aws/policies/session.ts';
import { deleteSnapshot } from '../../aws/snapshots.ts';
import { createVolume, untilAvailable } from '../../aws/volumes.ts';
import { isFault } from '../../core/faults.ts';
import { BLOCK_BYTES, type Progress } from '../../vault/ports.ts';
import { restoreVolume as restoreBlocks } from '../../vault/restore.ts';
import type { RestoredVolume } from '../db/schema/jobs.ts';
import type { PointVolume } from '../db/schema/recovery-points.ts';
import type { RestoreJobRow } from '../services/job-views.ts';
import { type ConnectionRow, inAccount, stepOf, vaultOf, type Worker } from './worker.ts';

const GIB = 2 ** 30;

export type RestoreTask = {
  row: RestoreJobRow;
  connection: ConnectionRow;
  volume: PointVolume;
  availabilityZone: string;
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
};

/**
 * The key of the restored snapshot: the one that was asked for, else the source's own in its own region and account. Null
 * where the source was not encrypted: its *volume* is encrypted all the same, under the account's default key.
 */
export function targetKey(
  volume: Pick<PointVolume, 'encrypted' | 'kmsKeyArn'>,
  wanted: string | undefined,
): string | null {
  return wanted ?? (volume.encrypted ? volume.kmsKeyArn : null);
}

/** Writes a volume's blocks into a new snapshot of the target account, through a session that can write only that one. */
async function toSnapshot(
  worker: Worker,
  task: RestoreTask,
  kmsKeyArn: string | null,
): Promise<{ snapshotId: string; blocksWritten: number }> {
  const { row, connection, volume, signal } = task;
  const { awsRegion } = row;
  const step = stepOf(worker, connection, awsRegion);
  const ours = { tenantId: row.tenantId, jobId: row.id };
  const snapshotId = await inAccount(
    worker,
    connection,
    { awsRegion, jobId: row.id, policy: startStep(step, kmsKeyArn) },
    ({ ebs }) =>
      startSnapshot(ebs, awsRegion, {
        ...ours,
        volumeGiB: Math.ceil(volume.volumeBytes / GIB),
        encrypted: kmsKeyArn !== null,
        kmsKeyArn,
        description: `Domicile ${row.recoveryPointId} ${volume.volumeId}`,
        // A second try of the job continues with the same snapshot.
        clientToken: `${row.id}-${volume.volumeId}`.slice(-64),
        clock: worker.clock,
        signal,
      }),
  );
  const policy = writeStep(step, snapshotId, kmsKeyArn);
  return inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, async (clients) => {
    const sink = openSnapshotSink(clients, {
      awsRegion,
      snapshotId,
      blockBytes: BLOCK_BYTES,
      clock: worker.clock,
      signal,
    });
    const input = {
      cell: worker.region.cell,
      tenantId: row.tenantId,
      volumeId: volume.volumeId,
      manifestKey: volume.manifestKey,
    };
    const { blocksWritten } = await restoreBlocks(vaultOf(worker, row.tenantId), input, sink, {
      signal,
      onProgress: task.onProgress,
    });
    return { snapshotId, blocksWritten };
  });
}

async function toVolume(worker: Worker, task: RestoreTask, snapshotId: string, kmsKeyArn: string | null) {
  const { row, connection, volume, signal } = task;
  const { awsRegion } = row;
  const policy = volumeStep(stepOf(worker, connection, awsRegion), snapshotId, kmsKeyArn);
  return inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, async ({ ec2 }) => {
    const { volumeType, iops, throughput, tags } = volume;
    const made = await createVolume(ec2, awsRegion, {
      tenantId: row.tenantId,
      jobId: row.id,
      snapshotId,
      availabilityZone: task.availabilityZone,
      volumeType,
      iops,
      throughput,
      kmsKeyArn,
      tags,
      clientToken: `${row.id}-${volume.volumeId}`.slice(-64),
    });
    return {
      volumeId: made.volumeId,
      ...(await untilAvailable(ec2, awsRegion, { volumeId: made.volumeId, clock: worker.clock, signal })),
    };
  });
}

/** Deletes the snapshot in between where the role lets us; else it is named as left over. */
async function dropSnapshot(worker: Worker, task: RestoreTask, snapshotId: string): Promise<string[]> {
  const { row, connection } = task;
  const { awsRegion } = row;
  const policy = deleteStep(stepOf(worker, connection, awsRegion));
  try {
    await inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, ({ ec2 }) =>
      deleteSnapshot(ec2, awsRegion, snapshotId),
    );
    return [];
  } catch (error) {
    if (isFault(error, 'missing_permission')) return [snapshotId];
    throw error;
  }
}

/** Restores one volume of a point. Never less encrypted than its source. */
export async function restoreOne(
  worker: Worker,
  task: RestoreTask,
): Promise<{ restored: RestoredVolume; leftovers: string[] }> {
  const { row, volume } = task;
  const kmsKeyArn = targetKey(volume, row.target.kmsKeyArn);
  const { snapshotId, blocksWritten } = await toSnapshot(worker, task, kmsKeyArn);
  const common = { sourceVolumeId: volume.volumeId, volumeBytes: volume.volumeBytes, blocksWritten };
  if (row.type === 'snapshot') {
    return {
      restored: { ...common, snapshotId, volumeId: null, encrypted: kmsKeyArn !== null, kmsKeyArn },
      leftovers: [],
    };
  }
  const made = await toVolume(worker, task, snapshotId, kmsKeyArn);
  const leftovers = await dropSnapshot(worker, task, snapshotId);
  const kept = leftovers.length > 0 ? snapshotId : null;
  return { restored: { ...common, snapshotId: kept, ...made }, leftovers };
}
