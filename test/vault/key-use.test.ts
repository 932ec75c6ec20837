import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/core/faults.ts';
import { HEADER_BYTES } from '../../src/crypto/object-header.ts';
import { openSealedObject } from '../../src/crypto/sealed-object.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { contextOf, keyOfObject, packKey, packKeyName } from '../../src/vault/layout.ts';
import {
  createMemoryKeys,
  createMemorySink,
  createMemorySource,
  createMemoryStore,
  type MemoryImage,
} from '../../src/vault/memory.ts';
import { openKeyObject } from '../../src/vault/key-object.ts';
import { createPackWriter } from '../../src/vault/pack-writer.ts';
import type { KeyService } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { block, contentOf, SCOPE } from './fixture.ts';

/** Tiny blocks, a pack for each of them: a small image has thousands of packs. */
const BLOCK = 64;
const ONE_PACK_A_BLOCK = { packBytes: 1, checkpointEvery: 200 };
const imageOf = (blocks: number): MemoryImage =>
  new Map(Array.from({ length: blocks }, (_, n) => [n, block(n, BLOCK)]));

function createVolume(blocks: number, image = imageOf(blocks)) {
  const store = createMemoryStore();
  const keys = createMemoryKeys();
  const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: blocks * BLOCK });
  const input = { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1', source };
  const restore = async (manifestKey: string) => {
    const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: blocks * BLOCK });
    await restoreVolume({ store, keys }, { ...SCOPE, manifestKey }, sink);
    return contentOf(sink.image);
  };
  return { store, keys, source, input, image, restore };
}

describe('a data key seals a thousand packs', () => {
  test('the same one exactly for packs of the same thousand, up to the last number that a name can have', () => {
    const ordinal = fc.integer({ min: 0, max: 99_999_999 });
    fc.assert(
      fc.property(ordinal, ordinal, (a, b) => {
        const same = Math.floor(a / 1_000) === Math.floor(b / 1_000);
        expect(packKeyName(a) === packKeyName(b)).toBe(same);
        expect(packKeyName(a)).toMatch(/^pack-\d{6}$/);
      }),
    );
    expect([packKeyName(999), packKeyName(1_000)]).toEqual(['pack-000000', 'pack-000001']);
    for (const beyond of [100_000_000, -1, 0.5, Number.NaN]) {
      expect(() => packKeyName(beyond)).toThrow(Fault);
      expect(() => packKey('vol-1', { runId: 'r', attempt: 'a', ordinal: beyond, sha256: 's' })).toThrow(Fault);
    }
  });

  test('each of 2,005 packs opens with its own thousand’s key and with no other of the run', async () => {
    const { store, keys, input } = createVolume(2_005);
    await backupVolume({ store, keys, tuning: ONE_PACK_A_BLOCK }, input);
    expect(keys.calls).toEqual({ generate: { index: 1, pack: 3 }, unwrap: { index: 0, pack: 0 } });
    const opened = new Map<string, Uint8Array>();
    for (const [name, bytes] of store.objects) {
      const named = keyOfObject(SCOPE.volumeId, name);
      if (named) opened.set(named.key, await openKeyObject(keys, bytes, { ...SCOPE, ...named }));
    }
    expect([...opened.keys()].toSorted()).toEqual(['index', 'pack-000000', 'pack-000001', 'pack-000002']);
    const packs = [...store.objects].filter(([name]) => name.includes('/packs/'));
    expect(packs).toHaveLength(2_005);
    for (const [name, bytes] of packs) {
      const [, , , runId = '', attempt = '', file = ''] = name.split('/');
      const ordinal = Number(file.split('-')[0]);
      const context = contextOf(SCOPE, { runId, attempt }, 'pack', ordinal);
      const opens = [...opened].filter(([, dataKey]) => {
        try {
          return openSealedObject(dataKey, bytes.subarray(-HEADER_BYTES), context) !== null;
        } catch {
          return false;
        }
      });
      expect(opens.map(([key]) => key)).toEqual([packKeyName(ordinal)]);
    }
  });

  test('a pack that a reader would refuse for its size is not begun', () => {
    const attempt = { runId: 'run-1', attempt: '0'.repeat(32) };
    const packs = { open: () => Promise.reject(new Error('begun')), closed: async () => undefined };
    const random = (bytes: number) => new Uint8Array(bytes);
    const open = (packBytes: number) =>
      createPackWriter({
        store: createMemoryStore(),
        scope: SCOPE,
        attempt,
        blockBytes: 524_288,
        random,
        packs,
        packBytes,
      });
    expect(() => open(256 * 2 ** 20)).toThrow(Fault);
    expect(() => open(128 * 2 ** 20)).not.toThrow();
  });
});

