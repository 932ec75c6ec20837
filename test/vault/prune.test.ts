import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { isFault } from '../../src/core/faults.ts';
import { newId, timeOfId } from '../../src/core/ids.ts';
import type { MemoryImage } from '../../src/vault/memory.ts';
import { executePrune, planPrune, SAFETY } from '../../src/vault/prune.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { block, contentOf, createVault, SCOPE, type Vault } from './fixture.ts';

const DAY_ONE = new Date('2026-01-01T00:00:00Z');
const at = (minutes: number) => new Date(DAY_ONE.getTime() + minutes * 60_000);
const clockAt = (now: Date): Clock => ({ now: () => now, sleep: async () => {} });

/** A chain of points of one volume, a minute apart; each changes two blocks of the one before. */
async function createChain(vault: Vault, length: number) {
  const points: { runId: string; manifestKey: string; snapshotId: string; image: MemoryImage }[] = [];
  const lineage = new Map<string, MemoryImage>();
  for (let n = 0; n < length; n += 1) {
    const base = points.at(-1) ?? null;
    const image = new Map(base?.image ?? Array.from({ length: 40 }, (_, i) => [i, block(i)] as const));
    if (base) image.set(n % 40, block(1_000 + n)).set((n * 7) % 40, block(2_000 + n));
    const runId = newId('run', 'eu', at(n));
    const snapshotId = `snap-${n}`;
    const { manifestKey, kind } = await vault.backup(image, { runId, snapshotId, base, lineage });
    expect(kind).toBe(base ? 'incremental' : 'full');
    lineage.set(snapshotId, image);
    points.push({ runId, manifestKey, snapshotId, image });
  }
  return points;
}

async function prune(vault: Vault, keep: readonly string[], openRunIds: readonly string[] = [], now = at(60)) {
  const deps = { ...vault.deps, clock: clockAt(now) };
  const plan = await planPrune(deps, { ...SCOPE, manifestKeysToKeep: keep, openRunIds });
  await executePrune(plan, vault.store);
  return plan;
}

async function expectRestores(vault: Vault, point: { manifestKey: string; image: MemoryImage }) {
  const restored = await vault.restore(point.manifestKey);
  expect(contentOf(restored.image)).toEqual(contentOf(point.image));
}

const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => (isFault(error) ? error.code : String(error)),
  );

