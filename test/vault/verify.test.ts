import { describe, expect, test } from 'vitest';
import { SCOPE, type Vault } from './fixture.ts';
import { unneededBy } from './prune-at-once.ts';
import { createPoints, objectsLike, type Point, verify } from './verify-fixture.ts';

/** What a collection would keep for one point alone: an account of what it needs that is not the verification's own. */
async function needs(vault: Vault, { manifestKey }: Point): Promise<ReadonlySet<string>> {
  const gone = new Set(await unneededBy(vault.deps, [manifestKey]));
  return new Set([...vault.store.objects.keys()].filter((key) => !gone.has(key)));
}

/** The points that need each object, by its name. */
async function pointsByObject(vault: Vault, points: readonly Point[]): Promise<Map<string, string[]>> {
  const needed = await Promise.all(points.map(async (point) => ({ ...point, objects: await needs(vault, point) })));
  const pointsOf = (key: string) => needed.filter(({ objects }) => objects.has(key)).map((point) => point.manifestKey);
  return new Map([...vault.store.objects.keys()].map((key) => [key, pointsOf(key)]));
}

describe('an undamaged volume', () => {
  test('is read once, whatever the number of points, and nothing is found', async () => {
    const { vault, points } = await createPoints();
    const report = await verify(vault, points);
    const packs = objectsLike(vault, '/packs/');
    const bundles = objectsLike(vault, 'v1/vol-1/index/');
    expect(report).toMatchObject({ damage: [], isRound: true, points: 3, objects: packs.length + bundles.length });
    const sizes = [...packs, ...bundles].map((key) => vault.store.objects.get(key)!.length);
    expect(report.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(report.blocks).toBe(26);
  });

  test('has objects that no point needs any more: they are not looked at', async () => {
    const { vault, points } = await createPoints();
    for (const key of objectsLike(vault, '/packs/run-3/')) vault.store.objects.set(key, new Uint8Array(3));
    expect((await verify(vault, points.slice(0, 2))).damage).toEqual([]);
  });
});

/** Damages each object of the volume in turn, and gives what a verification says of it. */
async function forEachObject(
  change: (key: string, bytes: Uint8Array) => Uint8Array | null,
  check: (found: { key: string; needed: string[]; report: Awaited<ReturnType<typeof verify>> }) => void,
) {
  const { vault, points } = await createPoints();
  const expected = await pointsByObject(vault, points);
  const { objects } = vault.store;
  for (const [key, bytes] of new Map(objects)) {
    const changed = change(key, Uint8Array.from(bytes));
    if (changed) objects.set(key, changed);
    else objects.delete(key);
    check({ key, needed: expected.get(key) ?? [], report: await verify(vault, points) });
    objects.set(key, bytes);
  }
  expect((await verify(vault, points)).damage).toEqual([]);
}

const named = (points: readonly { manifestKey: string }[]) => points.map(({ manifestKey }) => manifestKey).toSorted();

describe('every damaged object is found, by its name, with the points that need it', () => {
  test.each([
    ['a flipped bit at the beginning', 0],
    ['a flipped bit behind it', 90],
    ['a flipped bit in the middle', 0.5],
    ['a flipped bit in the last header', -30],
    ['a flipped bit at the end', -1],
  ])('%s', async (_, place) => {
    await forEachObject(
      (_key, bytes) => {
        const at = Number.isInteger(place) ? (place + bytes.length) % bytes.length : Math.floor(bytes.length * place);
        bytes[at]! ^= 1 << (at & 7);
        return bytes;
      },
      ({ key, needed, report }) => {
        expect(report.damage.map(({ object }) => object)).toEqual([key]);
        expect(report.damage[0]).toMatchObject({ class: 'object_corrupt', volumeId: SCOPE.volumeId });
        expect(named(report.damage[0]!.points), key).toEqual(needed);
      },
    );
  });

  test.each([0, 50, -1])('cut to %d bytes', async (length) => {
    await forEachObject(
      (_key, bytes) => bytes.slice(0, length),
      ({ key, needed, report }) => {
        expect(report.damage.map(({ object }) => object)).toEqual([key]);
        expect(report.damage[0]!.class).toBe('object_corrupt');
        expect(named(report.damage[0]!.points), key).toEqual(needed);
      },
    );
  });

  test('grown by a byte', async () => {
    await forEachObject(
      (_key, bytes) => Buffer.concat([bytes, Uint8Array.of(0)]),
      ({ key, needed, report }) => {
        expect(report.damage.map(({ object }) => object)).toEqual([key]);
        expect(named(report.damage[0]!.points), key).toEqual(needed);
      },
    );
  });

  test('gone', async () => {
    await forEachObject(
      () => null,
      ({ key, needed, report }) => {
        expect(report.damage.map(({ object }) => object)).toEqual([key]);
        expect(report.damage[0]!.class).toBe('object_missing');
        expect(named(report.damage[0]!.points), key).toEqual(needed);
      },
    );
  });
});