describe('calls of the key service', () => {
  test('a full backup makes two keys, whatever its size up to a thousand packs, and opens none', async () => {
    const { store, keys, input } = createVolume(1_000);
    await backupVolume({ store, keys, tuning: ONE_PACK_A_BLOCK }, input);
    expect(keys.calls).toEqual({ generate: { index: 1, pack: 1 }, unwrap: { index: 0, pack: 0 } });
  });

  test('an incremental makes two and opens its base’s; of a long chain each manifest key that it reads by, once; never a pack key', async () => {
    const { store, keys, image } = createVolume(4_096);
    const lineage = new Map<string, MemoryImage>();
    let base: { manifestKey: string; snapshotId: string } | null = null;
    let now = image;
    for (let run = 0; run < 24; run += 1) {
      const [runId, snapshotId] = [`run-${String(run).padStart(2, '0')}`, `snap-${run}`];
      now = new Map(now).set((run * 1_024) % 4_096, block(9_000 + run, BLOCK)).set(1, block(9_500 + run, BLOCK));
      lineage.set(snapshotId, now);
      const source = createMemorySource({ image: now, blockBytes: BLOCK, volumeBytes: 4_096 * BLOCK, lineage });
      const opened: string[] = [];
      const counting: KeyService = {
        ...keys,
        async unwrap(wrapped, context) {
          opened.push(`${context.run} ${context.purpose}`);
          return keys.unwrap(wrapped, context);
        },
      };
      const before = structuredClone(keys.calls.generate);
      const made = await backupVolume({ store, keys: counting }, { ...SCOPE, runId, snapshotId, source, base });
      const generated = { index: 1 + (before.index ?? 0), pack: 1 + (before.pack ?? 0) };
      expect(keys.calls.generate).toEqual(generated);
      expect(new Set(opened).size).toBe(opened.length);
      expect(opened.filter((one) => one.endsWith('pack'))).toEqual([]);
      expect(opened.length).toBeLessThanOrEqual(Math.min(run, 4)); // Of the runs before it, those that wrote the leaves it changes.
      if (run === 1) expect(opened).toEqual(['run-00 index']);
      base = { manifestKey: made.manifestKey, snapshotId };
    }
  });
});

describe('with the key service away', () => {
  /** Makes this many keys, and then is not there until it is told to. */
  function createMoody(keys: KeyService, keysMax: number) {
    let [made, away] = [0, true];
    const service: KeyService = {
      ...keys,
      async generate(context) {
        made += 1;
        if (away && made > keysMax) throw new Fault('key_unavailable', 'The key service is away.');
        return keys.generate(context);
      },
      async unwrap(wrapped, context) {
        if (away) throw new Fault('key_unavailable', 'The key service is away.');
        return keys.unwrap(wrapped, context);
      },
    };
    return { service, comeBack: () => void (away = false) };
  }

  test('a run goes on with the keys in its hand, to its end if they reach', async () => {
    const { store, keys, input, image, restore } = createVolume(1_000);
    const { service } = createMoody(keys, 2);
    const { manifestKey } = await backupVolume({ store, keys: service, tuning: ONE_PACK_A_BLOCK }, input);
    expect(await restore(manifestKey)).toEqual(contentOf(image));
  });

  test('a run that needs another key stops for want of it, and goes on where it was', async () => {
    const { store, keys, source, input, image, restore } = createVolume(1_500);
    const { service, comeBack } = createMoody(keys, 2);
    let fetched = 0;
    const counted = {
      ...source,
      fetch(ref: { index: number; token: string }) {
        fetched += 1;
        return source.fetch(ref);
      },
    };
    const run = () => backupVolume({ store, keys: service, tuning: ONE_PACK_A_BLOCK }, { ...input, source: counted });
    await expect(run()).rejects.toMatchObject({ code: 'key_unavailable' });
    expect([...store.objects.keys()].filter((name) => name.includes('/packs/'))).toHaveLength(1_000);
    comeBack();
    fetched = 0;
    const { manifestKey } = await run();
    expect(fetched).toBeLessThanOrEqual(1_000);
    expect(await restore(manifestKey)).toEqual(contentOf(image));
  });
});
