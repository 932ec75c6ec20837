import { and, eq, gt, inArray, sql } from 'drizzle-orm';
import { extendLocks, type LockedPoint } from '../../vault/locks/extend.ts';
import { lockDemanded } from '../../vault/locks/generations.ts';
import { recoveryPoints } from '../db/schema/recovery-points.ts';
import { inTenant } from '../db/tenancy.ts';
import { withLocks } from './vault-locks.ts';
import type { Worker } from './worker.ts';

type VolumePoint = LockedPoint & { recoveryPointId: string; heldUntil: Date | null };

/** Locked points in the vault, by volume. */
async function lockedVolumes(worker: Worker, tenantId: string): Promise<Map<string, VolumePoint[]>> {
  const locked = and(
    eq(recoveryPoints.tenantId, tenantId),
    eq(recoveryPoints.storage, 'vault'),
    gt(recoveryPoints.lockedUntil, worker.clock.now()),
    inArray(recoveryPoints.state, ['COMPLETED', 'PARTIAL']),
  );
  const rows = await inTenant(worker.db, tenantId, (tx) => tx.select().from(recoveryPoints).where(locked));
  const byVolume = new Map<string, VolumePoint[]>();
  for (const { id: recoveryPointId, lockedUntil, volumes } of rows) {
    for (const { volumeId, manifestKey, heldUntil } of volumes) {
      if (manifestKey === null || lockedUntil === null) continue;
      const held = heldUntil === undefined ? null : new Date(heldUntil);
      const point = { recoveryPointId, manifestKey, lockUntil: lockedUntil, heldUntil: held };
      byVolume.set(volumeId, [...(byVolume.get(volumeId) ?? []), point]);
    }
  }
  return byVolume;
}

/** Is anything of these points not known to be locked as long as they demand now? Pure. */
export const isDue = (points: readonly Pick<VolumePoint, 'lockUntil' | 'heldUntil'>[], now: Date): boolean =>
  points.some(({ lockUntil, heldUntil }) => heldUntil === null || heldUntil < lockDemanded(lockUntil, now));

async function renewVolume(worker: Worker, tenantId: string, volumeId: string, points: VolumePoint[]): Promise<void> {
  const scope = { cell: worker.region.cell, tenantId, volumeId };
  const report = await withLocks(worker, tenantId, (deps) => extendLocks(deps, { ...scope, points }));
  const { looked, extended, missing } = report;
  worker.log.log('info', 'locks.renewed', { tenantId, volumeId, looked, extended });
  if (missing.length > 0) {
    // They are looked for again tomorrow: nothing is noted down as held.
    const [key = ''] = missing;
    worker.log.log('warn', 'locks.missing', { tenantId, volumeId, objects: missing.length, key });
    return;
  }
  await inTenant(worker.db, tenantId, async (tx) => {
    for (const { recoveryPointId, manifestKey } of points) {
      const heldUntil = report.heldUntil.get(manifestKey)?.toISOString();
      if (heldUntil === undefined) continue;
      await tx.execute(sql`
        update recovery_points set volumes = (
          select jsonb_agg(case when v->>'volumeId' = ${volumeId} then jsonb_set(v, '{heldUntil}', to_jsonb(${heldUntil}::text)) else v end)
          from jsonb_array_elements(volumes) v)
        where tenant_id = ${tenantId} and id = ${recoveryPointId}`);
    }
  });
}

/**
 * Makes the locks of a tenant's points longer where they end before the next generation does. One volume that cannot be read holds no
 * other up.
 */
export async function renewLocks(worker: Worker, tenantId: string): Promise<void> {
  for (const [volumeId, points] of await lockedVolumes(worker, tenantId)) {
    if (!isDue(points, worker.clock.now())) continue;
    await renewVolume(worker, tenantId, volumeId, points).catch((error: unknown) =>
      worker.log.log('warn', 'locks.failed', { tenantId, volumeId }, error),
    );
  }
}
