import type { backupJobs, restoreJobs } from '../db/schema/jobs.ts';

export type BackupJobRow = typeof backupJobs.$inferSelect;
export type RestoreJobRow = typeof restoreJobs.$inferSelect;

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

function baseView(row: BackupJobRow | RestoreJobRow) {
  return {
    id: row.id,
    state: row.state,
    connectionId: row.connectionId,
    awsRegion: row.awsRegion,
    progress: row.progress,
    blocked: row.blocked,
    problem: row.problem,
    attempts: row.attempts,
    createdAt: row.createdAt.toISOString(),
    startedAt: iso(row.startedAt),
    completedAt: iso(row.completedAt),
  };
}

/** A backup job as the API and its `state` events show it. */
export function backupJobView(row: BackupJobRow) {
  return {
    ...baseView(row),
    instanceId: row.instanceId,
    planId: row.planId,
    ruleId: row.ruleId,
    scheduledFor: iso(row.scheduledFor),
    recoveryPointId: row.recoveryPointId,
    volumes: row.volumes,
  };
}

/** A restore job as the API and its `state` events show it. */
export function restoreJobView(row: RestoreJobRow) {
  return {
    ...baseView(row),
    recoveryPointId: row.recoveryPointId,
    type: row.type,
    mode: row.mode,
    target: row.target,
    dryRun: row.dryRun,
    volumes: row.volumes,
    instance: row.instance,
    checks: row.checks,
    cost: row.cost,
    leftovers: row.leftovers,
  };
}
