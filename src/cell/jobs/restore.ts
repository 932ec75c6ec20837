import { and, eq } from 'drizzle-orm';
import { deleteStep, describeStep } from '../../aws/policies/session.ts';
import { deleteSnapshot, findOwnSnapshots } from '../../aws/snapshots.ts';
import { availabilityZones } from '../../aws/volumes.ts';
import { Fault, isFault } from '../../core/faults.ts';
import { assertInJurisdiction } from '../../core/residency.ts';
import { audit } from '../db/audit.ts';
import type { RestoredVolume } from '../db/schema/jobs.ts';
import { recoveryPoints } from '../db/schema/recovery-points.ts';
import { inTenant } from '../db/tenancy.ts';
import type { RestoreJobRow } from '../services/job-views.ts';
import { withClaim, writeJob } from './claim.ts';
import { inParallel } from './parallel.ts';
import { restoreOne, type RestoreTask, targetKey } from './restore-volume.ts';
import type { JobKind, JobRun } from './runner.ts';
import { createTotals } from './totals.ts';
import { loadConnection } from './verify.ts';
import { type ConnectionRow, inAccount, requireUsable, stepOf, type Worker } from './worker.ts';

const VOLUMES_AT_ONCE = 2;

type PointRow = typeof recoveryPoints.$inferSelect;
type Ready = { connection: ConnectionRow; point: PointRow; volumes: PointRow['volumes']; availabilityZone: string };
type Check = { check: string; ok: boolean; detail: string };

async function prepare(worker: Worker, row: RestoreJobRow): Promise<Ready> {
  assertInJurisdiction(worker.region, row.awsRegion);
  const connection = await loadConnection(worker, row.tenantId, row.connectionId);
  if (!connection) throw new Fault('connection_not_usable', 'The connection is gone.');
  requireUsable(connection);
  const one = and(eq(recoveryPoints.tenantId, row.tenantId), eq(recoveryPoints.id, row.recoveryPointId));
  const [point] = await inTenant(worker.db, row.tenantId, (tx) => tx.select().from(recoveryPoints).where(one));
  if (point?.state !== 'COMPLETED' && point?.state !== 'PARTIAL') {
    throw new Fault('recovery_point_not_usable', 'The recovery point is gone or being deleted.', {
      facts: { recoveryPointId: row.recoveryPointId },
    });
  }
  const volumes = point.volumes.filter((volume) => row.volumeIds === null || row.volumeIds.includes(volume.volumeId));
  return {
    connection,
    point,
    volumes,
    availabilityZone: row.target.availabilityZone ?? point.instance.availabilityZone,
  };
}

async function zoneCheck(worker: Worker, row: RestoreJobRow, ready: Ready): Promise<Check[]> {
  if (row.type !== 'volume') return [];
  const policy = describeStep(stepOf(worker, ready.connection, row.awsRegion));
  const zones = await inAccount(
    worker,
    ready.connection,
    { awsRegion: row.awsRegion, jobId: row.id, policy },
    ({ ec2 }) => availabilityZones(ec2, row.awsRegion),
  );
  const ok = zones.includes(ready.availabilityZone);
  return [
    {
      check: 'availability zone',
      ok,
      detail: ok ? `${ready.availabilityZone} exists` : `${ready.availabilityZone} is not among ${zones.join(', ')}`,
    },
  ];
}

/** What a dry run finds. Nothing is made; a refusal is a finding, not an error. */
async function check(worker: Worker, row: RestoreJobRow, ready: Ready): Promise<Check[]> {
  const found: Check[] = [{ check: 'role', ok: true, detail: 'the connection is verified and allows restores' }];
  try {
    found.push(...(await zoneCheck(worker, row, ready)));
  } catch (error) {
    if (!isFault(error) || error.owner !== 'customer-account') throw error;
    found.push({ check: 'permissions', ok: false, detail: error.message });
  }
  for (const missing of ready.connection.missing.filter(({ awsRegion }) => awsRegion === row.awsRegion)) {
    found.push({ check: missing.action, ok: false, detail: missing.detail });
  }
  for (const volume of ready.volumes) {
    const key = targetKey(volume, row.target.kmsKeyArn);
    const listed = key === null || ready.connection.kmsKeyArns.includes(key);
    const detail =
      key === null
        ? 'encrypted under the default key of the account'
        : listed
          ? `encrypted under ${key}`
          : `${key} is not among the keys of the connection`;
    found.push({ check: `key for ${volume.volumeId}`, ok: listed, detail });
  }
  const bytes = ready.volumes.reduce((sum, volume) => sum + volume.volumeBytes, 0);
  found.push({ check: 'size', ok: true, detail: `${ready.volumes.length} volumes, ${bytes} bytes` });
  return found;
}

type Ended = { volumes: RestoredVolume[]; checks: Check[]; leftovers: string[] };

async function commit(worker: Worker, row: RestoreJobRow, job: JobRun, ended: Ended): Promise<void> {
  const now = worker.clock.now();
  await withClaim(worker.db, job.claim, async (tx, current) => {
    const progress = { ...current.progress, percent: 100, step: 'done' };
    await writeJob(tx, job.claim, { state: 'COMPLETED', completedAt: now, progress, ...ended }, now);
    const actor = { type: 'system' as const, id: 'worker' };
    const details = { recoveryPointId: row.recoveryPointId, dryRun: row.dryRun };
    await audit(tx, {
      tenantId: row.tenantId,
      cell: worker.region.cell,
      now,
      actor,
      action: 'restore_job.completed',
      resource: row.id,
      details,
    });
  });
}

async function run(worker: Worker, row: RestoreJobRow, job: JobRun): Promise<void> {
  job.report({ blocksDone: 0, blocksTotal: null, bytesStored: 0, percent: null, step: 'preparing' });
  const ready = await prepare(worker, row);
  if (row.dryRun)
    return commit(worker, row, job, { volumes: [], leftovers: [], checks: await check(worker, row, ready) });
  const onVolume = createTotals('restoring', job.report);
  const ended: Ended = { volumes: [], checks: [], leftovers: [] };
  await inParallel(ready.volumes, VOLUMES_AT_ONCE, async (volume) => {
    const task: RestoreTask = {
      row,
      connection: ready.connection,
      volume,
      availabilityZone: ready.availabilityZone,
      signal: job.signal,
      onProgress: (progress) => onVolume(volume.volumeId, progress),
    };
    const { restored, leftovers } = await restoreOne(worker, task);
    ended.volumes.push(restored);
    ended.leftovers.push(...leftovers);
  });
  await commit(worker, row, job, ended);
}

/** Removes the snapshots that a restore started and will not finish, where the role lets us. */
async function cleanUp(worker: Worker, row: RestoreJobRow): Promise<void> {
  const connection = await loadConnection(worker, row.tenantId, row.connectionId);
  if (connection?.state !== 'CONNECTED' || row.dryRun) return;
  const { awsRegion } = row;
  const policy = deleteStep(stepOf(worker, connection, awsRegion));
  await inAccount(worker, connection, { awsRegion, jobId: row.id, policy }, async ({ ec2 }) => {
    const ours = await findOwnSnapshots(ec2, awsRegion, { tenantId: row.tenantId, jobId: row.id });
    for (const { snapshotId } of ours) await deleteSnapshot(ec2, awsRegion, snapshotId);
  });
}

/** Restore jobs: from the vault to snapshots and volumes of the target account. */
export const restoreKind: JobKind<RestoreJobRow> = { table: 'restore', run, cleanUp };
