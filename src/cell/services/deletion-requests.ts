import { and, desc, eq, inArray, lt } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { deletionRequests } from '../db/schema/recovery-points.ts';
import { found, wellFormed } from './absence.ts';
import type { PageQuery, Paginate } from './pages.ts';
import { requirePoint } from './recovery-points.ts';
import type { TenantScope } from './scope.ts';

export type DeletionRequestRow = typeof deletionRequests.$inferSelect;
type Deps = { cell: string; clock: Clock; page: Paginate };

/** Time for someone to notice that a stolen key asks for deletions: longer than a weekend. */
const DELETION_DELAY_MS = 72 * 60 * 60 * 1000;

const PENDING: DeletionRequestRow['state'][] = ['WAITING_APPROVAL', 'SCHEDULED'];

/** Requests to delete recovery points: scheduled here, carried out by the worker when their time has come. */
export function createDeletionRequests({ cell, clock, page }: Deps) {
  return {
    /** Schedules the deletion; asking again gives the request that is already there. */
    async create(scope: TenantScope, id: string): Promise<DeletionRequestRow> {
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
      if (point.lockedUntil !== null && point.lockedUntil > now)
        throw new Fault(
          'recovery_point_locked',
          `This recovery point is locked until ${point.lockedUntil.toISOString()}: nobody can delete it before.`,
          { facts: { recoveryPointId: id, lockedUntil: point.lockedUntil.toISOString() } },
        );
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

    list({ tx, tenantId }: TenantScope, query: PageQuery) {
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
    async cancel({ tx, tenantId, actor }: TenantScope, id: string): Promise<DeletionRequestRow> {
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

export type DeletionRequests = ReturnType<typeof createDeletionRequests>;
