import { expect, test } from 'vitest';
import { backupVolume } from '../../src/vault/backup.ts';
import { createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { verifyVolume } from '../../src/vault/verify.ts';
import { BLOCK, block, createVault, SCOPE, type Vault } from './fixture.ts';
import { objectsLike, readOnly } from './verify-fixture.ts';

const image: MemoryImage = new Map(Array.from({ length: 40 }, (_, n) => [n, block(n)]));

const verifyPoint = (vault: Vault, volumeId: string, manifestKey: string) =>
  verifyVolume({ store: readOnly(vault), keys: vault.keys }, { ...SCOPE, volumeId, manifestKeys: [manifestKey] });

const flip = (vault: Vault, key: string, at: number) => {
  vault.store.objects.get(key)![at]! ^= 1;
};

test('packs of another volume are verified with the point that needs them', async () => {
  const vault = createVault();
  const first = await vault.backup(image, { runId: 'run-1', related: [] });
  const related = [{ volumeId: SCOPE.volumeId, manifestKey: first.manifestKey }];
  const second = await vault.backup(image, { runId: 'run-2', volumeId: 'vol-2', related });
  const [pack] = objectsLike(vault, 'v1/vol-1/packs/');
  expect(objectsLike(vault, 'v1/vol-2/packs/')).toEqual([]);
  expect(await verifyPoint(vault, 'vol-2', second.manifestKey)).toMatchObject({
    damage: [],
    blocks: 40,
    isRound: true,
  });

  const needed = { object: pack, volumeId: 'vol-2', points: [{ manifestKey: second.manifestKey, blocks: 1 }] };
  flip(vault, pack!, 10);
  expect((await verifyPoint(vault, 'vol-2', second.manifestKey)).damage).toMatchObject([
    { ...needed, class: 'object_corrupt' },
  ]);
  vault.store.objects.delete(pack!);
  expect((await verifyPoint(vault, 'vol-2', second.manifestKey)).damage).toMatchObject([
    { ...needed, class: 'object_missing', points: [{ blocks: 40 }] },
  ]);
});

test('what an interrupted attempt had stored is verified with the point that goes on with it, its list of packs too', async () => {
  const vault = createVault();
  const input = { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1', base: null };
  const deps = { ...vault.deps, tuning: { checkpointEvery: 200 } };
  const large = new Map(Array.from({ length: 1_400 }, (_, n) => [n, block(n)] as const));
  const source = createMemorySource({ image: large, blockBytes: BLOCK, volumeBytes: 1_400 * BLOCK });
  let left = 600;
  const dying = {
    ...source,
    fetch: (ref: Parameters<typeof source.fetch>[0]) =>
      (left -= 1) > 0 ? source.fetch(ref) : Promise.reject(new Error('died')),
  };
  await expect(backupVolume(deps, { ...input, source: dying })).rejects.toThrow('died');
  const before = new Set(vault.store.objects.keys());
  const { manifestKey } = await backupVolume(deps, { ...input, source });
  const report = await verifyPoint(vault, SCOPE.volumeId, manifestKey);
  expect(report).toMatchObject({ damage: [], isRound: true });
  const earlier = [...before].filter((key) => key.includes('/packs/') || key.startsWith('v1/vol-1/index/'));
  expect(earlier.length).toBeGreaterThan(1);
  let found = 0;
  for (const key of earlier) {
    flip(vault, key, 100);
    const { damage } = await verifyPoint(vault, SCOPE.volumeId, manifestKey);
    expect(damage.every(({ object }) => object === key)).toBe(true);
    found += damage.length;
    flip(vault, key, 100);
  }
  // Its packs, and the list of them: no block needs that, and an attestation cites it.
  expect(found).toBeGreaterThan(objectsLike(vault, '/packs/').filter((key) => before.has(key)).length);
});
