import { randomUUID } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import type { KeyObjectStore, VersionStore } from './key-store.ts';
import { foldersOf } from './memory.ts';
import type { BlobStore } from './ports.ts';

/** `bytes` null: a delete marker. */
export type StoredVersion = { versionId: string; bytes: Uint8Array | null };

/**
 * A store that keeps what was replaced or deleted, as a bucket with versions does. `versions` is all of it, the newest of each
 * key first. For tests and for trying things out.
 */
export function createVersionedStore(versions = new Map<string, StoredVersion[]>()) {
  const current = (key: string) => versions.get(key)?.[0]?.bytes ?? null;
  const push = (key: string, bytes: Uint8Array | null) =>
    versions.set(key, [{ versionId: randomUUID(), bytes }, ...(versions.get(key) ?? [])]);
  const found = (key: string): { versionId: string; bytes: Uint8Array } => {
    const [newest] = versions.get(key) ?? [];
    if (!newest?.bytes) throw new Fault('object_missing', 'A stored object is missing.');
    return { versionId: newest.versionId, bytes: Uint8Array.from(newest.bytes) };
  };
  const keysWith = (prefix: string) => [...versions.keys()].filter((key) => key.startsWith(prefix)).toSorted();
  async function* list(prefix: string) {
    for (const key of keysWith(prefix)) {
      const bytes = current(key);
      if (bytes) yield { key, sizeBytes: bytes.length };
    }
  }
  const blobs: BlobStore = {
    list,
    async putNew(key, bytes) {
      if (current(key)) return 'exists';
      push(key, Uint8Array.from(bytes));
      return 'created';
    },
    async get(key, range) {
      const { bytes } = found(key);
      return range ? bytes.slice(range.start, range.start + range.length) : bytes;
    },
    async *folders(prefix) {
      yield* foldersOf(
        keysWith(prefix).filter((key) => current(key) !== null),
        prefix,
      );
    },
    async delete(keys) {
      for (const key of keys) push(key, null);
    },
  };
  const keys: KeyObjectStore & VersionStore = {
    list,
    async get(key) {
      const { versionId, bytes } = found(key);
      return { bytes, version: versionId };
    },
    async replace(key, bytes, version) {
      const [newest] = versions.get(key) ?? [];
      if (!newest?.bytes || newest.versionId !== version) return 'changed';
      push(key, Uint8Array.from(bytes));
      return 'replaced';
    },
    async *listVersions(prefix) {
      for (const key of keysWith(prefix))
        for (const { versionId, bytes } of versions.get(key) ?? [])
          yield { key, versionId, deleteMarker: bytes === null };
    },
    async deleteVersions(going) {
      for (const { key, versionId } of going) {
        const rest = (versions.get(key) ?? []).filter((one) => one.versionId !== versionId);
        if (rest.length === 0) versions.delete(key);
        else versions.set(key, rest);
      }
    },
  };
  return { versions, blobs, keys };
}
