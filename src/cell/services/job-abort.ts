import { and, eq, inArray } from 'drizzle-orm';
import type { Tx } from '../db/client.ts';
import { backupJobs, type JobState, jobEvents, restoreJobs } from '../db/schema/jobs.ts';
import { type BackupJobRow, backupJobView, type RestoreJobRow, restoreJobView } from './job-views.ts';

type Scope = { tx: Tx; tenantId: string };

/** States in which nothing has happened in the account yet: abort ends such a job at once. */
const NOT_STARTED: readonly JobState[] = ['CREATED', 'PENDING'];

/** A job's state after an abort, or null when there is nothing left to abort. */
export function stateAfterAbort(state: JobState): 'ABORTED' | 'ABORTING' | null {
  if (NOT_STARTED.includes(state)) return 'ABORTED';
  return state === 'RUNNING' ? 'ABORTING' : null;
}

function changes(row: { state: JobState; fence: number }, now: Date) {
  const state = stateAfterAbort(row.state);
  if (state === null) return null;
  // A job that ends here takes its claims with it: a worker that is just picking it up finds its number outdated.
  return state === 'ABORTED' ? { state, completedAt: now, blocked: null, fence: row.fence + 1 } : { state };
}

/**
 * Aborts a locked backup job. Its event is written after the row: events of one job are ordered by the row's lock.
 *
 * @returns the job as it is now, and whether anything changed
 */
export async function abortBackup({ tx, tenantId }: Scope, row: BackupJobRow, now: Date): Promise<BackupJobRow | null> {
  const change = changes(row, now);
  if (!change) return null;
  await tx
    .update(backupJobs)
    .set(change)
    .where(and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, row.id)));
  const after = { ...row, ...change };
  await tx.insert(jobEvents).values({ tenantId, jobId: row.id, type: 'state', data: backupJobView(after), time: now });
  return after;
}

/** As `abortBackup`, for a restore job. */
export async function abortRestore(
  { tx, tenantId }: Scope,
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
  return after;
}

/** Aborts every open job of a connection that ends. */
export async function abortJobsOf(scope: Scope, connectionId: string, now: Date): Promise<number> {
  const { tx, tenantId } = scope;
  const open: JobState[] = [...NOT_STARTED, 'RUNNING'];
  const backups = await tx
    .select()
    .from(backupJobs)
    .where(
      and(
        eq(backupJobs.tenantId, tenantId),
        eq(backupJobs.connectionId, connectionId),
        inArray(backupJobs.state, open),
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
        inArray(restoreJobs.state, open),
      ),
    )
    .for('update');
  for (const row of backups) await abortBackup(scope, row, now);
  for (const row of restores) await abortRestore(scope, row, now);
  return backups.length + restores.length;
}
