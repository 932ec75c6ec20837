import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { backupVolume } from '../../src/vault/backup.ts';
import { createMemorySink, createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { LEAF_BLOCKS } from '../../src/vault/leaf.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { BLOCK, block, contentOf, createVault, noise, SCOPE, zeros } from './fixture.ts';

const range = (count: number, at: (n: number) => [number, Uint8Array]) =>
  new Map(Array.from({ length: count }, (_, n) => at(n)));

const SHAPES: Record<string, { blocks: number; image: MemoryImage }> = {
  'that is empty': { blocks: 64, image: new Map() },
  'of written zeros only': { blocks: 64, image: range(64, (n) => [n, zeros()]) },
  'of blocks with one byte that is not zero, first and last': {
    blocks: 2,
    image: new Map([0, BLOCK - 1].map((at, n) => [n, zeros().fill(7, at, at + 1)] as const)),
  },
  'of one block': { blocks: 1, image: new Map([[0, block(1)]]) },
  'with only its first block': { blocks: 1_000, image: new Map([[0, block(1)]]) },
  'with only its last block': { blocks: 1_000, image: new Map([[999, block(1)]]) },
  'that is full': { blocks: 200, image: range(200, (n) => [n, block(n)]) },
  'that does not compress': { blocks: 200, image: range(200, (n) => [n, noise(n)]) },
  'with data and zeros mixed': { blocks: 200, image: range(200, (n) => [n, n % 3 === 0 ? zeros() : block(n)]) },
  'of equal blocks': { blocks: 100, image: range(100, (n) => [n, block(7)]) },
  'that is sparse over many leaves': {
    blocks: 60 * LEAF_BLOCKS,
    image: range(60, (n) => [n * LEAF_BLOCKS + ((n * 37) % LEAF_BLOCKS), block(n)]),
  },
  'with blocks on both sides of a leaf border': {
    blocks: 3 * LEAF_BLOCKS,
    image: range(6, (n) => [LEAF_BLOCKS * (1 + Math.floor(n / 3)) - 2 + (n % 3), block(n)]),
  },
  'of 64 TiB with three blocks': {
    blocks: 2 ** 33,
    image: new Map([
      [0, block(0)],
      [2 ** 27, block(1)],
      [2 ** 33 - 1, noise(2)],
    ]),
  },
};

describe('a full backup restores byte for byte', () => {
  test.each(Object.entries(SHAPES))('a volume %s', async (_, { blocks, image }) => {
    const vault = createVault();
    const result = await vault.backup(image, { runId: 'run-1', blocks });
    const restored = await vault.restore(result.manifestKey);
    expect(contentOf(restored.image)).toEqual(contentOf(image));
    expect(restored).toMatchObject({ isComplete: true, blocksWritten: contentOf(image).size });
    expect(result).toMatchObject({
      kind: 'full',
      reason: null,
      volumeBytes: blocks * BLOCK,
      blocksRead: image.size,
      blocksStored: new Set(contentOf(image).values()).size,
    });
  });
});

test('a volume of several packs restores, and each pack is named by the SHA-256 of its bytes', async () => {
  const vault = createVault();
  const blocks = 9_000;
  const volume = { blockBytes: 64, volumeBytes: blocks * 64 };
  const image = range(blocks, (n) => [n, block(n, 64)]);
  const source = createMemorySource({ ...volume, image });
  const input = { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1', source };
  const { manifestKey } = await backupVolume({ ...vault.deps, checkAll: false }, input);
  const packs = [...vault.store.objects].filter(([key]) => key.includes('/packs/'));
  expect(packs).toHaveLength(3);
  for (const [key, bytes] of packs) expect(key.slice(-64)).toBe(createHash('sha256').update(bytes).digest('hex'));
  const sink = createMemorySink(volume);
  await restoreVolume(vault.deps, { ...SCOPE, manifestKey }, sink);
  expect(contentOf(sink.image)).toEqual(contentOf(image));
});

test('nothing that is stored shows a byte of the volume, its zeros or its ids of blocks', async () => {
  const vault = createVault();
  const image = range(20, (n) => [n, n % 2 ? block(n) : noise(n)]);
  await vault.backup(image, { runId: 'run-1' });
  const stored = Buffer.concat([...vault.store.objects.values()]);
  for (const bytes of image.values()) {
    expect(stored.includes(Buffer.from(bytes.subarray(0, 16)))).toBe(false);
    expect(stored.includes(createHash('sha256').update(bytes).digest())).toBe(false);
  }
  expect(vault.nonces.count()).toBe(20 + 6); // each block, the directory, leaf, node, inventory and dedup page, root
});
