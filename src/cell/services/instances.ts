import { and, desc, eq, lt } from 'drizzle-orm';
import { instances } from '../db/schema/connections.ts';
import { found, wellFormed } from './absence.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

export type InstanceRow = typeof instances.$inferSelect;
type Filters = { connectionId?: string | undefined; awsRegion?: string | undefined };

/** The inventory, as the worker last discovered it. Read only: it is the account's, not ours. */
export function createInstances({ page }: { page: Paginate }) {
  return {
    list({ tx, tenantId }: TenantScope, query: PageQuery & Filters) {
      const { connectionId, awsRegion } = query;
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(instances)
          .where(
            and(
              eq(instances.tenantId, tenantId),
              connectionId === undefined ? undefined : eq(instances.connectionId, connectionId),
              awsRegion === undefined ? undefined : eq(instances.awsRegion, awsRegion),
              after === null ? undefined : lt(instances.id, after),
            ),
          )
          .orderBy(desc(instances.id))
          .limit(limit);
      const filters = { connectionId, awsRegion };
      return page(query, { tenantId, name: 'instances', filters, keyOf: (row: InstanceRow) => row.id, load });
    },

    async get({ tx, tenantId }: TenantScope, id: string): Promise<InstanceRow> {
      const one = and(eq(instances.tenantId, tenantId), eq(instances.id, wellFormed('instance', id, 'instance')));
      const [row] = await tx.select().from(instances).where(one);
      return found(row, 'instance');
    },
  };
}

export type Instances = ReturnType<typeof createInstances>;
