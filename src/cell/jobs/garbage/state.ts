import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Condemnation, Garbage } from '../../../vault/gc/condemned.ts';
import type { KeptRoots } from '../../../vault/gc/mark.ts';
import type { VolumeState } from '../../../vault/gc/state.ts';
import type { Tx } from '../../db/client.ts';
import { collections, condemnations, condemnedObjects } from '../../db/schema/garbage.ts';
import { backupJobs } from '../../db/schema/jobs.ts';
import { OPEN_STATES } from '../claim.ts';

export type VolumeRef = { tenantId: string; volumeId: string };

/** Packs of a tenant that may go in a day without anybody's leave: a share of all it has, at least a gibibyte. */
const BUDGET = { share: 0.05, packsMin: 64, windowMs: 24 * 3_600_000 } as const;

/** Jobs whose length counts: one that waited for its role for a month is forgotten some time. */
const RECENT_JOBS = 1_000;

/** How many packs may be deleted now. Pure. */
export function packsAllowed(total: number, deletedToday: number): number {
  return Math.max(0, Math.max(BUDGET.packsMin, Math.floor(total * BUDGET.share)) - deletedToday);
}

async function openRunIds(tx: Tx, tenantId: string): Promise<string[]> {
  const open = and(eq(backupJobs.tenantId, tenantId), inArray(backupJobs.state, [...OPEN_STATES]));
  return (await tx.select({ id: backupJobs.id }).from(backupJobs).where(open)).map(({ id }) => id);
}

/** Conditions on a row of `vault_runs`: has its run not ended, and may it name packs of this volume? */
export const isOpen = (run: string) => sql`
  exists (select 1 from backup_jobs job where job.tenant_id = ${sql.raw(run)}.tenant_id and job.id = ${sql.raw(run)}.run_id
    and job.state in ('CREATED', 'PENDING', 'RUNNING', 'ABORTING'))`;
export const mayNamePacks = (run: string, { volumeId }: VolumeRef) => sql`
  (${sql.raw(run)}.volume_id = ${volumeId} or ${sql.raw(run)}.packs_of is null or ${sql.raw(run)}.packs_of ? ${volumeId})`;

/** May the root of a run name packs of this volume? Those of a run that nobody has written down may. */
const mayName = ({ tenantId, volumeId }: VolumeRef, run: { volume: string; id: string }) => sql`
  (${sql.raw(run.volume)} = ${volumeId} or not exists (
    select 1 from vault_runs known where known.tenant_id = ${tenantId} and known.volume_id = ${sql.raw(run.volume)}
      and known.run_id = ${sql.raw(run.id)} and known.packs_of is not null and not known.packs_of ? ${volumeId}))`;

type Root = { volumeId: string; manifestKey: string; deleted: boolean };

/**
 * Roots that may need packs of the volume: of its points and of others', of the bases of next backups, and of whatever open runs
 * build on. Also those of points that are being deleted.
 */
async function rootsAround(tx: Tx, volume: VolumeRef): Promise<Root[]> {
  const { tenantId } = volume;
  const { rows } = await tx.execute<Root>(sql`
    select v->>'volumeId' as "volumeId", v->>'manifestKey' as "manifestKey", point.state in ('DELETING', 'DELETED') as deleted
    from recovery_points point, jsonb_array_elements(point.volumes) v
    where point.tenant_id = ${tenantId} and v->>'manifestKey' is not null
      and ${mayName(volume, { volume: "v->>'volumeId'", id: "v->>'runId'" })}
    union all
    select base.volume_id, base.manifest_key, false from volume_bases base
    where base.tenant_id = ${tenantId} and ${mayName(volume, { volume: 'base.volume_id', id: 'base.run_id' })}
    union all
    select run.volume_id, built.key, false from vault_runs run, jsonb_array_elements_text(run.builds_on) built(key)
    where run.tenant_id = ${tenantId} and ${isOpen('run')} and ${mayNamePacks('run', volume)}`);
  return rows;
}

