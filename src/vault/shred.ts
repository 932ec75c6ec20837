import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import type { ObjectVersion, VersionStore } from './key-store.ts';
import { keysPrefix, tenantPrefix, volumeOfKeyObject } from './layout.ts';

/** A point, and the other volumes that its blocks lie in: more than none where a tenant deduplicates across volumes. */
export type PointReach = { volumeId: string; runId: string; refersTo: readonly string[] };

/**
 * What is destroyed when volumes are erased: every version of every key object. Complete: executing it takes no further
 * decision. Plain data, fit to be shown first.
 */
export type ShredPlan = {
  tenantId: string;
  volumeIds: readonly string[];
  /** Distinct key objects. */
  keyObjects: number;
  versions: readonly ObjectVersion[];
  /** Points of volumes that stay, but whose blocks lie in those that go: they are destroyed with them. */
  alsoLost: readonly { volumeId: string; runId: string }[];
};

/** What was destroyed, and the proof that nothing is left: the ground of an erasure certificate. */
export type ShredReport = {
  tenantId: string;
  volumeIds: readonly string[];
  keyObjects: number;
  versions: number;
  /** SHA-256 (hex) of the names of the key objects, sorted, each ended by a line feed. */
  namesSha256: string;
  /** When a listing of all versions found none. */
  provedTime: string;
};

const namesOf = (versions: readonly ObjectVersion[]) => [...new Set(versions.map(({ key }) => key))].toSorted();

/** Volumes of the tenant that have a key object, or a version or delete marker of one. Lists everything that is stored. */
export async function volumesWithKeys(store: VersionStore): Promise<string[]> {
  const volumeIds = new Set<string>();
  for await (const { key } of store.listVersions(tenantPrefix)) {
    const volumeId = volumeOfKeyObject(key);
    if (volumeId !== null) volumeIds.add(volumeId);
  }
  return [...volumeIds].toSorted();
}

/**
 * Works out what erasing these volumes destroys. Everything below a volume's `keys/` goes, whatever its name. Packs, bundles and
 * roots stay: without keys they are noise, and locks may hold them.
 *
 * @param points all points of the tenant's volumes, for `alsoLost`; none when nothing is deduplicated across volumes
 * @throws Fault of the store
 */
export async function planShred(
  store: VersionStore,
  { tenantId, volumeIds }: { tenantId: string; volumeIds: readonly string[] },
  points: readonly PointReach[] = [],
): Promise<ShredPlan> {
  const versions: ObjectVersion[] = [];
  for (const volumeId of volumeIds)
    for await (const version of store.listVersions(keysPrefix(volumeId))) versions.push(version);
  const going = new Set(volumeIds);
  const alsoLost = points
    .filter(({ volumeId, refersTo }) => !going.has(volumeId) && refersTo.some((other) => going.has(other)))
    .map(({ volumeId, runId }) => ({ volumeId, runId }));
  return { tenantId, volumeIds, keyObjects: namesOf(versions).length, versions, alsoLost };
}

/**
 * Destroys what a plan names, then lists again and proves that nothing is left. A crash leaves a volume of which some points no
 * longer open; planning and executing again destroys the rest.
 *
 * @throws Fault `conflict` when key objects came up since the plan was made: no backup may run meanwhile. Faults of the store
 */
export async function executeShred(
  store: VersionStore,
  plan: ShredPlan,
  clock: Clock = systemClock,
): Promise<ShredReport> {
  const { tenantId, volumeIds, keyObjects, versions } = plan;
  await store.deleteVersions(versions);
  for (const volumeId of volumeIds)
    for await (const { key } of store.listVersions(keysPrefix(volumeId)))
      throw new Fault(
        'conflict',
        'A key was stored while its volume was being erased. Stop its backups and plan again.',
        {
          facts: { key },
        },
      );
  const names = createHash('sha256');
  for (const name of namesOf(versions)) names.update(`${name}\n`);
  const provedTime = clock.now().toISOString();
  return { tenantId, volumeIds, keyObjects, versions: versions.length, namesSha256: names.digest('hex'), provedTime };
}
