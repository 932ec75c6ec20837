import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/core/faults.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import type { Damage } from '../../src/vault/damage.ts';
import { createMemoryKeys, createMemorySource, createMemoryStore } from '../../src/vault/memory.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { BLOCK, noise, SCOPE, type Vault } from './fixture.ts';
import { createPoints, objectsLike, readOnly, verify } from './verify-fixture.ts';

/** What was found, in short: class and object, and for each point the blocks that are lost and the first of them. */
const found = ({ damage }: { damage: readonly Damage[] }) =>
  damage.map(({ class: name, object, points }) => ({
    name,
    object,
    points: points.map(({ blocks, firstBlock }) => [blocks, firstBlock]),
  }));

async function replaced<T>({ store }: Vault, key: string, bytes: Uint8Array, work: () => Promise<T>): Promise<T> {
  const before = store.objects.get(key)!;
  store.objects.set(key, bytes);
  const result = await work();
  store.objects.set(key, before);
  return result;
}

/** The root of another attempt at the same run, sound in itself: all that it needs is put into the store. */
async function twin({ store, keys, deps }: Vault, manifestKey: string): Promise<Uint8Array> {
  const elsewhere = createMemoryStore();
  const source = createMemorySource({ image: new Map([[3, noise(3)]]), blockBytes: BLOCK, volumeBytes: 64 * BLOCK });
  const runId = manifestKey.split('/').at(-1)!;
  await backupVolume({ ...deps, store: elsewhere, keys }, { ...SCOPE, runId, snapshotId: 'snap-twin', source });
  for (const [key, bytes] of elsewhere.objects) if (key !== manifestKey) store.objects.set(key, bytes);
  return elsewhere.objects.get(manifestKey)!;
}

describe('an object in a place that is not its own is called so', () => {
  test('of another tenant, name and size and all', async () => {
    const { vault, points } = await createPoints();
    const theirs = await createPoints({ ...SCOPE, tenantId: 'ten_eu_b' });
    const of = ({ store }: Vault, part: string) => store.objects.get(objectsLike({ store } as Vault, part)[0]!)!;
    for (const [part, lost] of [
      ['/packs/run-1/', [22, 0]],
      ['vol-1/index/run-1/', [21, 0]],
    ] as const) {
      const [key] = objectsLike(vault, part);
      const report = await replaced(vault, key!, of(theirs.vault, part), () => verify(vault, points));
      expect(found(report)[0]).toMatchObject({ name: 'wrong_key', object: key });
      expect(found(report)[0]!.points[0], part).toEqual(lost);
    }
  });

  test('a data key of another run', async () => {
    const { vault, points } = await createPoints();
    const lost = {
      '/index': [
        [null, null], // Its root does not open: nothing is known of the first point.
        [2, 1_024],
        [2, 1_024],
      ],
      '/pack-000000': [
        [22, 0],
        [21, 0],
        [20, 0],
      ],
    };
    for (const [name, expected] of Object.entries(lost)) {
      const keyOf = (run: string) => objectsLike(vault, `/keys/${run}/`).find((key) => key.endsWith(name))!;
      const other = vault.store.objects.get(keyOf('run-2'))!;
      const report = await replaced(vault, keyOf('run-1'), other, () => verify(vault, points));
      expect(found(report)).toEqual([{ name: 'wrong_key', object: keyOf('run-1'), points: expected }]);
    }
  });

  test('another master key: every point is lost, by its key', async () => {
    const { vault, points } = await createPoints();
    const report = await verify(vault, points, { keys: createMemoryKeys() });
    const lost = { name: 'wrong_key', object: expect.stringMatching(/\/index$/), points: [[null, null]] };
    expect(found(report)).toEqual([lost, lost, lost]);
  });

  test('a root of a run that the next root does not go on from', async () => {
    const { vault, points } = await createPoints();
    const [, second] = points;
    const other = await twin(vault, second!.manifestKey);
    const report = await replaced(vault, second!.manifestKey, other, () => verify(vault, points));
    expect(found(report)).toContainEqual({
      name: 'object_corrupt',
      object: second!.manifestKey,
      points: [[null, null]],
    });
  });
});

