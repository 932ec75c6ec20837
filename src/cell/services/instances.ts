import { and, desc, eq, lt, notInArray } from 'drizzle-orm';
import { instances } from '../db/schema/connections.ts';
import { ABSENT } from '../selection/obstacles.ts';
import { found, wellFormed } from './absence.ts';
import type { PageQuery, Paginate } from './pages.ts';
import { loadPolicies, type Protection, protectionOf } from './protection.ts';
import type { TenantScope } from './scope.ts';

export type InstanceRow = typeof instances.$inferSelect;
type Filters = { connectionId?: string | undefined; awsRegion?: string | undefined; instanceId?: string | undefined };

/** Instances looked at in one go for those that no plan selects: most are selected. */
const BATCH_ROWS = 500;

async function requireInstance({ tx, tenantId }: TenantScope, id: string): Promise<InstanceRow> {
  const one = and(eq(instances.tenantId, tenantId), eq(instances.id, wellFormed('instance', id, 'instance')));
  const [row] = await tx.select().from(instances).where(one);
  return found(row, 'instance');
}

/** Rows newest first, after one of them; `present` leaves out what is no longer there to be backed up. */
function rowsAfter({ tx, tenantId }: TenantScope, { connectionId, awsRegion, instanceId }: Filters, present: boolean) {
  return (after: string | null, limit: number) =>
    tx
      .select()
      .from(instances)
      .where(
        and(
          eq(instances.tenantId, tenantId),
          connectionId === undefined ? undefined : eq(instances.connectionId, connectionId),
          awsRegion === undefined ? undefined : eq(instances.awsRegion, awsRegion),
          instanceId === undefined ? undefined : eq(instances.instanceId, instanceId),
          present ? notInArray(instances.state, [...ABSENT]) : undefined,
          after === null ? undefined : lt(instances.id, after),
        ),
      )
      .orderBy(desc(instances.id))
      .limit(limit);
}

/** The inventory, as the worker last discovered it. Read only: it is the account's, not ours. */
export function createInstances({ page }: { page: Paginate }) {
  return {
    list(scope: TenantScope, query: PageQuery & Filters) {
      const { connectionId, awsRegion, instanceId } = query;
      const filters = { connectionId, awsRegion, instanceId };
      const load = rowsAfter(scope, filters, false);
      const { tenantId } = scope;
      return page(query, { tenantId, name: 'instances', filters, keyOf: (row: InstanceRow) => row.id, load });
    },

    get: requireInstance,

    async explain(scope: TenantScope, id: string): Promise<Protection> {
      const row = await requireInstance(scope, id);
      return protectionOf(await loadPolicies(scope), row);
    },

    /** Instances that no plan backs up. It is decided here, not in SQL: by the function that the scheduler asks. */
    async listUnprotected(scope: TenantScope, query: PageQuery & Filters) {
      const { tenantId } = scope;
      const filters = { connectionId: query.connectionId, awsRegion: query.awsRegion };
      const policies = await loadPolicies(scope);
      const rowsOf = rowsAfter(scope, filters, true);
      const load = async (after: string | null, limit: number) => {
        const open: Protection[] = [];
        for (let from = after; open.length < limit; ) {
          const rows = await rowsOf(from, BATCH_ROWS);
          open.push(...rows.map((row) => protectionOf(policies, row)).filter((one) => !one.protected));
          const last = rows.at(-1);
          if (rows.length < BATCH_ROWS || last === undefined) break;
          from = last.id;
        }
        return open.slice(0, limit);
      };
      const keyOf = ({ instance }: Protection) => instance.id;
      return page(query, { tenantId, name: 'unprotected-instances', filters, keyOf, load });
    },
  };
}

export type Instances = ReturnType<typeof createInstances>;
