import { and, eq, inArray } from 'drizzle-orm';
import { executePrune, planPrune } from '../../vault/prune.ts';
import { audit } from '../db/audit.ts';
import type { Tx } from '../db/client.ts';
import { backupJobs } from '../db/schema/jobs.ts';
import { type Retention, rules } from '../db/schema/plans.ts';
import { deletionRequests, recoveryPoints, volumeBases } from '../db/schema/recovery-points.ts';
import { inTenant } from '../db/tenancy.ts';
import { tryLockInstance } from './claim.ts';
import { vaultOf, type Worker } from './worker.ts';

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
 * Prunes one volume down to what must stay: the manifests of every point that is kept and of the base of the next backup,
 * and whatever open jobs have stored. The caller holds the instance's lock, so that no further job begins meanwhile.
 */
async function pruneVolume(tx: Tx, worker: Worker, instance: InstanceRef, volumeId: string): Promise<void> {
  const { tenantId } = instance;
  const kept = (await tx.select().from(recoveryPoints).where(pointsOf(instance))).filter(
    ({ state }) => state === 'COMPLETED' || state === 'PARTIAL',
  );
  const manifests = kept.flatMap((point) =>
    point.volumes.filter((volume) => volume.volumeId === volumeId).map((volume) => volume.manifestKey),
  );
  const bases = await tx
    .select()
    .from(volumeBases)
    .where(and(eq(volumeBases.tenantId, tenantId), eq(volumeBases.volumeId, volumeId)));
  const open = await tx
    .select({ id: backupJobs.id })
    .from(backupJobs)
    .where(
      and(eq(backupJobs.tenantId, tenantId), inArray(backupJobs.state, ['CREATED', 'PENDING', 'RUNNING', 'ABORTING'])),
    );
  const { store, keys } = vaultOf(worker, tenantId);
  const plan = await planPrune(
    { store, keys, clock: worker.clock },
    {
      cell: worker.region.cell,
      tenantId,
      volumeId,
      manifestKeysToKeep: [...new Set([...manifests, ...bases.map((base) => base.manifestKey)])],
      openRunIds: open.map((job) => job.id),
    },
  );
  await executePrune(plan, store);
}

/**
 * Deletes what retention and due requests say, and then the objects that nothing refers to any more. It holds the
 * instance's lock throughout, so that no backup of it begins meanwhile; when one runs, that one will do it.
 */
export async function applyRetention(worker: Worker, instance: InstanceRef): Promise<void> {
  const { tenantId, connectionId, instanceId } = instance;
  const now = worker.clock.now();
  const marked = await inTenant(worker.db, tenantId, async (tx) => {
    const live = await tx.select().from(recoveryPoints).where(pointsOf(instance));
    const open = live.filter((point) => point.state === 'COMPLETED' || point.state === 'PARTIAL');
    const ids = new Set([
      ...expiredPoints(await retentionOf(tx, tenantId, open), now),
      ...(await requested(tx, tenantId, open, now)),
    ]);
    await markDeleting(tx, worker, tenantId, [...ids]);
    return live.filter((point) => ids.has(point.id) || point.state === 'DELETING');
  });
  if (marked.length === 0) return;
  await inTenant(worker.db, tenantId, async (tx) => {
    if (!(await tryLockInstance(tx, tenantId, connectionId, instanceId))) return;
    const volumeIds = new Set(marked.flatMap((point) => point.volumes.map((volume) => volume.volumeId)));
    for (const volumeId of volumeIds) await pruneVolume(tx, worker, instance, volumeId);
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
