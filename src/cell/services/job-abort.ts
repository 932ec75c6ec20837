import { and, eq, inArray } from 'drizzle-orm';
import type { Tx } from '../db/client.ts';
import { backupJobs, type JobState, jobEvents, restoreJobs } from '../db/schema/jobs.ts';
import type { Enqueue } from '../queue.ts';
import { type BackupJobRow, backupJobView, type RestoreJobRow, restoreJobView } from './job-views.ts';

type Scope = { tx: Tx; tenantId: string; enqueue: Enqueue };

const OPEN: JobState[] = ['CREATED', 'PENDING', 'RUNNING'];

/**
 * What an abort changes, or null when there is nothing left to abort. A job that never started ends here, and takes its
 * claims with it: a worker that is just picking it up finds its number outdated. One that has started, also if it waits
 * for something now, may have made things in the account: a worker removes them and ends it.
 */
function changes(row: { state: JobState; fence: number; startedAt: Date | null }, now: Date) {
  if (!OPEN.includes(row.state)) return null;
  if (row.startedAt !== null || row.state === 'RUNNING') return { state: 'ABORTING' as const, blocked: null };
  return { state: 'ABORTED' as const, completedAt: now, blocked: null, fence: row.fence + 1 };
}

/** Nobody works on a job that waits: it is delivered again, so that its end does not wait too. */
const isIdle = (row: { state: JobState }, change: { state: JobState }) =>
  row.state === 'PENDING' && change.state === 'ABORTING';

/**
 * Aborts a locked backup job. Its event is written after the row: events of one job are ordered by the row's lock.
 *
 * @returns the job as it is now, or null when nothing changed
 */
export async function abortBackup(
  { tx, tenantId, enqueue }: Scope,
  row: BackupJobRow,
  now: Date,
): Promise<BackupJobRow | null> {
  const change = changes(row, now);
  if (!change) return null;
  await tx
    .update(backupJobs)
    .set(change)
    .where(and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, row.id)));
  const after = { ...row, ...change };
  await tx.insert(jobEvents).values({ tenantId, jobId: row.id, type: 'state', data: backupJobView(after), time: now });
  if (isIdle(row, change)) await enqueue(tx, { kind: 'backup', tenantId, jobId: row.id });
  return after;
}

/** As `abortBackup`, for a restore job. */
export async function abortRestore(
  { tx, tenantId, enqueue }: Scope,
  row: RestoreJobRow,
  now: Date,
): Promise<RestoreJobRow | null> {
  const change = changes(row, now);
  if (!change) return null;
  await tx
    .update(restoreJobs)
    .set(change)
    .where(and(eq(restoreJobs.tenantId, tenantId), eq(restoreJobs.id, row.id)));
  const after = { ...row, ...change };
  await tx.insert(jobEvents).values({ tenantId, jobId: row.id, type: 'state', data: restoreJobView(after), time: now });
  if (isIdle(row, change)) await enqueue(tx, { kind: 'restore', tenantId, jobId: row.id });
  return after;
}

/** Aborts every open job of a connection that ends. */
export async function abortJobsOf(scope: Scope, connectionId: string, now: Date): Promise<number> {
  const { tx, tenantId } = scope;
  const backups = await tx
    .select()
    .from(backupJobs)
    .where(
      and(
        eq(backupJobs.tenantId, tenantId),
        eq(backupJobs.connectionId, connectionId),
        inArray(backupJobs.state, OPEN),
      ),
    )
    .for('update');
  const restores = await tx
    .select()
    .from(restoreJobs)
    .where(
      and(
        eq(restoreJobs.tenantId, tenantId),
        eq(restoreJobs.connectionId, connectionId),
        inArray(restoreJobs.state, OPEN),
      ),
    )
    .for('update');
  for (const row of backups) await abortBackup(scope, row, now);
  for (const row of restores) await abortRestore(scope, row, now);
  return backups.length + restores.length;
}
