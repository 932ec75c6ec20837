import { and, asc, desc, eq, inArray, lt, notInArray } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { backupPlans, rules, selections } from '../db/schema/plans.ts';
import { found } from './absence.ts';
import { requireLockable } from './locks.ts';
import type { PageQuery, Paginate } from './pages.ts';
import { type PlanRow, requirePlan } from './plan-row.ts';
import { checkRules, type RuleInput, type RuleRow, ruleRows } from './plan-rules.ts';
import type { TenantScope } from './scope.ts';
import { insertSelections, type SelectionInput, type SelectionRow } from './selections.ts';

export type Plan = { row: PlanRow; rules: RuleRow[]; selections: SelectionRow[] };
type PlanInput = { name: string; rules: RuleInput[]; selections?: SelectionInput[] | undefined };
type PlanUpdate = { name: string; rules: RuleInput[]; paused: boolean };
type Deps = { cell: string; clock: Clock; page: Paginate };

/** Plans with their rules and selections: two more queries, however many plans. */
async function withParts({ tx, tenantId }: TenantScope, rows: readonly PlanRow[]): Promise<Plan[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const allRules = await tx
    .select()
    .from(rules)
    .where(and(eq(rules.tenantId, tenantId), inArray(rules.planId, ids)))
    .orderBy(asc(rules.position));
  const allSelections = await tx
    .select()
    .from(selections)
    .where(and(eq(selections.tenantId, tenantId), inArray(selections.planId, ids)))
    .orderBy(asc(selections.id));
  return rows.map((row) => ({
    row,
    rules: allRules.filter((rule) => rule.planId === row.id),
    selections: allSelections.filter((selection) => selection.planId === row.id),
  }));
}

/** A plan as it has become: its locks must mean something for everything that it selects. */
async function lockablePlan(scope: TenantScope, row: PlanRow): Promise<Plan> {
  const plan = await planOf(scope, row);
  const wanted = plan.rules.map(({ retention }, i) => ({ retention, pointer: `/rules/${i}/retention` }));
  await requireLockable(
    scope,
    wanted,
    plan.selections.map(({ connectionId }) => connectionId),
  );
  return plan;
}

const planOf = async (scope: TenantScope, row: PlanRow) => found((await withParts(scope, [row]))[0], 'backup plan');

/** Backup plans: schedules with retention, and what they apply to. */
export function createBackupPlans({ cell, clock, page }: Deps) {
  return {
    /** @throws Fault `unknown_time_zone`, `schedule_never_fires`, `invalid_request`, `not_found` (a selection's connection) */
    async create(scope: TenantScope, body: PlanInput): Promise<Plan> {
      const { tx, tenantId, actor } = scope;
      const now = clock.now();
      checkRules(body.rules, [], now);
      const id = newId('backupPlan', cell, now);
      const row: PlanRow = { tenantId, id, name: body.name, paused: false, createdAt: now, updatedAt: now };
      await tx.insert(backupPlans).values(row);
      await tx.insert(rules).values(ruleRows(row, body.rules, [], { cell, now }));
      const place = { cell, now, planId: id, at: (n: number) => `/selections/${n}` };
      await insertSelections(scope, place, body.selections ?? []);
      const details = { rules: body.rules.length, selections: body.selections?.length ?? 0 };
      await audit(tx, { tenantId, cell, now, actor, action: 'backup_plan.create', resource: id, details });
      return lockablePlan(scope, row);
    },

    async list(scope: TenantScope, query: PageQuery) {
      const { tx, tenantId } = scope;
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(backupPlans)
          .where(and(eq(backupPlans.tenantId, tenantId), after === null ? undefined : lt(backupPlans.id, after)))
          .orderBy(desc(backupPlans.id))
          .limit(limit);
      const { items, nextCursor } = await page(query, {
        tenantId,
        name: 'backup-plans',
        keyOf: (row: PlanRow) => row.id,
        load,
      });
      return { items: await withParts(scope, items), nextCursor };
    },

    get: async (scope: TenantScope, id: string) => planOf(scope, await requirePlan(scope, id)),

    /** Replaces the plan. Rules that are named by id stay the same rule: their recovery points keep belonging to it. */
    async update(scope: TenantScope, id: string, body: PlanUpdate): Promise<Plan> {
      const { tx, tenantId, actor } = scope;
      const before = await planOf(scope, await requirePlan(scope, id, 'update'));
      const now = clock.now();
      checkRules(body.rules, before.rules, now);
      const row: PlanRow = { ...before.row, name: body.name, paused: body.paused, updatedAt: now };
      const wanted = ruleRows(row, body.rules, before.rules, { cell, now });
      const keep = wanted.map((rule) => rule.id);
      const ofPlan = and(eq(rules.tenantId, tenantId), eq(rules.planId, id));
      await tx
        .update(backupPlans)
        .set({ name: row.name, paused: row.paused, updatedAt: now })
        .where(and(eq(backupPlans.tenantId, tenantId), eq(backupPlans.id, id)));
      await tx.delete(rules).where(and(ofPlan, notInArray(rules.id, keep)));
      for (const rule of wanted)
        await tx
          .insert(rules)
          .values(rule)
          .onConflictDoUpdate({ target: [rules.tenantId, rules.id], set: rule });
      const removedRules = before.rules.filter((rule) => !keep.includes(rule.id)).map((rule) => rule.id);
      const details = { rules: wanted.length, removedRules, paused: row.paused };
      await audit(tx, { tenantId, cell, now, actor, action: 'backup_plan.update', resource: id, details });
      return lockablePlan(scope, row);
    },

    /** Its rules and selections go with it; its recovery points stay. */
    async remove(scope: TenantScope, id: string): Promise<void> {
      const { tx, tenantId, actor } = scope;
      await requirePlan(scope, id, 'update');
      await tx.delete(backupPlans).where(and(eq(backupPlans.tenantId, tenantId), eq(backupPlans.id, id)));
      await audit(tx, { tenantId, cell, now: clock.now(), actor, action: 'backup_plan.delete', resource: id });
    },
  };
}

export type BackupPlans = ReturnType<typeof createBackupPlans>;
