import { decodeHeader, HEADER_BYTES } from '../crypto/object-header.ts';
import { Fault, isFault } from '../core/faults.ts';
import { readKeyObject } from './key-object.ts';
import { isId, keyObjectKey, rootKey, rootsPrefix, tenantPrefix, type VolumeScope } from './layout.ts';
import type { BlobStore } from './ports.ts';

/** The volumes of a vault, in lexical order. No pack is listed for it. */
export async function* listVolumes(store: BlobStore): AsyncGenerator<string> {
  for await (const folder of store.folders(tenantPrefix)) {
    const volumeId = folder.slice(0, -1);
    if (isId(volumeId)) yield volumeId; // A stranger's folder is none of a vault's volumes.
  }
}

/** The points of a volume by their run ids, in lexical order: ids of ours sort by age. */
export async function listPoints(store: BlobStore, volumeId: string): Promise<string[]> {
  const prefix = rootsPrefix(volumeId);
  const runs: string[] = [];
  for await (const { key } of store.list(prefix)) runs.push(key.slice(prefix.length));
  return runs.filter(isId);
}

/** What a reader knows beforehand of whose vault it is. */
export type ExpectedScope = { cell?: string | undefined; tenantId?: string | undefined };

/** One point in time of one volume. */
export type PointName = { volumeId: string; runId: string };

/** The attempt that a point's root belongs to. @throws Fault `not_found`, and as `scopeOfPoint` */
async function attemptOf(store: BlobStore, { volumeId, runId }: PointName): Promise<string> {
  const header = await store
    .get(rootKey(volumeId, runId), { start: 0, length: HEADER_BYTES })
    .catch((error: unknown) => {
      if (isFault(error, 'object_missing'))
        throw new Fault('not_found', `There is no point ${runId} of volume ${volumeId}.`, { cause: error });
      throw error;
    });
  return decodeHeader(header).attempt;
}

/**
 * Whose a point is, as the key object of its root says where it was not known: enough to try a key, and no more. What is sealed
 * opens only if it is true.
 *
 * @throws Fault `not_found` when there is no such point, `wrong_key` when it is not the vault that was expected; `object_missing`,
 *   `object_corrupt`, `unsupported_format`, `store_unavailable`
 */
export async function scopeOfPoint(store: BlobStore, point: PointName, expected: ExpectedScope): Promise<VolumeScope> {
  const { volumeId, runId } = point;
  const attempt = await attemptOf(store, point);
  const { cell, tenantId } = expected;
  if (cell !== undefined && tenantId !== undefined) return { cell, tenantId, volumeId };
  const { identity } = readKeyObject(await store.get(keyObjectKey(volumeId, { runId, attempt }, 'index')));
  const scope = { cell: cell ?? identity.cell, tenantId: tenantId ?? identity.tenantId, volumeId };
  if (scope.cell !== identity.cell || scope.tenantId !== identity.tenantId)
    throw new Fault('wrong_key', `This is the vault of ${identity.tenantId} in the cell ${identity.cell}.`);
  return scope;
}
