import { and, eq } from 'drizzle-orm';
import { backupPlans } from '../db/schema/plans.ts';
import { found, wellFormed } from './absence.ts';
import type { TenantScope } from './scope.ts';

export type PlanRow = typeof backupPlans.$inferSelect;

/** A plan of this tenant. */
export async function requirePlan(
  { tx, tenantId }: Omit<TenantScope, 'actor'>,
  id: string,
  lock?: 'share' | 'update',
): Promise<PlanRow> {
  const one = and(eq(backupPlans.tenantId, tenantId), eq(backupPlans.id, wellFormed('backupPlan', id, 'backup plan')));
  const query = tx.select().from(backupPlans).where(one);
  const [row] = await (lock === undefined ? query : query.for(lock));
  return found(row, 'backup plan');
}
