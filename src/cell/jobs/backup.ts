import { sql } from 'drizzle-orm';
import { type DiscoveredInstance, listInstances } from '../../aws/instances.ts';
import { createStep, deleteStep, describeStep } from '../../aws/policies/session.ts';
import {
  createInstanceSnapshots,
  deleteSnapshot,
  findOwnSnapshots,
  type LeftOut,
  type OwnSnapshot,
  untilCompleted,
} from '../../aws/snapshots.ts';
import { Fault, isFault } from '../../core/faults.ts';
import type { Progress } from '../../vault/ports.ts';
import { audit } from '../db/audit.ts';
import type { Tx } from '../db/client.ts';
import type { VolumeResult } from '../db/schema/jobs.ts';
import { type PointVolume, recoveryPoints, volumeBases } from '../db/schema/recovery-points.ts';
import type { ExcludedVolume } from '../selection/volumes.ts';
import type { BackupJobRow } from '../services/job-views.ts';
import { copyVolume } from './backup-volume.ts';
import type { Copied } from './backup-result.ts';
import { withClaim, writeJob } from './claim.ts';
import { keepSnapshots } from './kept-snapshots.ts';
import { leftOut, settleExclusions } from './exclusions.ts';
import { inParallel } from './parallel.ts';
import { applyRetention } from './retention.ts';
import type { JobKind, JobRun } from './runner.ts';
import { aboutPoint, expiryOf, lockEndOf, type PointAbout, pointIdOf } from './point-about.ts';
import { createTotals } from './totals.ts';
import { captureUserData } from './user-data.ts';
import { lockCopied } from './vault-locks.ts';
import { loadConnection } from './verify.ts';
import { type ConnectionRow, inAccount, requireUsable, stepOf, type Worker } from './worker.ts';

/** Volumes of one instance copied at once: more would only share the same cores. */
const VOLUMES_AT_ONCE = 2;

async function usableConnection(worker: Worker, row: BackupJobRow): Promise<ConnectionRow> {
  const connection = await loadConnection(worker, row.tenantId, row.connectionId);
  if (!connection) throw new Fault('connection_not_usable', 'The connection is gone.');
  requireUsable(connection);
  return connection;
}

/** The instance as it is now, looked up within the connection's limits: a tag that was taken away takes the right away. */
async function currentInstance(
  worker: Worker,
  connection: ConnectionRow,
  row: BackupJobRow,
): Promise<DiscoveredInstance> {
  const { awsRegion, instanceId } = row;
  const policy = describeStep(stepOf(worker, connection, awsRegion));
  const limits = { tag: connection.tag, vpcIds: connection.vpcIds, instanceId };
  const [instance] = await inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, ({ ec2 }) =>
    listInstances(ec2, awsRegion, limits),
  );
  if (!instance) {
    throw new Fault(
      'instance_not_found',
      `${instanceId} does not exist within the limits of the connection: check its tag, VPC and region.`,
      { facts: { instanceId, awsRegion } },
    );
  }
  if (instance.state !== 'terminated' && instance.state !== 'shutting-down') {
    const source = { tenantId: row.tenantId, instanceId, jobId: row.id, awsRegion };
    const userData = await captureUserData(worker, connection, source);
    return { ...instance, configuration: { ...instance.configuration, userData } };
  }
  throw new Fault('instance_terminated', `${instanceId} is terminated; its recovery points can still be restored.`, {
    facts: { instanceId, awsRegion },
  });
}

/** The new snapshots of the instance's volumes, and the ids of all of ours that those volumes have: older bases among them. */
type Taken = { snapshots: OwnSnapshot[]; present: ReadonlySet<string> };

function takeSnapshots(
  worker: Worker,
  connection: ConnectionRow,
  row: BackupJobRow,
  options: { leaveOut: LeftOut; signal: AbortSignal },
): Promise<Taken> {
  const { awsRegion, instanceId, tenantId } = row;
  const policy = createStep(stepOf(worker, connection, awsRegion), instanceId);
  return inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, async ({ ec2 }) => {
    const wanted = { tenantId, jobId: row.id, instanceId, leaveOut: options.leaveOut };
    const taken = await createInstanceSnapshots(ec2, awsRegion, wanted);
    const snapshotIds = taken.map(({ snapshotId }) => snapshotId);
    const snapshots = await untilCompleted(ec2, awsRegion, {
      snapshotIds,
      clock: worker.clock,
      signal: options.signal,
    });
    // A base that the customer deleted has no tags any more, so that AWS would call reading it forbidden, not gone.
    const ours = await findOwnSnapshots(ec2, awsRegion, {
      tenantId,
      volumeIds: snapshots.map(({ volumeId }) => volumeId),
    });
    return { snapshots, present: new Set(ours.map(({ snapshotId }) => snapshotId)) };
  });
}

type CopyWork = {
  instance: DiscoveredInstance;
  taken: Taken;
  about: Omit<PointAbout, 'volume'>;
  lockUntil: Date | null;
  run: JobRun;
};

