import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { sha256 } from '../../src/crypto/bytes.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { createMemoryKeys, createMemorySink, createMemorySource, createMemoryStore } from '../../src/vault/memory.ts';
import { CODEC } from '../../src/vault/codec.ts';
import { contextOf } from '../../src/vault/layout.ts';
import { readManifest, sealMetadata } from '../../src/vault/manifest.ts';
import { createPackReader } from '../../src/vault/pack-reader.ts';
import { createPackWriter } from '../../src/vault/pack-writer.ts';
import { encodePage } from '../../src/vault/page.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { createKeyRing, generateAttemptKeys } from '../../src/vault/run-keys.ts';
import { block, noise, SCOPE } from './fixture.ts';

/** Tiny blocks, so that every byte of every object can be damaged in turn. */
const BLOCK = 64;
const IMAGE = new Map([
  [0, block(0, BLOCK)],
  [3, noise(3, BLOCK)],
  [4, new Uint8Array(BLOCK).fill(5)],
]);

async function createPoint(scope = SCOPE, keys = createMemoryKeys(), runId = 'run-1', store = createMemoryStore()) {
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
  return 'restored';
}

const keyOf = (point: Point, part: string) => [...point.store.objects.keys()].find((key) => key.includes(part))!;

describe('a restore never gives wrong bytes', () => {
  test('the point restores as long as nothing is damaged', async () => {
    expect(await outcomeOf(await createPoint())).toBe('restored');
  });

  test.each(['/packs/', '/pages/', '/roots/', '/pack', '/index'])('any damaged byte of %s is found', async (part) => {
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
  });

  test('an object that is cut short, or gone, is found', async () => {
    const point = await createPoint();
    for (const [key, object] of new Map(point.store.objects)) {
      for (const length of [0, 1, 50, 90, object.length - 1].filter((one) => one < object.length)) {
        point.store.objects.set(key, object.subarray(0, length));
        expect(await outcomeOf(point)).toBe('object_corrupt');
      }
      point.store.objects.delete(key);
      expect(await outcomeOf(point)).toBe('object_missing');
      point.store.objects.set(key, object);
    }
  });
});

describe('an object in the wrong place is refused at the commitment', () => {
  const parts = ['/packs/', '/pages/', '/roots/', '/keys/'];
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
        key.replace(`v0/${scope.volumeId}/`, `v0/${SCOPE.volumeId}/`).replaceAll(runId, 'run-1'),
        object,
      );
    expect(await outcomeOf({ ...point, store: moved })).toBe('wrong_key');
  });

  test('packs of one run that were exchanged', async () => {
    const point = await createPoint();
    const second = await createPoint(SCOPE, point.keys, 'run-2', point.store);
    const [a, b] = [keyOf(point, '/packs/run-1/'), keyOf(point, '/packs/run-2/')];
    const { objects } = point.store;
    const [first, other] = [objects.get(a)!, objects.get(b)!];
    objects.set(a, other).set(b, first);
    expect(await outcomeOf(point)).toBe('wrong_key');
    expect(await outcomeOf(second)).toBe('wrong_key');
  });

  test('a data key under another master key', async () => {
    const point = await createPoint();
    expect(await outcomeOf({ ...point, keys: createMemoryKeys() })).toBe('wrong_key');
  });
});

describe('a faulty writer', () => {
  test('is found by the reader: a block whose bytes are not those of its id, a page that is not the one of the root', async () => {
    const point = await createPoint();
    const ring = createKeyRing(point, SCOPE);
    const manifest = await readManifest(point, { ...SCOPE, manifestKey: point.manifestKey });
    const dataKey = await ring.dataKey(manifest, 'index');
    const context = contextOf(SCOPE, manifest, 'page', 0);
    const page = await sealMetadata({ dataKey, context, random: randomBytes }, encodePage(0, new Map()));
    point.store.objects.set(keyOf(point, '/pages/'), page);
    expect(await outcomeOf(point)).toBe('object_corrupt');

    const attempt = await generateAttemptKeys(point.keys, SCOPE, 'run-2', randomBytes);
    for (const { key, bytes } of attempt.objects) await point.store.putNew(key, bytes);
    const shared = { store: point.store, scope: SCOPE, attempt, blockBytes: BLOCK, random: randomBytes };
    const writer = createPackWriter(shared);
    const encoded = { codec: CODEC.raw, bytes: block(1, BLOCK) };
    await writer.add(encoded, sha256(encoded.bytes)); // The first is checked as it is written; the second is not.
    const stored = await writer.add(encoded, sha256(block(2, BLOCK)));
    await writer.finish();
    const reader = createPackReader(point, SCOPE, ring);
    const [sealed] = await reader.read([{ index: 1, block: stored }]);
    await expect(reader.open(sealed!, BLOCK)).rejects.toMatchObject({ code: 'object_corrupt' });
  });

  test('is found at once where what it sealed is opened again', async () => {
    const { keys, store } = await createPoint();
    const attempt = await generateAttemptKeys(keys, SCOPE, 'run-2', randomBytes);
    const writer = createPackWriter({ store, scope: SCOPE, attempt, blockBytes: BLOCK, random: randomBytes });
    const wrong = writer.add({ codec: CODEC.raw, bytes: block(1, BLOCK) }, sha256(block(2, BLOCK)));
    await expect(wrong).rejects.toMatchObject({ code: 'internal' });
  });
});
