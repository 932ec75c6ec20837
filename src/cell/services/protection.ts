import { and, asc, eq, isNull } from 'drizzle-orm';
import { connections, type instances } from '../db/schema/connections.ts';
import { backupPlans, rules, selections } from '../db/schema/plans.ts';
import { type Decision, decide } from '../selection/decide.ts';
import { type Obstacle, obstaclesOf } from '../selection/obstacles.ts';
import type { TenantScope } from './scope.ts';

type InstanceRow = typeof instances.$inferSelect;
type PlanParts = {
  plan: typeof backupPlans.$inferSelect;
  rules: (typeof rules.$inferSelect)[];
  selections: (typeof selections.$inferSelect)[];
};
type Policies = { plans: PlanParts[]; connections: (typeof connections.$inferSelect)[] };

/** What the plans of a tenant do for one instance. */
export type Protection = {
  instance: InstanceRow;
  protected: boolean;
  why: string;
  obstacles: Obstacle[];
  plans: (PlanParts & { decision: Decision })[];
};

/** Plans named in one line; a tenant with more finds them by `explain`. */
const PLANS_NAMED_MAX = 3;

function byPlan<T extends { planId: string }>(rows: readonly T[]): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const row of rows) found.set(row.planId, [...(found.get(row.planId) ?? []), row]);
  return found;
}

/** Everything that decides over a tenant's instances, read once. */
export async function loadPolicies({ tx, tenantId }: TenantScope): Promise<Policies> {
  const plans = await tx
    .select()
    .from(backupPlans)
    .where(eq(backupPlans.tenantId, tenantId))
    .orderBy(asc(backupPlans.id));
  const ofRules = byPlan(
    await tx.select().from(rules).where(eq(rules.tenantId, tenantId)).orderBy(asc(rules.position)),
  );
  const ofSelections = byPlan(
    await tx.select().from(selections).where(eq(selections.tenantId, tenantId)).orderBy(asc(selections.id)),
  );
  const live = await tx
    .select()
    .from(connections)
    .where(and(eq(connections.tenantId, tenantId), isNull(connections.deletedAt)));
  return {
    plans: plans.map((plan) => ({
      plan,
      rules: ofRules.get(plan.id) ?? [],
      selections: ofSelections.get(plan.id) ?? [],
    })),
    connections: live,
  };
}

function whyNot(plans: Protection['plans']): string {
  const paused = plans.find(({ plan, decision }) => plan.paused && decision.selected);
  if (paused) return `${paused.plan.name} selects it, but is paused`;
  const enabled = plans.filter(({ plan }) => !plan.paused);
  if (enabled.length === 0) return plans.length === 0 ? 'there is no backup plan' : 'every backup plan is paused';
  const named = enabled.slice(0, PLANS_NAMED_MAX).map(({ plan, decision }) => `${plan.name}: ${decision.why}`);
  const more = enabled.length - named.length;
  return [...named, ...(more > 0 ? [`${more} more plans do not select it`] : [])].join(' | ');
}

/** Weighs every plan against an instance, as the scheduler does for the one that is due. */
export function protectionOf(policies: Policies, instance: InstanceRow): Protection {
  const connection = policies.connections.find(({ id }) => id === instance.connectionId);
  const obstacles = connection ? obstaclesOf(instance, connection) : [];
  const plans = policies.plans.map((parts) => ({ ...parts, decision: decide(parts.selections, instance) }));
  const choosing = plans.find(({ plan, decision }) => !plan.paused && decision.selected);
  const [obstacle] = obstacles;
  const chosen = choosing ? `${choosing.plan.name}: ${choosing.decision.why}` : whyNot(plans);
  return {
    instance,
    protected: choosing !== undefined && obstacle === undefined,
    why: obstacle?.detail ?? chosen,
    obstacles,
    plans,
  };
}
