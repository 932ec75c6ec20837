import { and, desc, eq, lt } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import type { AwsTag } from '../db/schema/connections.ts';
import { selections } from '../db/schema/plans.ts';
import { found, wellFormed } from './absence.ts';
import { requirePlan } from './plan-row.ts';
import { requireConnection } from './connections.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

export type SelectionRow = typeof selections.$inferSelect;
export type SelectionInput = {
  connectionId: string;
  tags?: AwsTag[] | undefined;
  instanceIds?: string[] | undefined;
  excludeInstanceIds?: string[] | undefined;
  excludeVolumeIds?: string[] | undefined;
};
type Deps = { cell: string; clock: Clock; page: Paginate };

/** Adds a selection to a plan of this tenant. The caller audits. @throws Fault `not_found`: the connection */
export async function insertSelection(
  scope: TenantScope,
  { cell, now, planId }: { cell: string; now: Date; planId: string },
  body: SelectionInput,
): Promise<SelectionRow> {
  await requireConnection(scope, body.connectionId, 'share');
  const row: SelectionRow = {
    tenantId: scope.tenantId,
    id: newId('selection', cell, now),
    planId,
    connectionId: body.connectionId,
    tags: body.tags ?? [],
    instanceIds: body.instanceIds ?? [],
    excludeInstanceIds: body.excludeInstanceIds ?? [],
    excludeVolumeIds: body.excludeVolumeIds ?? [],
    createdAt: now,
  };
  await scope.tx.insert(selections).values(row);
  return row;
}

/** What a plan applies to. */
export function createSelections({ cell, clock, page }: Deps) {
  return {
    async create(scope: TenantScope, planId: string, body: SelectionInput): Promise<SelectionRow> {
      const { tx, tenantId, actor } = scope;
      await requirePlan(scope, planId, 'share');
      const now = clock.now();
      const row = await insertSelection(scope, { cell, now, planId }, body);
      const details = { planId, connectionId: row.connectionId };
      await audit(tx, { tenantId, cell, now, actor, action: 'selection.create', resource: row.id, details });
      return row;
    },

    async list(scope: TenantScope, planId: string, query: PageQuery) {
      const { tx, tenantId } = scope;
      await requirePlan(scope, planId);
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(selections)
          .where(
            and(
              eq(selections.tenantId, tenantId),
              eq(selections.planId, planId),
              after === null ? undefined : lt(selections.id, after),
            ),
          )
          .orderBy(desc(selections.id))
          .limit(limit);
      const filters = { planId };
      return page(query, { tenantId, name: 'selections', filters, keyOf: (row: SelectionRow) => row.id, load });
    },

    async remove(scope: TenantScope, planId: string, id: string): Promise<void> {
      const { tx, tenantId, actor } = scope;
      await requirePlan(scope, planId, 'share');
      const gone = await tx
        .delete(selections)
        .where(
          and(
            eq(selections.tenantId, tenantId),
            eq(selections.planId, planId),
            eq(selections.id, wellFormed('selection', id, 'selection')),
          ),
        )
        .returning({ id: selections.id });
      found(gone[0], 'selection');
      const event = { tenantId, cell, now: clock.now(), actor, action: 'selection.delete', resource: id };
      await audit(tx, { ...event, details: { planId } });
    },
  };
}

export type Selections = ReturnType<typeof createSelections>;
