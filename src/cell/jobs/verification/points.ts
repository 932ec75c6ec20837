import { and, eq, inArray } from 'drizzle-orm';
import type { Tx } from '../../db/client.ts';
import { recoveryPoints, volumeBases } from '../../db/schema/recovery-points.ts';

/**
 * Every volume of a tenant that lies in the vault, with the manifests that must stay whole: of the points that are kept, and of the base
 * of the next backup, whose packs later points will share.
 */
export async function manifestsInVault(tx: Tx, tenantId: string): Promise<Map<string, ReadonlySet<string>>> {
  const kept = await tx
    .select({ volumes: recoveryPoints.volumes })
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.tenantId, tenantId),
        eq(recoveryPoints.storage, 'vault'),
        inArray(recoveryPoints.state, ['COMPLETED', 'PARTIAL']),
      ),
    );
  const bases = await tx
    .select({ volumeId: volumeBases.volumeId, manifestKey: volumeBases.manifestKey })
    .from(volumeBases)
    .where(eq(volumeBases.tenantId, tenantId));
  const all = [...kept.flatMap(({ volumes }) => volumes), ...bases];
  const inVault = all.flatMap(({ volumeId, manifestKey }) => (manifestKey === null ? [] : [{ volumeId, manifestKey }]));
  const byVolume = Map.groupBy(inVault, ({ volumeId }) => volumeId);
  return new Map([...byVolume].map(([volumeId, ones]) => [volumeId, new Set(ones.map((one) => one.manifestKey))]));
}
