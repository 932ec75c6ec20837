import type { BlobStore } from '../ports.ts';

/** A bundle is closed at 4 MiB, with its last page whole. What lies beyond this is read by itself. */
const READ_BYTES = 8 * 2 ** 20;
/** Bundles in memory: at most 128 MiB. */
const KEPT = 16;

/**
 * A store whose manifest bundles are read whole and kept for a while: to go through all pages of a volume takes a read for each
 * bundle instead of one for each of its thousands of pages.
 */
export function withWholeBundles(store: BlobStore): BlobStore {
  const kept = new Map<string, Promise<Uint8Array>>();
  function bundle(key: string): Promise<Uint8Array> {
    const known = kept.get(key);
    if (known) return known;
    const [oldest] = kept.keys();
    if (kept.size >= KEPT && oldest !== undefined) kept.delete(oldest);
    const reading = store.get(key, { start: 0, length: READ_BYTES });
    kept.set(key, reading);
    reading.catch(() => kept.delete(key));
    return reading;
  }
  return {
    ...store,
    async get(key, range) {
      const isBundle = key.split('/')[2] === 'index';
      if (!isBundle || !range || range.start + range.length > READ_BYTES) return store.get(key, range);
      const bytes = await bundle(key);
      return bytes.subarray(range.start, range.start + range.length);
    },
  };
}
