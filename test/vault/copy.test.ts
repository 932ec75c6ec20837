import { describe, expect, test } from 'vitest';
import { executeCopy, planCopy } from '../../src/vault/copy.ts';
import { chooseAll, choosePoints } from '../../src/vault/copy-choice.ts';
import { createMemorySink, createMemoryStore } from '../../src/vault/memory.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { verifyVolume } from '../../src/vault/verify.ts';
import { BLOCK, block, contentOf, createVault, SCOPE } from './fixture.ts';

const filled = (count: number, seed: number) => new Map(Array.from({ length: count }, (_, n) => [n, block(n + seed)]));
const isRoot = (key: string) => key.includes('/roots/');

/** Two volumes: the second has blocks of the first, and two points of its own. */
async function createPair() {
  const vault = createVault();
  const first = await vault.backup(filled(300, 0), { runId: 'run-1', blocks: 1_024, related: [] });
  await vault.backup(filled(300, 9_000), { runId: 'run-2', blocks: 1_024, related: [] });
  const related = [{ volumeId: SCOPE.volumeId, manifestKey: first.manifestKey }];
  const image = new Map([...filled(300, 0), [700, block(77_777)]]);
  const second = await vault.backup(image, { runId: 'run-3', volumeId: 'vol-2', blocks: 1_024, related });
  expect(second.blocksStored).toBe(1);
  return { vault, image, second };
}

/** A target that takes down the order in which puts end: a root's ends at once. It may be told what to do before each. */
function recording(before: (key: string) => void = () => {}) {
  const { objects, ...memory } = createMemoryStore();
  const puts: string[] = [];
  const to: BlobStore = {
    ...memory,
    async putNew(key, bytes, options) {
      before(key);
      for (let turns = isRoot(key) ? 0 : 20; turns > 0; turns -= 1) await new Promise((done) => setImmediate(done));
      puts.push(key);
      return memory.putNew(key, bytes, options);
    },
  };
  return { to, objects, puts };
}

describe('a copy of a vault', () => {
  test('has every object of every point, and its roots last', async () => {
    const { vault } = await createPair();
    const { to, objects, puts } = recording();
    const stores = { from: vault.store, to };
    const volumes = await chooseAll(vault.store);
    const plan = await planCopy(stores, volumes);
    const report = await executeCopy(stores, volumes);
    const wanted = [...vault.store.objects].filter(([key]) => !key.includes('/checkpoints/'));
    expect(objects).toEqual(new Map(wanted));
    expect(report).toMatchObject({ copied: plan.copy, points: 3, damage: [] });
    expect(puts.findIndex(isRoot)).toBe(puts.length - 3);
    const again = await executeCopy(stores, volumes);
    expect(again).toMatchObject({ copied: { objects: 0 }, there: plan.copy, points: 3 });
    expect(puts).toHaveLength(wanted.length);
  });

  test.each([0, 1, 3, 8, 12, 14, 15, 16])(
    'that ends after %i objects has no point, and the next one goes on',
    async (count) => {
      const { vault } = await createPair();
      const ending = new AbortController();
      let begun = 0;
      const { to, objects, puts } = recording(() => {
        if (begun === count) ending.abort();
        begun += 1;
      });
      const stores = { from: vault.store, to };
      const volumes = await chooseAll(vault.store);
      await expect(executeCopy(stores, volumes, { signal: ending.signal })).rejects.toMatchObject({ code: 'aborted' });
      const parts = [...vault.store.objects.keys()].filter((key) => !isRoot(key) && !key.includes('/checkpoints/'));
      if ([...objects.keys()].some(isRoot)) expect([...objects.keys()]).toEqual(expect.arrayContaining(parts));
      const before = puts.length;
      const report = await executeCopy(stores, volumes);
      expect(report).toMatchObject({ there: { objects: before }, points: 3, damage: [] });
    },
  );

  test('of one point has what it needs and no more, and verifies', async () => {
    const { vault, image, second } = await createPair();
    const { to, objects } = recording();
    const deps = { store: vault.store, keys: vault.keys };
    const scope = { ...SCOPE, volumeId: 'vol-2' };
    const volumes = await choosePoints(deps, scope, ['run-3']);
    const report = await executeCopy({ from: vault.store, to }, volumes);
    expect(report).toMatchObject({ points: 1, damage: [] });
    expect([...objects.keys()].filter((key) => key.includes('run-2'))).toEqual([]);
    expect([...objects.keys()].filter(isRoot)).toEqual([second.manifestKey]);
    const copy = { store: to, keys: vault.keys };
    const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 1_024 * BLOCK });
    await restoreVolume(copy, { ...scope, manifestKey: second.manifestKey }, sink);
    expect(contentOf(sink.image)).toEqual(contentOf(image));
    const verified = await verifyVolume(copy, { ...scope, manifestKeys: [second.manifestKey] });
    expect(verified).toMatchObject({ isRound: true, damage: [] });
  });

  test('of a point that lacks something is not begun', async () => {
    const { vault } = await createPair();
    const pack = [...vault.store.objects.keys()].find((key) => key.includes('/vol-1/packs/run-1/')) ?? '';
    vault.store.objects.delete(pack);
    const choice = choosePoints({ store: vault.store, keys: vault.keys }, { ...SCOPE, volumeId: 'vol-2' }, ['run-3']);
    await expect(choice).rejects.toMatchObject({ code: 'object_missing' });
  });

  test.each([
    ['packs', 'object_corrupt'],
    ['index', 'object_corrupt'],
    ['keys', 'object_corrupt'],
  ])('takes none of %s that is damaged, nor then a point, unless it is told to', async (kind, expected) => {
    const { vault } = await createPair();
    const name = [...vault.store.objects.keys()].find((key) => key.includes(`/${kind}/run-1/`)) ?? '';
    const bytes = vault.store.objects.get(name) ?? new Uint8Array();
    vault.store.objects.set(
      name,
      bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte)),
    );
    const { to, objects } = recording();
    const stores = { from: vault.store, to };
    const volumes = await chooseAll(vault.store);
    const report = await executeCopy(stores, volumes);
    expect(report).toMatchObject({ points: 0, damage: [{ class: expected, object: name }] });
    expect([...objects.keys()].filter(isRoot)).toEqual([]);
    expect(objects.has(name)).toBe(false);
    expect(await executeCopy(stores, volumes, { despiteDamage: true })).toMatchObject({ points: 3 });
    expect(objects.has(name)).toBe(false);
  });

  test('takes no key that lies under the name of another', async () => {
    const { vault } = await createPair();
    const [one = '', other = ''] = [...vault.store.objects.keys()].filter((key) => key.includes('/keys/'));
    vault.store.objects.set(one, vault.store.objects.get(other) ?? new Uint8Array());
    const { to } = recording();
    const report = await executeCopy({ from: vault.store, to }, await chooseAll(vault.store));
    expect(report.damage).toEqual([{ class: 'wrong_key', object: one }]);
  });

  test('leaves what lies in the way as it is, and says so before and after', async () => {
    const { vault } = await createPair();
    const name = [...vault.store.objects.keys()].find((key) => key.includes('/packs/')) ?? '';
    const { to, objects } = recording();
    objects.set(name, Uint8Array.of(1, 2, 3));
    const stores = { from: vault.store, to };
    const volumes = await chooseAll(vault.store);
    expect(await planCopy(stores, volumes)).toMatchObject({ inTheWay: [name] });
    expect(await executeCopy(stores, volumes)).toMatchObject({ damage: [{ class: 'object_exists', object: name }] });
    expect(objects.get(name)).toEqual(Uint8Array.of(1, 2, 3));
  });
});
