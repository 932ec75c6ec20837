import type { MemoryImage } from '../../src/vault/memory.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { verifyVolume } from '../../src/vault/verify.ts';
import { block, createVault, noise, SCOPE, type Vault } from './fixture.ts';

export type Point = { runId: string; manifestKey: string };

/**
 * Three points of one volume; each changes what the one before has, and shares the rest: leaf 0 is written by each run, leaf 1 and all of
 * node 1 by the first alone.
 */
export async function createPoints(scope = SCOPE, vault = createVault()) {
  const images = new Map<string, MemoryImage>();
  const points: Point[] = [];
  const indexes = [...Array.from({ length: 20 }, (_, n) => n), 1_500, 600_000];
  let image: MemoryImage = new Map(indexes.map((n) => [n, n % 3 === 0 ? noise(n) : block(n)]));
  for (const runId of ['run-1', 'run-2', 'run-3']) {
    const base = points.at(-1);
    const options = base
      ? { base: { manifestKey: base.manifestKey, snapshotId: `snap-${base.runId}` }, lineage: new Map(images) }
      : {};
    const { manifestKey } = await vault.backup(image, { runId, blocks: 700_000, ...scope, ...options });
    images.set(`snap-${runId}`, image);
    points.push({ runId, manifestKey });
    image = new Map([...image, [points.length, noise(100 + points.length)], [30, block(200 + points.length)]]);
  }
  return { vault, points };
}

/** The store of a vault as a verification may use it: whoever writes is told off. */
export function readOnly(vault: Vault): BlobStore {
  const refuse = () => Promise.reject(new Error('a verification wrote'));
  return { ...vault.store, putNew: refuse, delete: refuse };
}

type Options = Parameters<typeof verifyVolume>[2] & { store?: BlobStore; keys?: Vault['keys'] };

export function verify(vault: Vault, points: readonly Point[], { store, keys, ...options }: Options = {}) {
  const deps = { store: store ?? readOnly(vault), keys: keys ?? vault.keys };
  const manifestKeys = points.map(({ manifestKey }) => manifestKey);
  return verifyVolume(deps, { ...SCOPE, manifestKeys }, options);
}

export const objectsLike = (vault: Vault, part: string) =>
  [...vault.store.objects.keys()].filter((key) => key.includes(part)).toSorted();
