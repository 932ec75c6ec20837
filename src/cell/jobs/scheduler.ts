import { and, asc, eq, inArray, isNull, lt, lte, or } from 'drizzle-orm';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import type { Tx } from '../db/client.ts';
import { connections, instances } from '../db/schema/connections.ts';
import { backupJobs, jobEvents, type JobState } from '../db/schema/jobs.ts';
import { backupPlans, rules, selections } from '../db/schema/plans.ts';
import { idempotencyKeys, tenants } from '../db/schema/tenants.ts';
import { inTenant } from '../db/tenancy.ts';
import { nextRunAt } from '../schedule.ts';
import { decide } from '../selection/decide.ts';
import { obstaclesOf } from '../selection/obstacles.ts';
import type { Exclusion } from '../selection/volumes.ts';
import { NO_PROGRESS } from '../services/backup-jobs.ts';
import { backupJobView } from '../services/job-views.ts';
import type { Worker } from './worker.ts';

const DISCOVER_EVERY_MS = 60_000;
const VERIFY_EVERY_MS = 24 * 3_600_000;
const EVENTS_KEPT_MS = 7 * 24 * 3_600_000;
const ANSWERS_KEPT_MS = 24 * 3_600_000;
const OPEN: JobState[] = ['CREATED', 'PENDING', 'RUNNING', 'ABORTING'];

type RuleRow = typeof rules.$inferSelect;

/** Instances of a rule's plan whose last job of the rule is still open: they are not started a second time. */
async function openInstances(tx: Tx, tenantId: string, ruleId: string): Promise<Set<string>> {
  const open = await tx
    .select({ connectionId: backupJobs.connectionId, instanceId: backupJobs.instanceId })
    .from(backupJobs)
    .where(and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.ruleId, ruleId), inArray(backupJobs.state, OPEN)));
  return new Set(open.map((job) => `${job.connectionId}/${job.instanceId}`));
}

type Chosen = { instance: typeof instances.$inferSelect; exclusions: Exclusion[] };

/** What the plan's selections choose of everything that can be backed up now. */
async function chosenFor(tx: Tx, tenantId: string, planId: string): Promise<Chosen[]> {
  const ofPlan = await tx
    .select()
    .from(selections)
    .where(and(eq(selections.tenantId, tenantId), eq(selections.planId, planId)))
    .orderBy(asc(selections.id));
  const candidates = await tx
    .select({ instance: instances, connection: connections })
    .from(instances)
    .innerJoin(connections, and(eq(connections.tenantId, tenantId), eq(connections.id, instances.connectionId)))
    .where(and(eq(instances.tenantId, tenantId), isNull(connections.deletedAt)));
  return candidates.flatMap(({ instance, connection }) => {
    if (obstaclesOf(instance, connection).length > 0) return [];
    const { selected, exclusions } = decide(ofPlan, instance);
    return selected ? [{ instance, exclusions }] : [];
  });
}

/** One job for each instance of a due rule. The unique slot makes a second scheduler's attempt vanish. */
async function startRule(tx: Tx, worker: Worker, rule: RuleRow): Promise<number> {
  const { tenantId } = rule;
  const now = worker.clock.now();
  const open = await openInstances(tx, tenantId, rule.id);
  let started = 0;
  for (const { instance, exclusions } of await chosenFor(tx, tenantId, rule.planId)) {
    if (open.has(`${instance.connectionId}/${instance.instanceId}`)) continue;
    const values = {
      tenantId,
      id: newId('backupJob', worker.region.cell, now),
      connectionId: instance.connectionId,
      awsRegion: instance.awsRegion,
      state: 'CREATED' as const,
      progress: NO_PROGRESS,
      createdAt: now,
      instanceId: instance.instanceId,
      planId: rule.planId,
      ruleId: rule.id,
      scheduledFor: rule.nextRunAt,
      // A slot that was missed while we were down is made up for now: its window begins now.
      startBefore: new Date(now.getTime() + rule.startWindowMinutes * 60_000),
      retention: rule.retention,
      exclusions,
      volumes: [],
    };
    const [row] = await tx.insert(backupJobs).values(values).onConflictDoNothing().returning();
    if (!row) continue;
    started += 1;
    await tx.insert(jobEvents).values({ tenantId, jobId: row.id, type: 'state', data: backupJobView(row), time: now });
    await worker.enqueue(tx, { kind: 'backup', tenantId, jobId: row.id });
    const actor = { type: 'system' as const, id: 'scheduler' };
    await audit(tx, {
      tenantId,
      cell: worker.region.cell,
      now,
      actor,
      action: 'backup_job.create',
      resource: row.id,
      details: { ruleId: rule.id, instanceId: row.instanceId },
    });
  }
  return started;
}