describe('prune', () => {
  test('removes points that are not kept and keeps every other restorable', async () => {
    const vault = createVault();
    const points = await createChain(vault, 8);
    const kept = [points[2]!, points[5]!, points[7]!];
    const keys = kept.map(({ manifestKey }) => manifestKey);
    const before = [...vault.store.objects.values()].reduce((sum, { length }) => sum + length, 0);
    const plan = await prune(vault, keys);
    for (const point of kept) await expectRestores(vault, point);
    for (const point of points.filter((one) => !kept.includes(one)))
      expect(await faultOf(vault.restore(point.manifestKey))).toBe('object_missing');
    const after = [...vault.store.objects.values()].reduce((sum, { length }) => sum + length, 0);
    expect(before - after).toBe(plan.bytesToDelete);
    expect(after).toBe(plan.bytesKept);
  });

  test('leaves nothing behind that no kept point needs', async () => {
    const vault = createVault();
    const points = await createChain(vault, 5);
    await prune(vault, [points[4]!.manifestKey]);
    const again = await planPrune(vault.deps, {
      ...SCOPE,
      manifestKeysToKeep: [points[4]!.manifestKey],
      openRunIds: [],
    });
    expect(again.rootsToDelete).toEqual([]);
    expect(again.objectsToDelete).toEqual([]);
    await prune(vault, []);
    expect([...vault.store.objects.keys()]).toEqual([]);
  });

  test('every single kept point of a chain survives the loss of all others', async () => {
    for (let n = 0; n < 5; n += 1) {
      const vault = createVault();
      const points = await createChain(vault, 5);
      await prune(vault, [points[n]!.manifestKey]);
      await expectRestores(vault, points[n]!);
    }
  });

  test('refuses when a manifest to keep cannot be read, and deletes nothing', async () => {
    const vault = createVault();
    const points = await createChain(vault, 3);
    const keep = [points[2]!.manifestKey];
    const page = [...vault.store.objects.keys()].find((key) => key.includes(`/index/${points[2]!.runId}/`))!;
    const bytes = vault.store.objects.get(page)!;
    bytes[bytes.length - 1]! ^= 1;
    const before = [...vault.store.objects.keys()];
    expect(await faultOf(prune(vault, keep))).toBe('object_corrupt');
    expect(await faultOf(prune(vault, [...keep, rootKey(SCOPE.volumeId, 'run_never')]))).toBe('object_missing');
    expect([...vault.store.objects.keys()]).toEqual(before);
  });

  test('keeps all objects of an open run, and the point it has committed', async () => {
    const vault = createVault();
    const points = await createChain(vault, 3);
    await prune(vault, [points[0]!.manifestKey], [points[1]!.runId]);
    await expectRestores(vault, points[0]!);
    await expectRestores(vault, points[1]!);
    expect(await faultOf(vault.restore(points[2]!.manifestKey))).toBe('object_missing');
  });

  test('keeps what an open run has stored so far, however many runs have committed since', async () => {
    const vault = createVault();
    const points = await createChain(vault, 3);
    const open = points[1]!;
    const rootBytes = vault.store.objects.get(open.manifestKey)!;
    vault.store.objects.delete(open.manifestKey); // It is about to put its root.
    await prune(vault, [points[0]!.manifestKey, points[2]!.manifestKey], [open.runId]);
    await vault.store.putNew(open.manifestKey, rootBytes);
    await expectRestores(vault, open);
  });

  test('leaves a young run alone that has no root and that nobody told of', async () => {
    const vault = createVault();
    const points = await createChain(vault, 2);
    const young = newId('run', 'eu', at(30));
    await vault.backup(points[0]!.image, { runId: young });
    vault.store.objects.delete(rootKey(SCOPE.volumeId, young));
    const keep = [points[1]!.manifestKey];
    const objectsOf = () => [...vault.store.objects.keys()].filter((key) => key.includes(young)).length;
    const before = objectsOf();
    await prune(vault, keep, [], at(60));
    expect(objectsOf()).toBe(before);
    await prune(vault, keep, [], new Date(at(30).getTime() + SAFETY.unknownRunAgeMs));
    expect(objectsOf()).toBe(0);
    await expectRestores(vault, points[1]!);
  });

  test('stops when a point was committed after the plan was made', async () => {
    const vault = createVault();
    const points = await createChain(vault, 3);
    const keep = [points[2]!.manifestKey];
    const plan = await planPrune(vault.deps, { ...SCOPE, manifestKeysToKeep: keep, openRunIds: [] });
    const late = newId('run', 'eu', at(40));
    const { manifestKey } = await vault.backup(points[0]!.image, { runId: late });
    expect(await faultOf(executePrune(plan, vault.store))).toBe('conflict');
    await expectRestores(vault, { manifestKey, image: points[0]!.image });
    await expectRestores(vault, points[2]!);
  });

  test('never touches another volume, nor names that are not of the format', async () => {
    const vault = createVault();
    const points = await createChain(vault, 2);
    const other = await vault.backup(points[0]!.image, { runId: 'run-other', volumeId: 'vol-10' });
    await vault.store.putNew(`v1/${SCOPE.volumeId}/notes/readme`, new Uint8Array(3));
    await prune(vault, []);
    const scope = { ...SCOPE, volumeId: 'vol-10' };
    expect(contentOf((await vault.restore(other.manifestKey, { scope })).image)).toEqual(contentOf(points[0]!.image));
    expect(vault.store.objects.has(`v1/${SCOPE.volumeId}/notes/readme`)).toBe(true);
  });

  test('a crash at any deletion loses no kept point, and pruning again finishes', async () => {
    const deletions = async (limit: number) => {
      const vault = createVault();
      const points = await createChain(vault, 4);
      const keep = [points[1]!, points[3]!];
      const input = { ...SCOPE, manifestKeysToKeep: keep.map(({ manifestKey }) => manifestKey), openRunIds: [] };
      const plan = await planPrune(vault.deps, input);
      let left = limit;
      const dying = {
        ...vault.store,
        async delete(keys: readonly string[]) {
          for (const key of keys) {
            if (left === 0) throw new Error('the process died');
            left -= 1;
            await vault.store.delete([key]);
          }
        },
      };
      const died = await executePrune(plan, dying).then(
        () => false,
        () => true,
      );
      for (const point of points) if (vault.store.objects.has(point.manifestKey)) await expectRestores(vault, point);
      await prune(vault, input.manifestKeysToKeep);
      for (const point of keep) await expectRestores(vault, point);
      const again = await planPrune(vault.deps, input);
      expect([...again.rootsToDelete, ...again.objectsToDelete]).toEqual([]);
      return died;
    };
    let limit = 0;
    while (await deletions(limit)) limit += 1;
    expect(limit).toBeGreaterThan(5);
  });
});

test('an id tells when it was made', () => {
  expect(timeOfId(newId('run', 'eu', DAY_ONE))).toEqual(DAY_ONE);
  expect(timeOfId('run-1')).toBeNull();
});
