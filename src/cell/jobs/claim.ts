import { and, eq, inArray, ne, sql } from 'drizzle-orm';
import { Fault } from '../../core/faults.ts';
import type { Database, Tx } from '../db/client.ts';
import { backupJobs, type JobProgress, type JobState, jobEvents, restoreJobs } from '../db/schema/jobs.ts';
import { inTenant } from '../db/tenancy.ts';
import { type BackupJobRow, backupJobView, type RestoreJobRow, restoreJobView } from '../services/job-views.ts';

/** The two tables of jobs, told apart where their rows differ. */
export type JobTable = 'backup' | 'restore';
export type JobRow = BackupJobRow | RestoreJobRow;
export type JobRef = { table: JobTable; tenantId: string; jobId: string };

/** The right to act for a job, until another claim of it is made. */
export type Claim = JobRef & { fence: number; attempts: number };

/** What a worker may change of its job; `volumes` are of the job's own kind. */
export type JobChange = Partial<
  Omit<BackupJobRow & RestoreJobRow, 'tenantId' | 'id' | 'fence' | 'createdAt' | 'volumes'>
> & {
  volumes?: BackupJobRow['volumes'] | RestoreJobRow['volumes'];
};

/** States of a job that has not ended. */
export const OPEN_STATES: readonly JobState[] = ['CREATED', 'PENDING', 'RUNNING', 'ABORTING'];

export async function lockJob(tx: Tx, { table, tenantId, jobId }: JobRef): Promise<JobRow | undefined> {
  if (table === 'backup') {
    const one = and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, jobId));
    return (await tx.select().from(backupJobs).where(one).for('update'))[0];
  }
  const one = and(eq(restoreJobs.tenantId, tenantId), eq(restoreJobs.id, jobId));
  return (await tx.select().from(restoreJobs).where(one).for('update'))[0];
}

/** Writes a change to a locked job. A change of state is an event, in the same transaction. */
export async function writeJob(tx: Tx, job: JobRef, change: JobChange & { fence?: number }, now: Date): Promise<void> {
  const { table, tenantId, jobId } = job;
  const after =
    table === 'backup'
      ? (
          await tx
            .update(backupJobs)
            .set(change as Partial<BackupJobRow>)
            .where(and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, jobId)))
            .returning()
        ).map(backupJobView)[0]
      : (
          await tx
            .update(restoreJobs)
            .set(change as Partial<RestoreJobRow>)
            .where(and(eq(restoreJobs.tenantId, tenantId), eq(restoreJobs.id, jobId)))
            .returning()
        ).map(restoreJobView)[0];
  if (change.state !== undefined && after)
    await tx.insert(jobEvents).values({ tenantId, jobId, type: 'state', data: after, time: now });
}

/** Serialises what is done to one instance: its backups, and swapping its volumes. False: somebody else is at it. */
export async function tryLockInstance(
  tx: Tx,
  tenantId: string,
  connectionId: string,
  instanceId: string,
): Promise<boolean> {
  const key = `${tenantId}/${connectionId}/${instanceId}`;
  const { rows } = await tx.execute<{ locked: boolean }>(
    sql`select pg_try_advisory_xact_lock(hashtextextended(${key}, 0)) as locked`,
  );
  return rows[0]?.locked === true;
}