/** Starts what is due for one tenant. Slots that were missed are made up for once, not one by one. */
export function startDueRules(worker: Worker, tenantId: string): Promise<number> {
  return inTenant(worker.db, tenantId, async (tx) => {
    const now = worker.clock.now();
    const due = await tx
      .select({ rule: rules })
      .from(rules)
      .innerJoin(backupPlans, and(eq(backupPlans.tenantId, rules.tenantId), eq(backupPlans.id, rules.planId)))
      .where(and(eq(rules.tenantId, tenantId), lte(rules.nextRunAt, now), eq(backupPlans.paused, false)))
      .orderBy(asc(rules.nextRunAt))
      .for('update', { of: rules, skipLocked: true });
    let started = 0;
    for (const { rule } of due) {
      started += await startRule(tx, worker, rule);
      const one = and(eq(rules.tenantId, tenantId), eq(rules.id, rule.id));
      await tx
        .update(rules)
        .set({ nextRunAt: nextRunAt(rule, now) })
        .where(one);
    }
    return started;
  });
}

/** Asks for discovery and daily verification where they are due, and forgets what need not be kept. */
async function keepHouse(worker: Worker, tenantId: string): Promise<void> {
  const now = worker.clock.now();
  const before = (ms: number) => new Date(now.getTime() - ms);
  await inTenant(worker.db, tenantId, async (tx) => {
    const live = await tx
      .select()
      .from(connections)
      .where(and(eq(connections.tenantId, tenantId), isNull(connections.deletedAt)));
    for (const connection of live) {
      const { id: connectionId, state, lastVerifiedAt, discoveredAt } = connection;
      if (lastVerifiedAt !== null && lastVerifiedAt < before(VERIFY_EVERY_MS))
        await worker.enqueue(tx, { kind: 'verify', tenantId, connectionId });
      if (state === 'CONNECTED' && (discoveredAt === null || discoveredAt < before(DISCOVER_EVERY_MS)))
        await worker.enqueue(tx, { kind: 'discover', tenantId, connectionId });
    }
    await tx
      .delete(idempotencyKeys)
      .where(and(eq(idempotencyKeys.tenantId, tenantId), lt(idempotencyKeys.createdAt, before(ANSWERS_KEPT_MS))));
    const oldProgress = or(
      lt(jobEvents.time, before(EVENTS_KEPT_MS)),
      and(eq(jobEvents.type, 'progress'), lt(jobEvents.time, before(ANSWERS_KEPT_MS))),
    );
    await tx.delete(jobEvents).where(and(eq(jobEvents.tenantId, tenantId), oldProgress));
  });
}

/** Every tenant of the cell: the one thing that the worker may see of all of them. */
export async function tenantIds(worker: Worker): Promise<string[]> {
  return (await worker.db.select({ tenantId: tenants.tenantId }).from(tenants)).map((row) => row.tenantId);
}

/**
 * One tick: reads the state, decides, enqueues. It takes no input and keeps nothing, so that a restart, a second scheduler
 * and an ordinary tick are the same thing.
 */
export async function tick(worker: Worker): Promise<void> {
  for (const tenantId of await tenantIds(worker)) {
    await startDueRules(worker, tenantId);
    await keepHouse(worker, tenantId);
  }
}
