import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { sha256 } from '../../src/crypto/bytes.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { createMemoryKeys, createMemorySink, createMemorySource, createMemoryStore } from '../../src/vault/memory.ts';
import { createPackReader } from '../../src/vault/pack-reader.ts';
import { blockId, createPackWriter } from '../../src/vault/pack-writer.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { createAttemptKeys, createKeyRing } from '../../src/vault/run-keys.ts';
import { block, noise, SCOPE } from './fixture.ts';

/** Tiny blocks, so that every byte of every object can be damaged in turn. */
const BLOCK = 64;
const IMAGE = new Map([
  [0, block(0, BLOCK)],
  [3, noise(3, BLOCK)],
  [4, new Uint8Array(BLOCK).fill(5)],
]);

async function createPoint(scope = SCOPE, keys = createMemoryKeys(), runId = 'run-1') {
  const store = createMemoryStore();
  const source = createMemorySource({ image: IMAGE, blockBytes: BLOCK, volumeBytes: 8 * BLOCK });
  const input = { ...scope, runId, snapshotId: `snap-${runId}`, source };
  const { manifestKey } = await backupVolume({ store, keys }, input);
  return { store, keys, manifestKey, scope };
}

type Point = Awaited<ReturnType<typeof createPoint>>;

/** The fault that a restore ends with, or `restored`. Whatever it wrote before must be right, and not be completed. */
async function outcomeOf({ store, keys, manifestKey, scope }: Point): Promise<string> {
  const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 8 * BLOCK });
  try {
    await restoreVolume({ store, keys }, { ...scope, manifestKey }, sink);
  } catch (error) {
    expect(sink.isComplete()).toBe(false);
    for (const [index, bytes] of sink.image) expect(Buffer.compare(bytes, IMAGE.get(index)!)).toBe(0);
    return isFault(error) ? error.code : String(error);
  }
  for (const [index, bytes] of IMAGE) expect(Buffer.compare(bytes, sink.image.get(index)!)).toBe(0);
  return 'restored';
}

const keyOf = (point: Point, part: string) => [...point.store.objects.keys()].find((key) => key.includes(part))!;

describe('a restore never gives wrong bytes', () => {
  test('the point restores as long as nothing is damaged', async () => {
    expect(await outcomeOf(await createPoint())).toBe('restored');
  });

  test.each(['/packs/', '/index/', '/roots/', '/pack-000000', '/index'])(
    'any damaged byte of %s is found',
    async (part) => {
      const point = await createPoint();
      const key = part.endsWith('/')
        ? keyOf(point, part)
        : [...point.store.objects.keys()].find((one) => one.endsWith(part))!;
      const object = point.store.objects.get(key)!;
      const outcomes = new Set<string>();
      for (let at = 0; at < object.length; at += 1) {
        const flipped = 1 << (at & 7);
        object[at]! ^= flipped;
        outcomes.add(await outcomeOf(point));
        object[at]! ^= flipped;
      }
      expect([...outcomes]).toEqual(['object_corrupt']);
      expect(await outcomeOf(point)).toBe('restored');
    },
  );

  test('an object that is cut short, or gone, is found', async () => {
    const point = await createPoint();
    for (const [key, object] of new Map(point.store.objects)) {
      for (const length of [0, 1, 50, 90, object.length - 1].filter((one) => one < object.length)) {
        point.store.objects.set(key, object.subarray(0, length));
        // A bundle ends with pages for writers: without them a point restores all the same.
        const whole = key.includes('/index/') && length > 0 ? ['restored'] : [];
        expect(['object_corrupt', ...whole]).toContain(await outcomeOf(point));
      }
      point.store.objects.delete(key);
      expect(await outcomeOf(point)).toBe('object_missing');
      point.store.objects.set(key, object);
    }
  });
});

