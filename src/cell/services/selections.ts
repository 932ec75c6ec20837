import { and, desc, eq, inArray, isNull, lt } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { isId, newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { type AwsTag, connections } from '../db/schema/connections.ts';
import { rules, selections } from '../db/schema/plans.ts';
import type { Expression } from '../selection/expression.ts';
import type { VolumeRule } from '../selection/volumes.ts';
import { found, wellFormed } from './absence.ts';
import { requirePlan } from './plan-row.ts';
import { requireLockable } from './locks.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

export type SelectionRow = typeof selections.$inferSelect;
export type SelectionInput = {
  connectionId?: string | undefined;
  match?: Expression | undefined;
  tags?: AwsTag[] | undefined;
  instanceIds?: string[] | undefined;
  excludeInstanceIds?: string[] | undefined;
  excludeVolumeIds?: string[] | undefined;
  excludeVolumes?: VolumeRule[] | undefined;
};
type Deps = { cell: string; clock: Clock; page: Paginate };

type Reference = { pointer: string; id: string };

/** Every connection that an expression names, by its JSON pointer. */
function namedIn(node: Expression, at: string): Reference[] {
  const own = (node.connectionIds ?? []).map((id, n) => ({ pointer: `${at}/connectionIds/${n}`, id }));
  const below = (name: 'and' | 'or') => (node[name] ?? []).flatMap((child, n) => namedIn(child, `${at}/${name}/${n}`));
  return [...own, ...below('and'), ...below('or'), ...(node.not ? namedIn(node.not, `${at}/not`) : [])];
}

const namedBy = ({ connectionId, match }: SelectionInput, at: string): Reference[] => [
  ...(connectionId === undefined ? [] : [{ pointer: `${at}/connectionId`, id: connectionId }]),
  ...(match ? namedIn(match, `${at}/match`) : []),
];

/**
 * Refuses selections that name a connection which is not there; another tenant's is not there either. An expression with
 * one would match nothing, but that is better said at once.
 *
 * @param at JSON pointer of the n-th selection in the request
 * @throws Fault `not_found` with every such name
 */
async function requireNamed(
  { tx, tenantId }: TenantScope,
  inputs: readonly SelectionInput[],
  at: (n: number) => string,
): Promise<void> {
  const named = inputs.flatMap((input, n) => namedBy(input, at(n)));
  const ids = [...new Set(named.map(({ id }) => id))].filter((id) => isId('connection', id));
  const live = and(eq(connections.tenantId, tenantId), inArray(connections.id, ids), isNull(connections.deletedAt));
  const rows = await tx.select({ id: connections.id }).from(connections).where(live).for('share');
  const known = new Set(rows.map(({ id }) => id));
  const violations = named
    .filter(({ id }) => !known.has(id))
    .map(({ pointer }) => ({ pointer, detail: 'is no connection' }));
  if (violations.length > 0) throw new Fault('not_found', 'There is no such connection.', { violations });
}

/**
 * Adds selections to a plan of this tenant. The caller audits.
 *
 * @param at JSON pointer of the n-th of them in the request
 * @throws Fault `not_found`: connections
 */
export async function insertSelections(
  scope: TenantScope,
  { cell, now, planId, at }: { cell: string; now: Date; planId: string; at: (n: number) => string },
  inputs: readonly SelectionInput[],
): Promise<SelectionRow[]> {
  if (inputs.length === 0) return [];
  await requireNamed(scope, inputs, at);
  // Ids of one instant differ by chance; in their order they keep the request's.
  const ids = inputs.map(() => newId('selection', cell, now)).toSorted();
  const rows = inputs.map(
    (body, n): SelectionRow => ({
      tenantId: scope.tenantId,
      id: ids[n] ?? '',
      planId,
      connectionId: body.connectionId ?? null,
      match: body.match ?? null,
      tags: body.tags ?? [],
      instanceIds: body.instanceIds ?? [],
      excludeInstanceIds: body.excludeInstanceIds ?? [],
      excludeVolumeIds: body.excludeVolumeIds ?? [],
      excludeVolumes: body.excludeVolumes ?? [],
      createdAt: now,
    }),
  );
  await scope.tx.insert(selections).values(rows);
  return rows;
}

/** What a plan applies to. */
export function createSelections({ cell, clock, page }: Deps) {
  return {
    async create(scope: TenantScope, planId: string, body: SelectionInput): Promise<SelectionRow> {
      const { tx, tenantId, actor } = scope;
      await requirePlan(scope, planId, 'share');
      const now = clock.now();
      const ofPlan = and(eq(rules.tenantId, tenantId), eq(rules.planId, planId));
      const planRules = await tx.select({ retention: rules.retention }).from(rules).where(ofPlan);
      const wanted = planRules.map(({ retention }, i) => ({ retention, pointer: `/rules/${i}/retention` }));
      await requireLockable(scope, wanted, [body.connectionId ?? null]);
      const [inserted] = await insertSelections(scope, { cell, now, planId, at: () => '' }, [body]);
      const row = found(inserted, 'selection');
      const details = { planId, ...(row.connectionId === null ? {} : { connectionId: row.connectionId }) };
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