test('a shredded volume: the keys that are gone are named, and all points with them', async () => {
  const { vault, points } = await createPoints();
  for (const key of objectsLike(vault, '/keys/')) vault.store.objects.delete(key);
  const report = await verify(vault, points);
  expect(report.damage.map(({ class: name }) => name)).toEqual(Array.from({ length: 3 }, () => 'object_missing'));
  expect(report.damage.every(({ object }) => object.endsWith('/index'))).toBe(true);
  expect(report.damage.flatMap((one) => one.points.map(({ manifestKey }) => manifestKey))).toEqual(
    points.map(({ manifestKey }) => manifestKey),
  );
});

describe('how much is lost is told block by block', () => {
  test('one slot of a pack', async () => {
    const { vault, points } = await createPoints();
    const [key] = objectsLike(vault, '/packs/run-1/');
    const bytes = Uint8Array.from(vault.store.objects.get(key!)!);
    bytes[10]! ^= 1; // Block 0, which no later run has changed.
    const report = await replaced(vault, key!, bytes, () => verify(vault, points));
    expect(found(report)).toEqual([
      {
        name: 'object_corrupt',
        object: key,
        points: [
          [1, 0],
          [1, 0],
          [1, 0],
        ],
      },
    ]);
  });

  test('one that only the first point still has', async () => {
    const { vault, points } = await createPoints();
    const [key] = objectsLike(vault, '/packs/run-1/');
    const bytes = Uint8Array.from(vault.store.objects.get(key!)!);
    bytes[4_096 + 50]! ^= 1; // Block 1, behind 4,096 bytes of noise and their tag.
    const { damage } = await replaced(vault, key!, bytes, () => verify(vault, points));
    const [first] = points;
    expect(damage[0]!.points).toContainEqual({ manifestKey: first!.manifestKey, blocks: 1, firstBlock: 1 });
  });
});

describe('a listing proves nothing', () => {
  test.each([
    ['misses keys', async function* () {}],
    [
      'tells wrong sizes',
      async function* (all: AsyncIterable<{ key: string; sizeBytes: number }>) {
        for await (const one of all) yield { ...one, sizeBytes: one.sizeBytes + 7 };
      },
    ],
    [
      'repeats keys',
      async function* (all: AsyncIterable<{ key: string; sizeBytes: number }>) {
        for await (const one of all) {
          yield one;
          yield one;
        }
      },
    ],
  ] as const)('one that %s', async (_, change) => {
    const { vault, points } = await createPoints();
    const store: BlobStore = { ...readOnly(vault), list: (prefix) => change(vault.store.list(prefix)) };
    expect(await verify(vault, points, { store })).toMatchObject({ damage: [], isRound: true });
  });

  test("one that has a stranger's object of the same number first", async () => {
    const { vault, points } = await createPoints();
    const [key] = objectsLike(vault, '/packs/run-1/');
    vault.store.objects.set(`${key!.slice(0, -64)}${'0'.repeat(64)}`, new Uint8Array(9));
    expect(await verify(vault, points)).toMatchObject({ damage: [], isRound: true });
  });
});

describe('what is away is not damaged', () => {
  const away = (code: 'store_unavailable' | 'key_unavailable') => () => Promise.reject(new Fault(code, 'It is away.'));

  test('the store, at any of its calls', async () => {
    const { vault, points } = await createPoints();
    for (let limit = 0, over = false; !over; limit += 1) {
      let calls = 0;
      const store: BlobStore = {
        ...readOnly(vault),
        get(key, range) {
          calls += 1;
          return calls > limit ? away('store_unavailable')() : vault.store.get(key, range);
        },
      };
      const outcome = verify(vault, points, { store });
      over = await outcome.then(
        (report) => report.isRound && report.damage.length === 0,
        (error: Fault) => {
          expect(error.code).toBe('store_unavailable');
          return false;
        },
      );
      expect(limit).toBeLessThan(200);
    }
  });

  test('the key service', async () => {
    const { vault, points } = await createPoints();
    const keys = { ...vault.keys, unwrap: away('key_unavailable') };
    await expect(verify(vault, points, { keys })).rejects.toMatchObject({ code: 'key_unavailable' });
  });
});
