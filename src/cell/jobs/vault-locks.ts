import { and, eq } from 'drizzle-orm';
import { type HeldPoint, lockNewPoint, type LockPlanner } from '../../vault/locks/extend.ts';
import type { LockExtender } from '../../vault/ports.ts';
import { type PointVolume, recoveryPoints, volumeBases } from '../db/schema/recovery-points.ts';
import { inTenant } from '../db/tenancy.ts';
import { inVault } from './vault-principals.ts';
import type { ConnectionRow, Worker } from './worker.ts';

/** Works on a tenant's locks: the scrubber looks, the extender extends, and neither could do the other's part. */
export const withLocks = <T>(
  worker: Worker,
  tenantId: string,
  work: (deps: LockPlanner & { extender: LockExtender }) => Promise<T>,
): Promise<T> =>
  inVault(worker, { principal: 'scrubber', tenantId }, (vault) =>
    inVault(worker, { principal: 'extender', tenantId }, ({ locks: extender }) =>
      work({ vault, locks: vault.locks, extender, clock: worker.clock }),
    ),
  );

/** The point that a volume's new one was built on, where it is known to be held. */
async function heldBase(worker: Worker, connection: ConnectionRow, volumeId: string): Promise<HeldPoint | null> {
  const { tenantId, id: connectionId } = connection;
  const one = and(
    eq(volumeBases.tenantId, tenantId),
    eq(volumeBases.connectionId, connectionId),
    eq(volumeBases.volumeId, volumeId),
    eq(recoveryPoints.tenantId, tenantId),
  );
  const [point] = await inTenant(worker.db, tenantId, (tx) =>
    tx
      .select({ volumes: recoveryPoints.volumes })
      .from(volumeBases)
      .innerJoin(recoveryPoints, eq(recoveryPoints.id, volumeBases.recoveryPointId))
      .where(one),
  );
  const base = point?.volumes.find((volume) => volume.volumeId === volumeId);
  if (!base?.manifestKey || base.heldUntil === undefined) return null;
  return { manifestKey: base.manifestKey, heldUntil: new Date(base.heldUntil) };
}

/**
 * Locks all that the volumes of a new point refer to, objects of earlier runs included. Only then may it be called locked.
 *
 * @throws Fault `store_unavailable`, `object_missing` and those of reading a manifest: the job tries again, or says so
 */
export function lockCopied(
  worker: Worker,
  connection: ConnectionRow,
  stored: readonly PointVolume[],
  options: { lockUntil: Date; signal: AbortSignal },
): Promise<{ stored: PointVolume[]; lockedUntil: Date }> {
  const { tenantId } = connection;
  const { lockUntil, signal } = options;
  return withLocks(worker, tenantId, async (deps) => {
    const held: PointVolume[] = [];
    for (const volume of stored) {
      const { volumeId, runId, manifestKey } = volume;
      if (manifestKey === null) continue;
      const base = await heldBase(worker, connection, volumeId);
      const scope = { cell: worker.region.cell, tenantId, volumeId };
      const heldUntil = await lockNewPoint(
        deps,
        { ...scope, runId, point: { manifestKey, lockUntil }, base },
        { signal },
      );
      held.push({ ...volume, heldUntil: heldUntil.toISOString() });
    }
    return { stored: held, lockedUntil: lockUntil };
  });
}
