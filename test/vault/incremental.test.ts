import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MemoryImage } from '../../src/vault/memory.ts';
import { createManifestReader } from '../../src/vault/manifest.ts';
import { LEAF_BLOCKS } from '../../src/vault/leaf.ts';
import { NODE_LEAVES } from '../../src/vault/node.ts';
import { BLOCK, block, contentOf, createVault, noise, SCOPE, zeros } from './fixture.ts';
import { pruneAtOnce } from './prune-at-once.ts';

const filled = (count: number): Map<number, Uint8Array> =>
  new Map(Array.from({ length: count }, (_, n) => [n, block(n)]));

/** A vault with one full point of `image`, as the base of what follows. */
async function createBase(image: MemoryImage, blocks = 64) {
  const vault = createVault();
  const { manifestKey } = await vault.backup(image, { runId: 'run-1', snapshotId: 'snap-1', blocks });
  return { vault, base: { manifestKey, snapshotId: 'snap-1' }, lineage: new Map([['snap-1', image]]) };
}

describe('an incremental backup', () => {
  test('reads and stores what changed, and restores the whole volume', async () => {
    const before = filled(60);
    const { vault, base, lineage } = await createBase(before);
    const after = new Map(before).set(3, block(103)).set(50, block(150)).set(62, noise(1));
    const result = await vault.backup(after, { runId: 'run-2', base, lineage });
    expect(result).toMatchObject({ kind: 'incremental', reason: null, blocksRead: 3, blocksStored: 3 });
    expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(after));
    expect(contentOf((await vault.restore(base.manifestKey)).image)).toEqual(contentOf(before));
  });

  test('without a change stores no block and no page', async () => {
    const image = filled(60);
    const { vault, base, lineage } = await createBase(image);
    const result = await vault.backup(image, { runId: 'run-2', base, lineage });
    expect(result).toMatchObject({ kind: 'incremental', blocksRead: 0, blocksStored: 0 });
    expect([...vault.store.objects.keys()].filter((key) => /\/(packs|index)\/run-2\//.test(key))).toEqual([]);
    expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(image));
  });

  test('rewrites the leaves and nodes it touches and shares the others', async () => {
    const NODE_BLOCKS = NODE_LEAVES * LEAF_BLOCKS;
    const blocks = 10 * NODE_BLOCKS;
    const before = new Map(
      Array.from(
        { length: 20 },
        (_, n) => [Math.floor(n / 2) * NODE_BLOCKS + (n % 2) * LEAF_BLOCKS, block(n)] as const,
      ),
    );
    const { vault, base, lineage } = await createBase(before, blocks);
    const after = new Map(before).set(4 * NODE_BLOCKS + 6, block(99));
    const { manifestKey } = await vault.backup(after, { runId: 'run-2', base, lineage, blocks });
    const reader = createManifestReader(vault.deps, SCOPE);
    const { nodes } = await reader.root(manifestKey);
    expect(nodes.map(({ runId }) => runId)).toEqual(nodes.map((_, n) => (n === 4 ? 'run-2' : 'run-1')));
    expect(nodes).toHaveLength(10);
    const leaves = [...(await reader.node(nodes[4]!)).values()];
    expect(leaves.map(({ bundle }) => bundle.runId)).toEqual(['run-2', 'run-1']);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(after));
  });

  test('turns a block that is gone, and one written with zeros, into zeros', async () => {
    const before = filled(10);
    const { vault, base, lineage } = await createBase(before);
    const after = new Map(before).set(2, zeros());
    after.delete(7);
    const result = await vault.backup(after, { runId: 'run-2', base, lineage });
    expect(result).toMatchObject({ kind: 'incremental', blocksRead: 1, blocksStored: 0 });
    const restored = await vault.restore(result.manifestKey);
    expect([...contentOf(restored.image).keys()]).toEqual([0, 1, 3, 4, 5, 6, 8, 9]);
    expect(restored.blocksWritten).toBe(8);
  });

  test('follows a volume that has grown', async () => {
    const before = filled(64);
    const { vault, base, lineage } = await createBase(before);
    const blocks = 2 * NODE_LEAVES * LEAF_BLOCKS;
    const after = new Map(before).set(100, block(1_000)).set(blocks - 1, block(1_001));
    const result = await vault.backup(after, { runId: 'run-2', base, lineage, blocks });
    expect(result).toMatchObject({ kind: 'incremental', volumeBytes: blocks * BLOCK, blocksStored: 2 });
    expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(after));
  });

  test('never unwraps a pack key, and an index key only to read its base', async () => {
    const image = filled(20);
    const { vault, base, lineage } = await createBase(image);
    await vault.backup(new Map(image).set(1, block(101)), { runId: 'run-2', base, lineage });
    expect(vault.keys.calls).toEqual({ generate: { pack: 2, index: 2 }, unwrap: { pack: 0, index: 1 } });
  });
});

