import { isFault } from '../core/faults.ts';
import { keyObjectKey, keysPrefix, type VolumeScope } from './layout.ts';
import { keyContextOf } from './key-object.ts';
import { createKeyRing, type KeyDeps, storeKey } from './run-keys.ts';

/** Where the id key lies that volumes share: a key object of no volume's. */
const PLACE = { volumeId: 'shared', runId: 'dedup', attempt: '0'.repeat(32) };
const KEY = 'index';

/** May points of this tenant name other volumes' packs? Only volumes with the shared id key's ids do. */
export async function sharesBlocks(keys: { list(prefix: string): AsyncIterable<unknown> }): Promise<boolean> {
  for await (const _ of keys.list(keysPrefix(PLACE.volumeId))) return true;
  return false;
}

/**
 * The id key of all volumes of a tenant that share blocks, made by the first that asks. It has to be there before any of them has a
 * root: volumes that begin at the same moment would each make their own, and never have a block in common. Losing it later
 * costs new volumes that, and no point anything: each root has its own copy.
 */
export async function sharedIdKey(deps: KeyDeps, { cell, tenantId }: VolumeScope): Promise<Uint8Array> {
  const scope = { cell, tenantId, volumeId: PLACE.volumeId };
  const open = () => createKeyRing(deps, scope).dataKey(PLACE, KEY);
  try {
    return await open();
  } catch (error) {
    if (!isFault(error, 'object_missing')) throw error;
  }
  const identity = { ...scope, ...PLACE, key: KEY };
  const made = await deps.keys.generate(keyContextOf(identity));
  await storeKey(deps, made, identity, keyObjectKey(PLACE.volumeId, PLACE, KEY));
  return open(); // Somebody else's may have been faster.
}