/** What is condemned by collection, and what is being deleted. */
async function condemnedOf(tx: Tx, { tenantId, volumeId }: VolumeRef) {
  const mine = and(eq(condemnedObjects.tenantId, tenantId), eq(condemnedObjects.volumeId, volumeId));
  const objects = await tx
    .select()
    .from(condemnedObjects)
    .where(and(mine, isNull(condemnedObjects.deletedAt)));
  const fences = await tx
    .select()
    .from(condemnations)
    .where(and(eq(condemnations.tenantId, tenantId), eq(condemnations.volumeId, volumeId)));
  const garbage = ({ key, sizeBytes }: Garbage): Garbage => ({ key, sizeBytes });
  const listed = fences.map(({ collection, fencedAt, openRunIds: runs }): Condemnation => {
    const own = objects.filter((one) => one.collection === collection && one.doomedAt === null);
    return { objects: own.map(garbage), fence: fencedAt && { since: fencedAt.toISOString(), openRunIds: runs } };
  });
  return { condemnations: listed, doomed: objects.filter(({ doomedAt }) => doomedAt !== null).map(garbage) };
}

/** The longest that a backup of the tenant took lately, those that run now included. */
async function longestJobMs(tx: Tx, tenantId: string, now: Date): Promise<number> {
  const { rows } = await tx.execute<{ ms: number | null }>(sql`
    select (extract(epoch from max(coalesce(completed_at, ${now.toISOString()}::timestamptz) - started_at)) * 1000)::float8 as ms
    from (select completed_at, started_at from backup_jobs where tenant_id = ${tenantId} and started_at is not null
      and state in ('RUNNING', 'COMPLETED', 'PARTIAL') order by created_at desc limit ${RECENT_JOBS}) recent`);
  return Math.max(0, rows[0]?.ms ?? 0);
}

/** Packs of the tenant's other volumes, and how many of all were deleted within a day. */
async function tenantPacks(tx: Tx, { tenantId, volumeId }: VolumeRef, now: Date) {
  const since = new Date(now.getTime() - BUDGET.windowMs).toISOString();
  const { rows } = await tx.execute<{ others: number; deleted: number }>(sql`
    select (select coalesce(sum(packs), 0)::float8 from collections where tenant_id = ${tenantId} and volume_id <> ${volumeId}) as others,
      (select count(*)::float8 from condemned_objects
        where tenant_id = ${tenantId} and doomed_at > ${since}::timestamptz and key like '%/packs/%') as deleted`);
  return rows[0] ?? { others: 0, deleted: 0 };
}

/** Begins a collection: its number, and what is known of the volume at this instant. */
export async function beginCollection(
  tx: Tx,
  volume: VolumeRef,
  now: Date,
): Promise<{ number: number; state: VolumeState }> {
  const [begun] = await tx
    .insert(collections)
    .values({ ...volume, number: 1, startedAt: now })
    .onConflictDoUpdate({
      target: [collections.tenantId, collections.volumeId],
      set: { number: sql`${collections.number} + 1`, startedAt: now },
    })
    .returning();
  const open = await openRunIds(tx, volume.tenantId);
  const roots = await rootsAround(tx, volume);
  const kept = Map.groupBy(
    roots.filter(({ deleted }) => !deleted),
    ({ volumeId }) => volumeId,
  );
  const stays = new Set(roots.flatMap(({ deleted, manifestKey }) => (deleted ? [] : [manifestKey])));
  const packs = await tenantPacks(tx, volume, now);
  const state: VolumeState = {
    ...(await condemnedOf(tx, volume)),
    kept: [...kept].map(([volumeId, of]): KeptRoots => ({ volumeId, manifestKeys: of.map((one) => one.manifestKey) })),
    deletedRoots: roots.flatMap(({ deleted, volumeId, manifestKey }) =>
      deleted && volumeId === volume.volumeId && !stays.has(manifestKey) ? [manifestKey] : [],
    ),
    openRunIds: open,
    longestJobMs: await longestJobMs(tx, volume.tenantId, now),
    packsAllowed: (own) => packsAllowed(packs.others + own, packs.deleted),
  };
  return { number: begun?.number ?? 1, state };
}
