import { Fault } from '../core/faults.ts';
import type { CopyVolume } from './copy.ts';
import { listPoints, listVolumes } from './discover.ts';
import { markVolume } from './gc/mark.ts';
import { objectNameOf } from './gc/object-name.ts';
import { rootKey, type VolumeScope, volumePrefix } from './layout.ts';
import { readManifest, type VaultDeps } from './manifest.ts';
import type { BlobStore } from './ports.ts';

/** All of a vault: needs no key. Roots that come while it is copied are none of it. Checkpoints are, never: they are a writer's own. */
export async function chooseAll(store: BlobStore): Promise<CopyVolume[]> {
  const volumes: CopyVolume[] = [];
  for await (const volumeId of listVolumes(store)) {
    const runs = await listPoints(store, volumeId);
    const wants = (key: string) => {
      const name = objectNameOf(volumeId, key);
      return name !== null && name.kind !== 'checkpoints';
    };
    volumes.push({ volumeId, wants, roots: new Set(runs.map((runId) => rootKey(volumeId, runId))) });
  }
  return volumes;
}

/**
 * What some points of one volume need and no more: packs of other volumes too, where they refer to them.
 *
 * @throws Fault `object_missing` when something that they need is not there; what reading their manifests throws
 */
export async function choosePoints(
  deps: VaultDeps,
  scope: VolumeScope,
  runs: readonly string[],
  options: { signal?: AbortSignal } = {},
): Promise<CopyVolume[]> {
  const own = scope.volumeId;
  const manifestKeys = runs.map((runId) => rootKey(own, runId));
  const elsewhere = new Set<string>();
  for (const manifestKey of manifestKeys)
    for (const volumeId of (await readManifest(deps, { ...scope, manifestKey })).refersTo) elsewhere.add(volumeId);
  const chosen: CopyVolume[] = [];
  for (const volumeId of [own, ...elsewhere]) {
    const kept = [{ volumeId: own, manifestKeys }];
    const marks = await markVolume(deps, { ...scope, volumeId, kept }, options);
    for await (const { key } of deps.store.list(volumePrefix(volumeId))) marks.needs(key);
    const missing = marks.missing();
    if (missing) {
      const { kind, runId, number } = missing;
      throw new Fault('object_missing', `Number ${number} of ${kind} of the run ${runId} of ${volumeId} is missing.`);
    }
    const roots = new Set(volumeId === own ? manifestKeys : []);
    chosen.push({ volumeId, wants: (key) => marks.needs(key), roots });
  }
  return chosen;
}
