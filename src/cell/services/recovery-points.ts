import { and, desc, eq, inArray, lt, ne, or, type SQL } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { deletionRequests, recoveryPoints } from '../db/schema/recovery-points.ts';
import { found, wellFormed } from './absence.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

export type RecoveryPointRow = typeof recoveryPoints.$inferSelect;
export type DeletionRequestRow = typeof deletionRequests.$inferSelect;
type Filters = Partial<Record<'connectionId' | 'instanceId' | 'planId', string | undefined>>;
type Deps = { cell: string; clock: Clock; page: Paginate };

/** Time for someone to notice that a stolen key asks for deletions: longer than a weekend. */
export const DELETION_DELAY_MS = 72 * 60 * 60 * 1000;

const PENDING: DeletionRequestRow['state'][] = ['WAITING_APPROVAL', 'SCHEDULED'];

/** A recovery point of this tenant; a deleted one is not there. */
export async function requirePoint(
  { tx, tenantId }: Omit<TenantScope, 'actor'>,
  id: string,
  lock?: 'share' | 'update',
): Promise<RecoveryPointRow> {
  const one = and(
    eq(recoveryPoints.tenantId, tenantId),
    eq(recoveryPoints.id, wellFormed('recoveryPoint', id, 'recovery point')),
    ne(recoveryPoints.state, 'DELETED'),
  );
  const query = tx.select().from(recoveryPoints).where(one);
  const [row] = await (lock === undefined ? query : query.for(lock));
  return found(row, 'recovery point');
}

/** Sort key of the list: the instant of the data, then the id. */
const keyOf = (row: RecoveryPointRow) => `${row.pointInTime.toISOString()} ${row.id}`;

function olderThan(key: string | null): SQL | undefined {
  if (key === null) return undefined;
  const [time = '', id = ''] = key.split(' ');
  const at = new Date(time);
  return or(lt(recoveryPoints.pointInTime, at), and(eq(recoveryPoints.pointInTime, at), lt(recoveryPoints.id, id)));
}

/** Recovery points, and the requests to delete them. Only the worker makes a point, and only after a delay deletes one. */
export function createRecoveryPoints({ cell, clock, page }: Deps) {
  return {
    get: (scope: TenantScope, id: string) => requirePoint(scope, id),

    list({ tx, tenantId }: TenantScope, query: PageQuery & Filters) {
      const { connectionId, instanceId, planId } = query;
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(recoveryPoints)
          .where(
            and(
              eq(recoveryPoints.tenantId, tenantId),
              ne(recoveryPoints.state, 'DELETED'),
              connectionId === undefined ? undefined : eq(recoveryPoints.connectionId, connectionId),
              instanceId === undefined ? undefined : eq(recoveryPoints.instanceId, instanceId),
              planId === undefined ? undefined : eq(recoveryPoints.planId, planId),
              olderThan(after),
            ),
          )
          .orderBy(desc(recoveryPoints.pointInTime), desc(recoveryPoints.id))
          .limit(limit);
      const filters = { connectionId, instanceId, planId };
      return page(query, { tenantId, name: 'recovery-points', filters, keyOf, load });
    },

    /** Schedules the deletion; asking again gives the request that is already there. */
    async requestDeletion(scope: TenantScope, id: string): Promise<DeletionRequestRow> {
      const { tx, tenantId, actor } = scope;
      const point = await requirePoint(scope, id, 'update'); // the lock makes two requests at once one
      const [pending] = await tx
        .select()
        .from(deletionRequests)
        .where(
          and(
            eq(deletionRequests.tenantId, tenantId),
            eq(deletionRequests.recoveryPointId, id),
            inArray(deletionRequests.state, PENDING),
          ),
        );
      if (pending) return pending;
      if (point.state === 'DELETING')
        throw new Fault('recovery_point_not_usable', 'The recovery point is being deleted.');
      const now = clock.now();
      const row: DeletionRequestRow = {
        tenantId,
        id: newId('deletionRequest', cell, now),
        state: 'SCHEDULED',
        recoveryPointId: id,
        notBefore: new Date(now.getTime() + DELETION_DELAY_MS),
        createdAt: now,
      };
      await tx.insert(deletionRequests).values(row);
      const details = { deletionRequestId: row.id, notBefore: row.notBefore.toISOString() };
      await audit(tx, { tenantId, cell, now, actor, action: 'recovery_point.delete', resource: id, details });
      return row;
    },

    listDeletionRequests({ tx, tenantId }: TenantScope, query: PageQuery) {
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(deletionRequests)
          .where(
            and(eq(deletionRequests.tenantId, tenantId), after === null ? undefined : lt(deletionRequests.id, after)),
          )
          .orderBy(desc(deletionRequests.id))
          .limit(limit);
      return page(query, { tenantId, name: 'deletion-requests', keyOf: (row: DeletionRequestRow) => row.id, load });
    },

    /** @throws Fault `not_found`; `conflict` when it is done. Cancelling twice changes nothing. */
    async cancelDeletion({ tx, tenantId, actor }: TenantScope, id: string): Promise<DeletionRequestRow> {
      const one = and(
        eq(deletionRequests.tenantId, tenantId),
        eq(deletionRequests.id, wellFormed('deletionRequest', id, 'deletion request')),
      );
      const [locked] = await tx.select().from(deletionRequests).where(one).for('update');
      const row = found(locked, 'deletion request');
      if (row.state === 'CANCELLED') return row;
      if (row.state === 'DONE') throw new Fault('conflict', 'The recovery point has been deleted already.');
      const now = clock.now();
      await tx.update(deletionRequests).set({ state: 'CANCELLED' }).where(one);
      const details = { recoveryPointId: row.recoveryPointId };
      await audit(tx, { tenantId, cell, now, actor, action: 'deletion_request.cancel', resource: id, details });
      return { ...row, state: 'CANCELLED' };
    },
  };
}

export type RecoveryPoints = ReturnType<typeof createRecoveryPoints>;