describe('an object in the wrong place is refused at the commitment', () => {
  const parts = ['/packs/', '/index/', '/roots/', '/keys/'];
  const replace = (point: Point, other: Point, part: string) => {
    const names = (of: Point) => [...of.store.objects.keys()].filter((key) => key.includes(part)).toSorted();
    const theirs = names(other);
    for (const [n, key] of names(point).entries()) point.store.objects.set(key, other.store.objects.get(theirs[n]!)!);
  };

  test.each(parts)('%s of another attempt at the same run', async (part) => {
    const keys = createMemoryKeys();
    const [point, other] = [await createPoint(SCOPE, keys), await createPoint(SCOPE, keys)];
    replace(point, other, part);
    // A root is named by its run: the other attempt's one looks for key objects of its own, which are not here.
    expect(await outcomeOf(point)).toBe(part === '/roots/' ? 'object_missing' : 'wrong_key');
  });

  test.each([
    ['run', SCOPE, 'run-2'],
    ['tenant', { ...SCOPE, tenantId: 'ten_eu_b' }, 'run-1'],
    ['volume', { ...SCOPE, volumeId: 'vol-2' }, 'run-1'],
    ['cell', { ...SCOPE, cell: 'us' }, 'run-1'],
  ])('everything of another %s, keys and all', async (_, scope, runId) => {
    const keys = createMemoryKeys();
    const point = await createPoint(SCOPE, keys);
    const other = await createPoint(scope, keys, runId);
    for (const part of parts) {
      const victim = { ...point, store: createMemoryStore() };
      for (const [key, object] of point.store.objects) victim.store.objects.set(key, object);
      replace(victim, other, part);
      expect(['wrong_key', 'object_missing']).toContain(await outcomeOf(victim));
    }
    // All of it under the names that this scope would ask for: the contexts in the keys refuse.
    const moved = createMemoryStore();
    for (const [key, object] of other.store.objects)
      moved.objects.set(
        key.replace(`v1/${scope.volumeId}/`, `v1/${SCOPE.volumeId}/`).replaceAll(runId, 'run-1'),
        object,
      );
    expect(await outcomeOf({ ...point, store: moved })).toBe('wrong_key');
  });

  test('packs of two runs of a volume that were exchanged', async () => {
    const point = await createPoint();
    const second = await createPoint(SCOPE, point.keys, 'run-2');
    const [a, b] = [keyOf(point, '/packs/run-1/'), keyOf(second, '/packs/run-2/')];
    const [first, other] = [point.store.objects.get(a)!, second.store.objects.get(b)!];
    point.store.objects.set(a, other);
    second.store.objects.set(b, first);
    expect(await outcomeOf(point)).toBe('wrong_key');
    expect(await outcomeOf(second)).toBe('wrong_key');
  });

  test('a data key under another master key', async () => {
    const point = await createPoint();
    expect(await outcomeOf({ ...point, keys: createMemoryKeys() })).toBe('wrong_key');
  });
});

describe('a faulty writer', () => {
  const ID_KEY = new Uint8Array(32).fill(7);
  const idOf = (bytes: Uint8Array) => blockId(ID_KEY, sha256(bytes));

  async function createWriter({ keys, store }: Point) {
    const attempt = await createAttemptKeys({ keys, store }, SCOPE, 'run-2', randomBytes);
    const packs = { open: async () => ({ ordinal: 0, dataKey: await attempt.pack(0) }), closed: async () => undefined };
    return createPackWriter({ store, scope: SCOPE, attempt, blockBytes: BLOCK, random: randomBytes, packs });
  }

  test('is found by the reader: a block whose bytes are not those of its id', async () => {
    const point = await createPoint();
    const writer = await createWriter(point);
    const bytes = block(1, BLOCK);
    await writer.add(bytes, idOf(bytes), sha256(bytes));
    const wrong = await writer.add(bytes, idOf(block(2, BLOCK)), sha256(bytes));
    await writer.finish();
    const reader = createPackReader(point, SCOPE, createKeyRing(point, SCOPE));
    const [sealed] = await reader.read([{ index: 1, block: wrong }]);
    expect(() => reader.open(sealed!, ID_KEY, BLOCK)).toThrow(expect.objectContaining({ code: 'object_corrupt' }));
  });

  test('is found at once where what it sealed is opened again', async () => {
    const writer = await createWriter(await createPoint());
    const bytes = block(1, BLOCK);
    const wrong = writer.add(bytes, idOf(bytes), sha256(block(2, BLOCK)));
    await expect(wrong).rejects.toMatchObject({ code: 'internal' });
  });
});
