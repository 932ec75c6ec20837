import { and, eq, inArray } from 'drizzle-orm';
import { audit } from '../db/audit.ts';
import type { Tx } from '../db/client.ts';
import { backupJobs } from '../db/schema/jobs.ts';
import { type Retention, rules } from '../db/schema/plans.ts';
import { deletionRequests, recoveryPoints } from '../db/schema/recovery-points.ts';
import { inTenant } from '../db/tenancy.ts';
import { collectVolume } from './garbage/collect.ts';
import { deleteKeptSnapshots } from './kept-snapshots.ts';
import type { Worker } from './worker.ts';

const DAY_MS = 86_400_000;

/** What retention needs to know of a point. */
export type Kept = { id: string; ruleId: string | null; pointInTime: Date; retention: Retention | null };

/**
 * Ids of the points that no rule keeps any more. A point is kept while it is one of the newest `keepLast` of its rule, or
 * younger than `deleteAfterDays`; a point without retention is kept until somebody deletes it. Pure.
 */
export function expiredPoints(points: readonly Kept[], now: Date): string[] {
  const newest = points.toSorted((a, b) => b.pointInTime.getTime() - a.pointInTime.getTime());
  const seen = new Map<string, number>();
  return newest.flatMap(({ id, ruleId, pointInTime, retention }) => {
    const rank = (seen.get(ruleId ?? '') ?? 0) + 1;
    seen.set(ruleId ?? '', rank);
    if (!retention) return [];
    const { keepLast, deleteAfterDays } = retention;
    const keptByNumber = keepLast !== undefined && rank <= keepLast;
    const keptByAge = deleteAfterDays !== undefined && now.getTime() - pointInTime.getTime() < deleteAfterDays * DAY_MS;
    return keptByNumber || keptByAge ? [] : [id];
  });
}

export type InstanceRef = { tenantId: string; connectionId: string; instanceId: string };
type PointRow = typeof recoveryPoints.$inferSelect;

const pointsOf = ({ tenantId, connectionId, instanceId }: InstanceRef) =>
  and(
    eq(recoveryPoints.tenantId, tenantId),
    eq(recoveryPoints.connectionId, connectionId),
    eq(recoveryPoints.instanceId, instanceId),
  );

/** Points with the retention that holds for them: their rule's as it is now, else that of their job on demand. */
async function retentionOf(tx: Tx, tenantId: string, points: readonly PointRow[]): Promise<Kept[]> {
  const ruleRows = await tx.select().from(rules).where(eq(rules.tenantId, tenantId));
  const jobIds = points.filter((point) => point.ruleId === null).map((point) => point.backupJobId);
  const jobRows =
    jobIds.length === 0
      ? []
      : await tx
          .select()
          .from(backupJobs)
          .where(and(eq(backupJobs.tenantId, tenantId), inArray(backupJobs.id, jobIds)));
  return points.map(({ id, ruleId, pointInTime, backupJobId }) => ({
    id,
    // Points on demand are ranked each by itself: `keepLast` of one says nothing about another.
    ruleId: ruleId ?? backupJobId,
    pointInTime,
    retention:
      ruleId === null
        ? (jobRows.find((job) => job.id === backupJobId)?.retention ?? null)
        : (ruleRows.find((rule) => rule.id === ruleId)?.retention ?? null),
  }));
}

/** Points whose deletion was asked for and is due. */
async function requested(tx: Tx, tenantId: string, points: readonly PointRow[], now: Date): Promise<string[]> {
  const rows = await tx
    .select()
    .from(deletionRequests)
    .where(and(eq(deletionRequests.tenantId, tenantId), eq(deletionRequests.state, 'SCHEDULED')));
  const due = rows.filter((row) => row.notBefore <= now && points.some((point) => point.id === row.recoveryPointId));
  return due.map((row) => row.recoveryPointId);
}

/** Marks what is to go. From here on the API no longer offers it. */
async function markDeleting(tx: Tx, worker: Worker, tenantId: string, ids: readonly string[]): Promise<void> {
  const now = worker.clock.now();
  for (const id of ids) {
    await tx
      .update(recoveryPoints)
      .set({ state: 'DELETING' })
      .where(and(eq(recoveryPoints.tenantId, tenantId), eq(recoveryPoints.id, id)));
    const actor = { type: 'system' as const, id: 'retention' };
    await audit(tx, { tenantId, cell: worker.region.cell, now, actor, action: 'recovery_point.delete', resource: id });
  }
}

/**
 * Deletes the points that retention and due requests name: their roots at once, and what nothing refers to any more when it is safe
 * (`garbage/`). What cannot be deleted now stays marked, and the next retention goes on with it.
 *
 * @throws Faults of `collectVolume`
 */
export async function applyRetention(worker: Worker, instance: InstanceRef): Promise<void> {
  const { tenantId } = instance;
  const now = worker.clock.now();
  const marked = await inTenant(worker.db, tenantId, async (tx) => {
    const live = await tx.select().from(recoveryPoints).where(pointsOf(instance));
    const open = live.filter((point) => point.state === 'COMPLETED' || point.state === 'PARTIAL');
    // What AWS has locked stays, whatever a rule says: it is looked at again when the lock is over.
    const locked = new Set(
      open.filter(({ lockedUntil }) => lockedUntil !== null && lockedUntil > now).map(({ id }) => id),
    );
    const due = [
      ...expiredPoints(await retentionOf(tx, tenantId, open), now),
      ...(await requested(tx, tenantId, open, now)),
    ];
    const ids = new Set(due.filter((id) => !locked.has(id)));
    await markDeleting(tx, worker, tenantId, [...ids]);
    return live.filter((point) => ids.has(point.id) || point.state === 'DELETING');
  });
  if (marked.length === 0) return;
  const kept = marked.filter(({ storage }) => storage === 'account');
  if (kept.length > 0 && !(await deleteKeptSnapshots(worker, kept))) return;
  const stored = marked.filter(({ storage }) => storage === 'vault');
  const volumeIds = new Set(stored.flatMap((point) => point.volumes.map((volume) => volume.volumeId)));
  for (const volumeId of volumeIds) await collectVolume(worker, { tenantId, volumeId });
  await inTenant(worker.db, tenantId, async (tx) => {
    const ids = marked.map((point) => point.id);
    await tx.delete(recoveryPoints).where(and(eq(recoveryPoints.tenantId, tenantId), inArray(recoveryPoints.id, ids)));
    await tx
      .update(deletionRequests)
      .set({ state: 'DONE' })
      .where(
        and(
          eq(deletionRequests.tenantId, tenantId),
          eq(deletionRequests.state, 'SCHEDULED'),
          inArray(deletionRequests.recoveryPointId, ids),
        ),
      );
  });
}

/** Instances that have points to look at: what the retention tick goes through. */
export function instancesWithPoints(worker: Worker, tenantId: string): Promise<InstanceRef[]> {
  return inTenant(worker.db, tenantId, (tx) =>
    tx
      .selectDistinct({
        tenantId: recoveryPoints.tenantId,
        connectionId: recoveryPoints.connectionId,
        instanceId: recoveryPoints.instanceId,
      })
      .from(recoveryPoints)
      .where(eq(recoveryPoints.tenantId, tenantId)),
  );
}
