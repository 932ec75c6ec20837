import { Fault } from '../../src/core/faults.ts';
import { sha256, toHex } from '../../src/crypto/bytes.ts';
import type { KeyObjectStore, VersionStore } from '../../src/vault/key-store.ts';
import type { Intercept } from './ports.ts';

type Objects = Map<string, Uint8Array>;

const unavailable = () => new Fault('store_unavailable', 'The store does not answer.');
const tagOf = (bytes: Uint8Array) => toHex(sha256(bytes));

/** Key objects as their administrator sees them: replaced where they are still what was read, destroyed with all versions. */
export function keyObjectsOf(objects: Objects, intercept: Intercept): KeyObjectStore & VersionStore {
  const call = <T>(name: string, detail: string, effect: () => Promise<T>, isLate = false) =>
    intercept({ name, detail, effect, torn: null, failure: unavailable, later: isLate ? () => effect : null });
  const names = (prefix: string) => [...objects.keys()].filter((key) => key.startsWith(prefix)).toSorted();
  return {
    async *list(prefix) {
      for (const key of await call('key list', prefix, async () => names(prefix))) yield { key };
    },
    get: (key) =>
      call('key read', key, async () => {
        const bytes = objects.get(key);
        if (!bytes) throw new Fault('object_missing', 'A stored object is missing.');
        return { bytes: Uint8Array.from(bytes), version: tagOf(bytes) };
      }),
    replace(key, bytes, version) {
      const copy = Uint8Array.from(bytes);
      const effect = async () => {
        const now = objects.get(key);
        if (!now || tagOf(now) !== version) return 'changed' as const;
        objects.set(key, copy);
        return 'replaced' as const;
      };
      return call('key replace', key, effect, true);
    },
    async *listVersions(prefix) {
      for (const key of await call('version list', prefix, async () => names(prefix)))
        yield { key, versionId: 'only', deleteMarker: false };
    },
    deleteVersions: (versions) =>
      call(
        'version delete',
        String(versions.length),
        async () => {
          for (const { key } of versions) objects.delete(key);
        },
        true,
      ),
  };
}