describe('a base that does not hold costs a full backup, which says why', () => {
  const image = filled(20);
  const after = new Map(image).set(1, block(101));
  const expectFull = async (
    prepared: Awaited<ReturnType<typeof createBase>>,
    input: Partial<Parameters<typeof prepared.vault.backup>[1]>,
    reason: string,
  ) => {
    const { vault, base, lineage } = prepared;
    const result = await vault.backup(after, { runId: 'run-2', base, lineage, ...input });
    expect(result).toMatchObject({ kind: 'full', reason, blocksRead: 20 }); // How many are stored depends on what is known still.
    expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(after));
  };

  test('lineage lost', async () => expectFull(await createBase(image), { lineage: new Map() }, 'lineage_lost'));

  test('a manifest of another snapshot', async () => {
    const prepared = await createBase(image);
    const base = { ...prepared.base, snapshotId: 'snap-0' };
    await expectFull(prepared, { base, lineage: new Map([['snap-0', image]]) }, 'base_mismatch');
  });

  test('a volume that has shrunk', async () =>
    expectFull(await createBase(image, 64), { blocks: 32 }, 'base_mismatch'));

  test.each(['roots', 'keys', 'index'])('%s missing', async (kind) => {
    const prepared = await createBase(image);
    const { objects } = prepared.vault.store;
    for (const key of objects.keys()) if (key.includes(`/${kind}/`)) objects.delete(key);
    await expectFull(prepared, {}, 'base_unreadable');
  });

  test.each(['roots', 'keys', 'index'])('%s damaged', async (kind) => {
    const prepared = await createBase(image);
    for (const [key, bytes] of prepared.vault.store.objects)
      if (key.includes(`/${kind}/`)) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await expectFull(prepared, {}, 'base_unreadable');
  });
});

test('each point of a chain of ten restores as it was', async () => {
  const vault = createVault();
  const lineage = new Map<string, MemoryImage>();
  const points: { manifestKey: string; snapshotId: string; image: MemoryImage }[] = [];
  for (let n = 0; n <= 10; n += 1) {
    const base = points.at(-1) ?? null;
    const image = new Map(base?.image ?? filled(50));
    for (let change = 0; n > 0 && change < 5; change += 1)
      image.set((n * 11 + change * 3) % 64, block(n * 100 + change));
    image.delete((n * 5) % 64);
    const snapshotId = `snap-${n}`;
    const { manifestKey, kind } = await vault.backup(image, { runId: `run-${n}`, snapshotId, base, lineage });
    expect(kind).toBe(n === 0 ? 'full' : 'incremental');
    lineage.set(snapshotId, image);
    points.push({ manifestKey, snapshotId, image });
  }
  for (const { manifestKey, image } of points)
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(image));
});

describe('random histories', () => {
  const BLOCKS = 24;
  const write = fc.record({
    index: fc.nat(BLOCKS - 1),
    content: fc.oneof(fc.constant('gone' as const), fc.constant('zero' as const), fc.nat(50)),
  });
  const step = fc.record({
    writes: fc.array(write, { maxLength: 6 }),
    base: fc.constantFrom('newest', 'first', 'none', 'unrelated'),
    keepLast: fc.option(fc.integer({ min: 1, max: 3 }), { freq: 4 }),
  });

  test('every kept point restores exactly, whatever came after it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        const vault = createVault();
        const lineage = new Map<string, MemoryImage>();
        let points: { manifestKey: string; snapshotId: string; image: MemoryImage }[] = [];
        const image = new Map<number, Uint8Array>();
        for (const [n, { writes, base, keepLast }] of steps.entries()) {
          for (const { index, content } of writes)
            if (content === 'gone') image.delete(index);
            else image.set(index, content === 'zero' ? zeros() : content % 2 ? noise(content) : block(content));
          const frozen = new Map(image);
          const snapshotId = `snap-${n}`;
          const parent = base === 'none' ? null : ((base === 'first' ? points[0] : points.at(-1)) ?? null);
          const known = base === 'unrelated' ? new Map<string, MemoryImage>() : lineage;
          const input = { runId: `run-${n}`, snapshotId, base: parent, lineage: known, blocks: BLOCKS };
          const { manifestKey } = await vault.backup(frozen, input);
          lineage.set(snapshotId, frozen);
          points.push({ manifestKey, snapshotId, image: frozen });
          if (keepLast !== null) {
            points = points.slice(-keepLast);
            const keep = points.map((point) => point.manifestKey);
            await pruneAtOnce(vault.deps, keep);
          }
        }
        for (const point of points)
          expect(contentOf((await vault.restore(point.manifestKey)).image)).toEqual(contentOf(point.image));
      }),
      { numRuns: 60 },
    );
  });
});
