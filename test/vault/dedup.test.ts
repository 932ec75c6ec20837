import { describe, expect, test } from 'vitest';
import { backupVolume } from '../../src/vault/backup.ts';
import { readManifest } from '../../src/vault/manifest.ts';
import { createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { BLOCK, block, contentOf, createVault, SCOPE } from './fixture.ts';
import { pruneAtOnce } from './prune-at-once.ts';

const filled = (count: number, seed = 0) =>
  new Map(Array.from({ length: count }, (_, n) => [n, block(seed + n)] as const));

describe('equal blocks', () => {
  test('of one run are stored once', async () => {
    const vault = createVault();
    const image = new Map(Array.from({ length: 300 }, (_, n) => [n, block(n % 3)] as const));
    const { blocksStored, manifestKey } = await vault.backup(image, { runId: 'run-1', blocks: 300 });
    expect(blocksStored).toBe(3);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(image));
  });

  test('of an earlier run of the volume are not stored again, with or without a base', async () => {
    const vault = createVault();
    const image = filled(1_100);
    const first = await vault.backup(image, { runId: 'run-1', snapshotId: 'snap-1', blocks: 4_096 });
    const again = await vault.backup(image, { runId: 'run-2', blocks: 4_096 });
    expect(again).toMatchObject({ kind: 'full', blocksStored: 0 });
    const moved = new Map([...image].map(([index, bytes]) => [index + 2_000, bytes]));
    const base = { manifestKey: first.manifestKey, snapshotId: 'snap-1' };
    const lineage = new Map<string, MemoryImage>([['snap-1', image]]);
    const third = await vault.backup(moved, { runId: 'run-3', base, lineage, blocks: 4_096 });
    expect(third).toMatchObject({ kind: 'incremental', blocksStored: 0 });
    expect(contentOf((await vault.restore(again.manifestKey)).image)).toEqual(contentOf(image));
    expect(contentOf((await vault.restore(third.manifestKey)).image)).toEqual(contentOf(moved));
  });

  test('whose packs were deleted meanwhile are stored again', async () => {
    const vault = createVault();
    const image = filled(1_100);
    await vault.backup(image, { runId: 'run-1', blocks: 4_096 });
    const other = await vault.backup(filled(10, 9_000), { runId: 'run-2', blocks: 4_096 });
    await pruneAtOnce(vault.deps, [other.manifestKey]);
    const again = await vault.backup(image, { runId: 'run-3', blocks: 4_096 });
    expect(again.blocksStored).toBe(1_100);
    expect(contentOf((await vault.restore(again.manifestKey)).image)).toEqual(contentOf(image));
  });

  test('whose packs are condemned are stored again', async () => {
    const vault = createVault();
    const image = filled(20);
    const tuning = { changesPerDedupPage: 1 };
    await vault.backup(image, { runId: 'run-1' });
    const condemned = new Set(vault.store.objects.keys());
    const again = await vault.backup(image, { runId: 'run-2', condemned, tuning });
    expect(again.blocksStored).toBe(20);
    expect((await vault.backup(image, { runId: 'run-3', condemned, tuning })).blocksStored).toBe(0);
  });

  test('whose packs are condemned are stored again', async () => {
    const vault = createVault();
    const image = filled(1_100);
    await vault.backup(image, { runId: 'run-1', blocks: 4_096 });
    const condemned = new Set([...vault.store.objects.keys()].filter((key) => key.includes('/packs/')));
    const again = await vault.backup(image, { runId: 'run-2', blocks: 4_096, condemned });
    expect(again.blocksStored).toBe(1_100);
  });

  test('whose packs are gone are stored again, though the hints of them are there', async () => {
    const vault = createVault();
    const image = filled(1_100);
    await vault.backup(image, { runId: 'run-1', blocks: 4_096 });
    for (const key of vault.store.objects.keys()) if (key.includes('/packs/')) vault.store.objects.delete(key);
    const again = await vault.backup(image, { runId: 'run-2', blocks: 4_096 });
    expect(again.blocksStored).toBe(1_100);
    expect(contentOf((await vault.restore(again.manifestKey)).image)).toEqual(contentOf(image));
  });

  test('of another volume have other ids: nothing is shared between volumes', async () => {
    const vault = createVault();
    const image = filled(20);
    await vault.backup(image, { runId: 'run-1' });
    const other = await vault.backup(image, { runId: 'run-2', volumeId: 'vol-2' });
    expect(other.blocksStored).toBe(20);
  });
});

