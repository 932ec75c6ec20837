import { and, desc, eq, lt, type SQL } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { instances } from '../db/schema/connections.ts';
import { backupJobs, type JobProgress, type JobState, jobEvents } from '../db/schema/jobs.ts';
import type { Retention } from '../db/schema/plans.ts';
import type { Enqueue } from '../queue.ts';
import { GONE } from '../selection/obstacles.ts';
import { found, wellFormed } from './absence.ts';
import { type ConnectionRow, requireConnection } from './connections.ts';
import { abortBackup } from './job-abort.ts';
import { type BackupJobRow, backupJobView } from './job-views.ts';
import { requireLockable } from './locks.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

type BackupInput = { connectionId: string; instanceId: string; retention?: Retention | undefined };
type Filters = Partial<Record<'connectionId' | 'instanceId' | 'planId', string | undefined>> & {
  state?: JobState | undefined;
};
type Deps = { cell: string; clock: Clock; enqueue: Enqueue; page: Paginate };

export const NO_PROGRESS: JobProgress = {
  blocksDone: 0,
  blocksTotal: null,
  bytesStored: 0,
  percent: null,
  step: 'waiting',
};

/** @throws Fault `connection_not_usable` with the state that the connection is in */
export function requireConnected(connection: ConnectionRow): void {
  if (connection.state === 'CONNECTED') return;
  throw new Fault('connection_not_usable', `The connection is ${connection.state}. Verify it first.`, {
    facts: { connectionId: connection.id, state: connection.state },
  });
}

async function requireInstance({ tx, tenantId }: TenantScope, { connectionId, instanceId }: BackupInput) {
  const [row] = await tx
    .select()
    .from(instances)
    .where(
      and(
        eq(instances.tenantId, tenantId),
        eq(instances.connectionId, connectionId),
        eq(instances.instanceId, instanceId),
      ),
    );
  if (!row || row.state === GONE)
    throw new Fault(
      'instance_not_found',
      `${instanceId} is not among the instances of this connection. Check its tag, VPC and region, then verify again.`,
      { facts: { instanceId, connectionId } },
    );
  if (row.state === 'terminated')
    throw new Fault('instance_terminated', `${instanceId} is terminated; its recovery points can still be restored.`, {
      facts: { instanceId, connectionId },
    });
  return row;
}

function listBackupJobs({ tx, tenantId }: TenantScope, query: PageQuery & Filters, page: Paginate) {
  const { connectionId, instanceId, planId, state } = query;
  const load = (after: string | null, limit: number) => {
    const conditions: (SQL | undefined)[] = [
      eq(backupJobs.tenantId, tenantId),
      connectionId === undefined ? undefined : eq(backupJobs.connectionId, connectionId),
      instanceId === undefined ? undefined : eq(backupJobs.instanceId, instanceId),
      planId === undefined ? undefined : eq(backupJobs.planId, planId),
      state === undefined ? undefined : eq(backupJobs.state, state),
      after === null ? undefined : lt(backupJobs.id, after),
    ];
    return tx
      .select()
      .from(backupJobs)
      .where(and(...conditions))
      .orderBy(desc(backupJobs.id))
      .limit(limit);
  };
  const filters = { connectionId, instanceId, planId, state };
  return page(query, { tenantId, name: 'backup-jobs', filters, keyOf: (row: BackupJobRow) => row.id, load });
}

/** Backups on demand, and every backup job there is. */
export function createBackupJobs({ cell, clock, enqueue, page }: Deps) {
  const lockedJob = async ({ tx, tenantId }: TenantScope, id: string): Promise<BackupJobRow> => {
    const one = and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, wellFormed('backupJob', id, 'backup job')));
    const [row] = await tx.select().from(backupJobs).where(one).for('update');
    return found(row, 'backup job');
  };
  return {
    /** @throws Fault `not_found`, `connection_not_usable`, `instance_not_found`, `instance_terminated` */
    async create(scope: TenantScope, body: BackupInput): Promise<BackupJobRow> {
      const { tx, tenantId, actor } = scope;
      requireConnected(await requireConnection(scope, body.connectionId, 'share'));
      await requireLockable(scope, [{ retention: body.retention ?? null, pointer: '/retention' }], [body.connectionId]);
      const instance = await requireInstance(scope, body);
      const now = clock.now();
      const values = {
        tenantId,
        id: newId('backupJob', cell, now),
        connectionId: body.connectionId,
        awsRegion: instance.awsRegion,
        state: 'CREATED' as const,
        progress: NO_PROGRESS,
        createdAt: now,
        instanceId: body.instanceId,
        retention: body.retention ?? null,
        volumes: [],
      };
      const [inserted] = await tx.insert(backupJobs).values(values).returning();
      const row = found(inserted, 'backup job');
      await tx
        .insert(jobEvents)
        .values({ tenantId, jobId: row.id, type: 'state', data: backupJobView(row), time: now });
      await enqueue(tx, { kind: 'backup', tenantId, jobId: row.id });
      const details = { connectionId: body.connectionId, instanceId: body.instanceId };
      await audit(tx, { tenantId, cell, now, actor, action: 'backup_job.create', resource: row.id, details });
      return row;
    },

    list: (scope: TenantScope, query: PageQuery & Filters) => listBackupJobs(scope, query, page),

    async get({ tx, tenantId }: TenantScope, id: string): Promise<BackupJobRow> {
      const one = and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, wellFormed('backupJob', id, 'backup job')));
      const [row] = await tx.select().from(backupJobs).where(one);
      return found(row, 'backup job');
    },

    /** What never started ends now; what has started is asked to; what has ended stays as it is, without an event. */
    async abort(scope: TenantScope, id: string): Promise<BackupJobRow> {
      const { tx, tenantId, actor } = scope;
      const row = await lockedJob(scope, id);
      const now = clock.now();
      const after = await abortBackup({ tx, tenantId, enqueue }, row, now);
      if (!after) return row;
      const details = { from: row.state, to: after.state };
      await audit(tx, { tenantId, cell, now, actor, action: 'backup_job.abort', resource: id, details });
      return after;
    },
  };
}

export type BackupJobs = ReturnType<typeof createBackupJobs>;