/** Copies every volume. One that cannot be had does not take the others with it, unless it is worth trying all again. */
async function copyAll(worker: Worker, connection: ConnectionRow, row: BackupJobRow, work: CopyWork): Promise<Copied> {
  const { instance, taken, about, lockUntil, run } = work;
  const onVolume = createTotals('copying', run.report);
  const copied: Copied = { stored: [], failed: [] };
  await inParallel(taken.snapshots, VOLUMES_AT_ONCE, async (snapshot) => {
    const volume = instance.volumes.find((candidate) => candidate.volumeId === snapshot.volumeId);
    if (!volume) return; // detached since: it is no longer part of the instance
    try {
      const task = {
        connection,
        awsRegion: row.awsRegion,
        claim: run.claim,
        volume,
        snapshot,
        present: taken.present,
        about,
        lockUntil,
        signal: run.signal,
        onProgress: (progress: Progress) => onVolume(volume.volumeId, progress),
      };
      copied.stored.push(await copyVolume(worker, task));
    } catch (error) {
      if (run.signal.aborted || !isFault(error) || error.retry !== 'never') throw error;
      copied.failed.push({ volumeId: snapshot.volumeId, fault: error });
    }
  });
  const [first] = copied.failed;
  if (copied.stored.length === 0)
    throw first?.fault ?? new Fault('instance_not_found', 'The instance has no volumes to back up.');
  return copied;
}

const reportStep = (job: JobRun, step: string) =>
  job.report({ blocksDone: 0, blocksTotal: null, bytesStored: 0, percent: null, step });

/** Copies every volume into the vault. Where the point is to be locked, all that it refers to is locked before it is there. */
async function copyToVault(
  worker: Worker,
  connection: ConnectionRow,
  row: BackupJobRow,
  work: CopyWork,
): Promise<Copied> {
  const copied = await copyAll(worker, connection, row, work);
  const { lockUntil, run } = work;
  if (!lockUntil) return copied;
  reportStep(run, 'locking');
  return { ...copied, ...(await lockCopied(worker, connection, copied.stored, { lockUntil, signal: run.signal })) };
}

const resultOf = ({
  volumeId,
  kind,
  reason,
  volumeBytes,
  blocksRead,
  blocksStored,
  bytesStored,
}: PointVolume): VolumeResult => ({ volumeId, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored });

async function moveBases(
  tx: Tx,
  row: BackupJobRow,
  pointId: string,
  work: { stored: PointVolume[]; now: Date },
): Promise<void> {
  for (const volume of work.stored) {
    const { manifestKey } = volume;
    // Without blocks in the vault there is nothing to build on: EBS itself keeps what changed.
    if (manifestKey === null) continue;
    const values = {
      tenantId: row.tenantId,
      connectionId: row.connectionId,
      volumeId: volume.volumeId,
      awsRegion: row.awsRegion,
      snapshotId: volume.snapshotId ?? '',
      runId: volume.runId,
      manifestKey,
      recoveryPointId: pointId,
      updatedAt: work.now,
    };
    await tx
      .insert(volumeBases)
      .values(values)
      .onConflictDoUpdate({
        target: [volumeBases.tenantId, volumeBases.connectionId, volumeBases.volumeId],
        set: values,
      });
    // Older points of the volume were read from snapshots that go now.
    await tx.execute(sql`
      update recovery_points set volumes = (
        select jsonb_agg(case when v->>'volumeId' = ${volume.volumeId} then jsonb_set(v, '{snapshotId}', 'null') else v end)
        from jsonb_array_elements(volumes) v)
      where tenant_id = ${row.tenantId} and connection_id = ${row.connectionId} and instance_id = ${row.instanceId} and id <> ${pointId}
        and volumes @> ${JSON.stringify([{ volumeId: volume.volumeId }])}::jsonb`);
  }
}

type Work = {
  connection: ConnectionRow;
  instance: DiscoveredInstance;
  pointInTime: Date;
  copied: Copied;
  excluded: ExcludedVolume[];
};

/** The recovery point of a finished backup. */
function pointOf(row: BackupJobRow, id: string, work: Work, now: Date): typeof recoveryPoints.$inferInsert {
  const { connection, instance, pointInTime, copied } = work;
  const { tenantId, connectionId, instanceId, awsRegion, planId, ruleId } = row;
  const { name, instanceType, availabilityZone, tags, configuration } = instance;
  return {
    tenantId,
    id,
    state: copied.failed.length > 0 ? 'PARTIAL' : 'COMPLETED',
    kind: copied.stored.some((volume) => volume.kind === 'full') ? 'full' : 'incremental',
    connectionId,
    instanceId,
    awsRegion,
    planId,
    ruleId,
    backupJobId: row.id,
    pointInTime,
    createdTime: now,
    expiresAt: expiryOf(row, pointInTime),
    storage: connection.storage,
    lockedUntil: copied.lockedUntil ?? null,
    instance: { name, instanceType, availabilityZone, tags, configuration },
    volumes: copied.stored,
    excludedVolumes: work.excluded,
  };
}

