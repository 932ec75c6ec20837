import { and, desc, eq, lt, ne, or, type SQL } from 'drizzle-orm';
import { recoveryPoints } from '../db/schema/recovery-points.ts';
import { found, wellFormed } from './absence.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';
import { loadVerification, type PointVerification } from './verifications.ts';

export type RecoveryPointRow = typeof recoveryPoints.$inferSelect;
/** A point, and what verification says of it. */
export type RecoveryPointDetail = RecoveryPointRow & { verification: PointVerification | null };
type Filters = Partial<Record<'connectionId' | 'instanceId' | 'planId', string | undefined>>;

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

/** Recovery points. Only the worker makes one, and only it deletes one, on retention or on request. */
export function createRecoveryPoints({ page }: { page: Paginate }) {
  return {
    async get(scope: TenantScope, id: string): Promise<RecoveryPointDetail> {
      const point = await requirePoint(scope, id);
      return { ...point, verification: await loadVerification(scope, point) };
    },

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
  };
}

export type RecoveryPoints = ReturnType<typeof createRecoveryPoints>;