describe('tenant-wide, equal blocks', () => {
  const image = filled(1_100);

  async function createPair() {
    const vault = createVault();
    const first = await vault.backup(image, { runId: 'run-1', blocks: 4_096, related: [] });
    const related = [{ volumeId: SCOPE.volumeId, manifestKey: first.manifestKey }];
    const second = await vault.backup(image, { runId: 'run-2', volumeId: 'vol-2', blocks: 4_096, related });
    return { vault, first, second, related };
  }
  const scope = { ...SCOPE, volumeId: 'vol-2' };

  test('of another volume are named, not stored, and the root says whose they are', async () => {
    const { vault, second } = await createPair();
    expect(second.blocksStored).toBe(0);
    const { refersTo } = await readManifest(vault, { ...scope, manifestKey: second.manifestKey });
    expect(refersTo).toEqual([SCOPE.volumeId]);
    expect(contentOf((await vault.restore(second.manifestKey, { scope })).image)).toEqual(contentOf(image));
  });

  test('stay named by what is built on them, which says so too', async () => {
    const { vault, second } = await createPair();
    const next = new Map(image).set(5, block(77_777));
    const third = await vault.backup(next, {
      runId: 'run-3',
      volumeId: 'vol-2',
      base: { manifestKey: second.manifestKey, snapshotId: 'snap-run-2' },
      lineage: new Map([['snap-run-2', image]]),
      blocks: 4_096,
    });
    expect(third).toMatchObject({ kind: 'incremental', blocksStored: 1 });
    const { refersTo } = await readManifest(vault, { ...scope, manifestKey: third.manifestKey });
    expect(refersTo).toEqual([SCOPE.volumeId]);
    expect(contentOf((await vault.restore(third.manifestKey, { scope })).image)).toEqual(contentOf(next));
  });

  test('of volumes that begin at the same moment have the same ids', async () => {
    const vault = createVault();
    const two = await Promise.all(
      ['vol-5', 'vol-6'].map((volumeId) =>
        vault.backup(filled(3), { runId: 'run-1', volumeId, blocks: 4_096, related: [] }),
      ),
    );
    const related = two.map(({ manifestKey }) => ({ volumeId: manifestKey.split('/')[1] ?? '', manifestKey }));
    const third = await vault.backup(filled(3), { runId: 'run-1', volumeId: 'vol-7', blocks: 4_096, related });
    expect(third.blocksStored).toBe(0);
  });

  test('of a volume with an id key of its own are not taken for equal', async () => {
    const { vault, related } = await createPair();
    const own = await vault.backup(filled(3, 50_000), { runId: 'run-1', volumeId: 'vol-3', blocks: 4_096 });
    const again = await vault.backup(image, { runId: 'run-2', volumeId: 'vol-3', blocks: 4_096, related });
    expect(own.blocksStored).toBe(3);
    expect(again.blocksStored).toBe(1_100);
  });

  test('of a point that does not open are stored', async () => {
    const { vault, first } = await createPair();
    vault.store.objects.delete(first.manifestKey);
    const related = [{ volumeId: SCOPE.volumeId, manifestKey: first.manifestKey }];
    const other = await vault.backup(image, { runId: 'run-3', volumeId: 'vol-4', blocks: 4_096, related });
    expect(other.blocksStored).toBe(1_100);
  });
});

test('of an earlier run no more packs are listed than its hints speak of, however many it has', async () => {
  const vault = createVault();
  const image = filled(1_100);
  await vault.backup(image, { runId: 'run-1', blocks: 4_096 });
  const [pack = ''] = [...vault.store.objects.keys()].filter((key) => key.includes('/packs/'));
  const later = (n: number) => pack.replace(/\d{8}(?=-\w{64}$)/, String(n + 1_000).padStart(8, '0'));
  for (let n = 0; n < 500; n += 1) vault.store.objects.set(later(n), new Uint8Array());
  let listed = 0;
  const store: typeof vault.store = {
    ...vault.store,
    async *list(prefix) {
      for await (const object of vault.store.list(prefix)) {
        if (object.key.includes('/packs/')) listed += 1;
        yield object;
      }
    },
  };
  const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: 4_096 * BLOCK });
  const input = { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2', source };
  expect(await backupVolume({ ...vault.deps, store }, input)).toMatchObject({ blocksStored: 0 });
  expect(listed).toBe(1);
});