/** The acknowledgement: point, bases, the job's end and its event, in one transaction under the claim. */
async function commit(worker: Worker, row: BackupJobRow, job: JobRun, work: Work): Promise<void> {
  const { stored, failed } = work.copied;
  const now = worker.clock.now();
  const pointId = pointIdOf(row);
  const state = failed.length > 0 ? ('PARTIAL' as const) : ('COMPLETED' as const);
  const [first] = failed;
  const problem = first
    ? {
        code: first.fault.code,
        title: `${first.volumeId} could not be backed up`,
        detail: first.fault.message,
        retry: first.fault.retry,
      }
    : null;
  const sum = (pick: (volume: PointVolume) => number) => stored.reduce((total, volume) => total + pick(volume), 0);
  const blocks = sum((volume) => volume.blocksRead);
  const progress = {
    blocksDone: blocks,
    blocksTotal: blocks,
    bytesStored: sum((volume) => volume.bytesStored),
    percent: 100,
    step: 'done',
  };
  await withClaim(worker.db, job.claim, async (tx) => {
    await tx.insert(recoveryPoints).values(pointOf(row, pointId, work, now));
    await moveBases(tx, row, pointId, { stored, now });
    const ended = {
      state,
      completedAt: now,
      recoveryPointId: pointId,
      volumes: stored.map(resultOf),
      problem,
      progress,
    };
    await writeJob(tx, job.claim, ended, now);
    const actor = { type: 'system' as const, id: 'worker' };
    const details = { backupJobId: row.id, state };
    await audit(tx, {
      tenantId: row.tenantId,
      cell: worker.region.cell,
      now,
      actor,
      action: 'recovery_point.create',
      resource: pointId,
      details,
    });
  });
}

/** Deletes our snapshots of these volumes that are no base any more: whatever older jobs left, too. */
async function dropOlderSnapshots(
  worker: Worker,
  connection: ConnectionRow,
  row: BackupJobRow,
  keep: readonly OwnSnapshot[],
): Promise<void> {
  const { awsRegion } = row;
  const policy = deleteStep(stepOf(worker, connection, awsRegion));
  await inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, async ({ ec2 }) => {
    const kept = new Set(keep.map(({ snapshotId }) => snapshotId));
    const ours = await findOwnSnapshots(ec2, awsRegion, {
      tenantId: row.tenantId,
      volumeIds: keep.map(({ volumeId }) => volumeId),
    });
    for (const { snapshotId } of ours) if (!kept.has(snapshotId)) await deleteSnapshot(ec2, awsRegion, snapshotId);
  });
}

async function run(worker: Worker, row: BackupJobRow, job: JobRun): Promise<void> {
  reportStep(job, 'looking at the instance');
  const connection = await usableConnection(worker, row);
  const instance = await currentInstance(worker, connection, row);
  reportStep(job, 'taking snapshots');
  const excluded = await settleExclusions(worker, row, job, instance);
  const leaveOut = leftOut(instance, excluded);
  const taken = await takeSnapshots(worker, connection, row, { leaveOut, signal: job.signal });
  const { snapshots } = taken;
  const pointInTime = snapshots[0]?.startedAt ?? worker.clock.now();
  const volumeIds = snapshots.map(({ volumeId }) => volumeId);
  const about = aboutPoint(row, { instance, pointInTime, excluded, volumeIds });
  const lockUntil = lockEndOf(row, pointInTime);
  const copied =
    connection.storage === 'account'
      ? await keepSnapshots(worker, connection, row, { instance, snapshots })
      : await copyToVault(worker, connection, row, { instance, taken, about, lockUntil, run: job });
  await commit(worker, row, job, { connection, instance, pointInTime, copied, excluded });
  // The point is acknowledged. What follows tidies up, and is done again by the next job when it fails.
  const tidy = async () => {
    if (connection.storage === 'vault') await dropOlderSnapshots(worker, connection, row, snapshots);
    await applyRetention(worker, {
      tenantId: row.tenantId,
      connectionId: row.connectionId,
      instanceId: row.instanceId,
    });
  };
  await tidy().catch((error: unknown) =>
    worker.log.log('warn', 'backup.tidying_failed', { jobId: row.id, tenantId: row.tenantId }, error),
  );
}

/** Removes the snapshots of a job that will not go on, where the role still lets us. */
async function cleanUp(worker: Worker, row: BackupJobRow): Promise<void> {
  const connection = await loadConnection(worker, row.tenantId, row.connectionId);
  if (connection?.state !== 'CONNECTED') return;
  const { awsRegion } = row;
  const policy = deleteStep(stepOf(worker, connection, awsRegion));
  await inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, async ({ ec2 }) => {
    const ours = await findOwnSnapshots(ec2, awsRegion, { tenantId: row.tenantId, jobId: row.id });
    for (const { snapshotId } of ours) await deleteSnapshot(ec2, awsRegion, snapshotId);
  });
}

/** Backup jobs: snapshots of one instant, changed blocks into the vault, then the point. */
export const backupKind: JobKind<BackupJobRow> = { table: 'backup', run, cleanUp };