/** Are the volumes of an instance being swapped? A backup would find some of them missing, and call that the instance. */
async function beingSwapped(tx: Tx, row: BackupJobRow): Promise<boolean> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select job.id from restore_jobs job join recovery_points point
      on point.tenant_id = job.tenant_id and point.id = job.recovery_point_id
    where job.tenant_id = ${row.tenantId} and job.mode = 'inPlace' and job.state in ('PENDING', 'RUNNING', 'ABORTING')
      and point.connection_id = ${row.connectionId} and point.instance_id = ${row.instanceId}
      and job.made @? '$[*] ? (@.step starts with "previous ")' limit 1`);
  return rows.length > 0;
}

/** Does a backup of this instance run now, other than `except`? */
export async function backupRuns(
  tx: Tx,
  row: Pick<BackupJobRow, 'tenantId' | 'connectionId' | 'instanceId'>,
  except = '',
): Promise<boolean> {
  const others = await tx
    .select({ id: backupJobs.id })
    .from(backupJobs)
    .where(
      and(
        eq(backupJobs.tenantId, row.tenantId),
        eq(backupJobs.connectionId, row.connectionId),
        eq(backupJobs.instanceId, row.instanceId),
        inArray(backupJobs.state, ['RUNNING', 'ABORTING']),
        ne(backupJobs.id, except),
      ),
    );
  return others.length > 0;
}

async function instanceBusy(tx: Tx, row: BackupJobRow): Promise<boolean> {
  if (!(await tryLockInstance(tx, row.tenantId, row.connectionId, row.instanceId))) return true;
  return (await backupRuns(tx, row, row.id)) || beingSwapped(tx, row);
}

export type ClaimResult = { kind: 'claimed'; claim: Claim; row: JobRow } | { kind: 'busy' } | { kind: 'over' };

/**
 * Takes a job: its fencing number goes up, so that whoever had it before can change nothing any more. `over`: there is
 * nothing left to do. `busy`: another backup of the instance runs.
 */
export function claimJob(db: Database, job: JobRef, now: Date): Promise<ClaimResult> {
  return inTenant(db, job.tenantId, async (tx): Promise<ClaimResult> => {
    const row = await lockJob(tx, job);
    if (!row || !OPEN_STATES.includes(row.state)) return { kind: 'over' };
    if (row.state === 'ABORTING' && row.startedAt === null) return { kind: 'over' };
    if ('startBefore' in row && row.startedAt === null && row.startBefore !== null && row.startBefore <= now) {
      const problem = {
        code: 'unavailable',
        title: 'Not started in time',
        detail: 'The job did not start within its start window.',
        retry: 'never' as const,
      };
      await writeJob(tx, job, { state: 'EXPIRED', completedAt: now, problem, blocked: null }, now);
      return { kind: 'over' };
    }
    if (job.table === 'backup' && (await instanceBusy(tx, row as BackupJobRow))) return { kind: 'busy' };
    const fence = row.fence + 1;
    const attempts = row.attempts + 1;
    const state = row.state === 'ABORTING' ? 'ABORTING' : 'RUNNING';
    await writeJob(tx, job, { state, fence, attempts, startedAt: row.startedAt ?? now, blocked: null }, now);
    return { kind: 'claimed', claim: { ...job, fence, attempts }, row: { ...row, state, fence, attempts } };
  });
}

/**
 * One effect of a claimed job, in one transaction that first checks that the claim still holds.
 *
 * @throws Fault `stale_claim` when another worker has taken over, `aborted` when the tenant asked for the end (unless
 *   `evenIfAborting`)
 */
export function withClaim<T>(
  db: Database,
  claim: Claim,
  work: (tx: Tx, row: JobRow) => Promise<T>,
  options: { evenIfAborting?: boolean } = {},
): Promise<T> {
  return inTenant(db, claim.tenantId, async (tx) => {
    const row = await lockJob(tx, claim);
    if (!row || row.fence !== claim.fence || !['RUNNING', 'ABORTING'].includes(row.state)) {
      throw new Fault('stale_claim', 'Another worker has taken over this job.');
    }
    if (row.state === 'ABORTING' && !options.evenIfAborting)
      throw new Fault('aborted', 'The job was aborted on request.');
    return work(tx, row);
  });
}

/** Records progress, as an event too. Throws as `withClaim`: a job that is to end learns it here. */
export function reportProgress(db: Database, claim: Claim, progress: JobProgress, now: Date): Promise<void> {
  return withClaim(db, claim, async (tx) => {
    await writeJob(tx, claim, { progress }, now);
    await tx
      .insert(jobEvents)
      .values({ tenantId: claim.tenantId, jobId: claim.jobId, type: 'progress', data: progress, time: now });
  });
}
