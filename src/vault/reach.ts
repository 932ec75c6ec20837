import { listPoints, listVolumes } from './discover.ts';
import { rootKey } from './layout.ts';
import { readManifest, type VaultDeps } from './manifest.ts';
import { mapInOrder } from './pipeline.ts';
import type { PointReach } from './shred.ts';

const ROOTS_IN_FLIGHT = 16;

/**
 * All points of a tenant's other volumes, and whose packs each may name. Reads every root.
 *
 * @throws Fault of the first root that cannot be read: what it refers to is then not known
 */
export async function reachOfOthers(
  deps: VaultDeps,
  scope: { cell: string; tenantId: string },
  volumeIds: readonly string[],
): Promise<PointReach[]> {
  const reaches: PointReach[] = [];
  for await (const volumeId of listVolumes(deps.store)) {
    if (volumeIds.includes(volumeId)) continue;
    const read = async (runId: string): Promise<PointReach> => {
      const { refersTo } = await readManifest(deps, { ...scope, volumeId, manifestKey: rootKey(volumeId, runId) });
      return { volumeId, runId, refersTo };
    };
    for await (const reach of mapInOrder(await listPoints(deps.store, volumeId), ROOTS_IN_FLIGHT, read))
      reaches.push(reach);
  }
  return reaches;
}
