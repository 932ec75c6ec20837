import { and, desc, eq, lt, type SQL } from 'drizzle-orm';
import type { Region } from '../../../regions/types.ts';
import type { Clock } from '../../core/clock.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { type JobState, jobEvents, restoreJobs } from '../db/schema/jobs.ts';
import type { Enqueue } from '../queue.ts';
import { found, wellFormed } from './absence.ts';
import { NO_PROGRESS, requireConnected } from './backup-jobs.ts';
import { requireConnection } from './connections.ts';
import { abortRestore } from './job-abort.ts';
import { type RestoreJobRow, restoreJobView } from './job-views.ts';
import type { PageQuery, Paginate } from './pages.ts';
import { requirePoint } from './recovery-points.ts';
import {
  requireRestorable,
  requireRestoreAllowed,
  requireTargetAtHome,
  resolveTarget,
  type RestoreInput,
} from './restore-rules.ts';
import type { TenantScope } from './scope.ts';

type Filters = Partial<Record<'connectionId' | 'recoveryPointId', string | undefined>> & {
  state?: JobState | undefined;
};
type Deps = { region: Region; clock: Clock; enqueue: Enqueue; page: Paginate };

function listRestoreJobs({ tx, tenantId }: TenantScope, query: PageQuery & Filters, page: Paginate) {
  const { connectionId, recoveryPointId, state } = query;
  const load = (after: string | null, limit: number) => {
    const conditions: (SQL | undefined)[] = [
      eq(restoreJobs.tenantId, tenantId),
      connectionId === undefined ? undefined : eq(restoreJobs.connectionId, connectionId),
      recoveryPointId === undefined ? undefined : eq(restoreJobs.recoveryPointId, recoveryPointId),
      state === undefined ? undefined : eq(restoreJobs.state, state),
      after === null ? undefined : lt(restoreJobs.id, after),
    ];
    return tx
      .select()
      .from(restoreJobs)
      .where(and(...conditions))
      .orderBy(desc(restoreJobs.id))
      .limit(limit);
  };
  const filters = { connectionId, recoveryPointId, state };
  return page(query, { tenantId, name: 'restore-jobs', filters, keyOf: (row: RestoreJobRow) => row.id, load });
}

function newJob(input: RestoreInput, { tenantId, id, now }: { tenantId: string; id: string; now: Date }) {
  const { target, recoveryPointId, type, mode, dryRun } = input;
  return {
    tenantId,
    id,
    connectionId: target.connectionId,
    awsRegion: target.awsRegion,
    state: 'CREATED' as const,
    progress: NO_PROGRESS,
    createdAt: now,
    recoveryPointId,
    type,
    mode,
    volumeIds: input.volumeIds ?? null,
    volumeOptions: input.volumes ?? [],
    instanceOptions: input.instance ?? {},
    target,
    dryRun,
    volumes: [],
    checks: [],
    leftovers: [],
  };
}

/** Restores on demand: everything that can be refused without AWS is refused here. */
export function createRestoreJobs({ region, clock, enqueue, page }: Deps) {
  const { cell } = region;
  const one = (tenantId: string, id: string) =>
    and(eq(restoreJobs.tenantId, tenantId), eq(restoreJobs.id, wellFormed('restoreJob', id, 'restore job')));
  return {
    /**
     * @throws Fault `residency_violation` first of all; then `not_found`, `recovery_point_not_usable`,
     * `connection_not_usable`, `restore_not_enabled`, `outside_connection_limits`, `invalid_request`,
     * `less_encrypted_than_source`
     */
    async create(scope: TenantScope, body: RestoreInput): Promise<RestoreJobRow> {
      const { tx, tenantId, actor } = scope;
      requireTargetAtHome(region, body);
      const point = await requirePoint(scope, body.recoveryPointId, 'share');
      requireRestorable(point);
      const connection = await requireConnection(scope, body.target.connectionId, 'share');
      requireConnected(connection);
      requireRestoreAllowed(connection, body, point);
      const target = resolveTarget(point, body);
      const now = clock.now();
      const values = newJob({ ...body, target }, { tenantId, id: newId('restoreJob', cell, now), now });
      const [inserted] = await tx.insert(restoreJobs).values(values).returning();
      const row = found(inserted, 'restore job');
      await tx
        .insert(jobEvents)
        .values({ tenantId, jobId: row.id, type: 'state', data: restoreJobView(row), time: now });
      await enqueue(tx, { kind: 'restore', tenantId, jobId: row.id });
      const details = {
        recoveryPointId: point.id,
        connectionId: target.connectionId,
        type: row.type,
        mode: row.mode,
        dryRun: row.dryRun,
      };
      await audit(tx, { tenantId, cell, now, actor, action: 'restore_job.create', resource: row.id, details });
      return row;
    },

    list: (scope: TenantScope, query: PageQuery & Filters) => listRestoreJobs(scope, query, page),

    async get({ tx, tenantId }: TenantScope, id: string): Promise<RestoreJobRow> {
      const [row] = await tx.select().from(restoreJobs).where(one(tenantId, id));
      return found(row, 'restore job');
    },

    /** What never started ends now; what has started is asked to; what has ended stays as it is, without an event. */
    async abort(scope: TenantScope, id: string): Promise<RestoreJobRow> {
      const { tx, tenantId, actor } = scope;
      const [locked] = await tx.select().from(restoreJobs).where(one(tenantId, id)).for('update');
      const row = found(locked, 'restore job');
      const now = clock.now();
      const after = await abortRestore({ tx, tenantId, enqueue }, row, now);
      if (!after) return row;
      const details = { from: row.state, to: after.state };
      await audit(tx, { tenantId, cell, now, actor, action: 'restore_job.abort', resource: id, details });
      return after;
    },
  };
}

export type RestoreJobs = ReturnType<typeof createRestoreJobs>;
