import { and, desc, eq, lt } from 'drizzle-orm';
import { auditEvents } from '../db/schema/tenants.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

type AuditRow = typeof auditEvents.$inferSelect;
type Filters = { resource?: string | undefined; action?: string | undefined };

/** A tenant's log of changes, newest first. Nothing here writes: each change writes its own event. */
export function createAuditEvents({ page }: { page: Paginate }) {
  return {
    list({ tx, tenantId }: TenantScope, query: PageQuery & Filters) {
      const { resource, action } = query;
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(auditEvents)
          .where(
            and(
              eq(auditEvents.tenantId, tenantId),
              resource === undefined ? undefined : eq(auditEvents.resource, resource),
              action === undefined ? undefined : eq(auditEvents.action, action),
              after === null ? undefined : lt(auditEvents.id, after),
            ),
          )
          .orderBy(desc(auditEvents.id))
          .limit(limit);
      const filters = { resource, action };
      return page(query, { tenantId, name: 'audit-events', filters, keyOf: (row: AuditRow) => row.id, load });
    },
  };
}

export type AuditEvents = ReturnType<typeof createAuditEvents>;
