import { describe, expect, test, vi } from 'vitest';
import { Fault, isFault } from '../../src/core/faults.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { WINDOW_BLOCKS } from '../../src/vault/lane.ts';
import { rootsPrefix } from '../../src/vault/layout.ts';
import { createMemorySink, createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import type { BlobStore, Progress } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { BLOCK, block, contentOf, createVault, SCOPE } from './fixture.ts';

/** A store that dies at its `limit`-th call, before or after the effect, and stays dead. */
function createMortal(
  store: BlobStore,
  limit: number,
  when: 'before' | 'after',
): BlobStore & { isDead: () => boolean } {
  let calls = 0;
  async function mortal<T>(effect: () => Promise<T>): Promise<T> {
    calls += 1;
    if (calls > limit || (calls === limit && when === 'before')) throw new Error('the process died');
    const result = await effect();
    if (calls >= limit) throw new Error('the process died');
    return result;
  }
  return {
    putNew: (key, bytes, options) => mortal(() => store.putNew(key, bytes, options)),
    get: (key, range) => mortal(() => store.get(key, range)),
    list: (prefix) => store.list(prefix),
    folders: (prefix) => store.folders(prefix),
    delete: (keys) => mortal(() => store.delete(keys)),
    isDead: () => calls >= limit,
  };
}

const BLOCKS = 60;
const BEFORE: MemoryImage = new Map(Array.from({ length: BLOCKS }, (_, n) => [n, block(n)]));
const AFTER: MemoryImage = new Map(BEFORE).set(3, block(103)).set(30, block(130));

async function createBase() {
  const vault = createVault();
  const { manifestKey } = await vault.backup(BEFORE, { runId: 'run-1', snapshotId: 'snap-1', blocks: BLOCKS });
  const source = createMemorySource({
    image: AFTER,
    blockBytes: BLOCK,
    volumeBytes: BLOCKS * BLOCK,
    lineage: new Map([['snap-1', BEFORE]]),
  });
  const input = { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2', source, base: { manifestKey, snapshotId: 'snap-1' } };
  return { vault, input, manifestKey };
}

describe('a backup that dies at any call to the store', () => {
  test.each(['before', 'after'] as const)(
    '%s its effect: the next try gives a good point, older ones are unharmed',
    async (when) => {
      let limit = 1;
      for (; ; limit += 1) {
        const { vault, input, manifestKey } = await createBase();
        const store = createMortal(vault.store, limit, when);
        const acknowledged = await backupVolume({ ...vault.deps, store }, input).catch((error: unknown) => {
          expect(String(error)).toContain('the process died');
          return null;
        });
        if (acknowledged) expect(vault.store.objects.has(acknowledged.manifestKey)).toBe(true);
        expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(BEFORE));
        const result = await backupVolume(vault.deps, input);
        expect(result.kind).toBe('incremental');
        expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(AFTER));
        const roots = [...vault.store.objects.keys()].filter((key) => key.startsWith(rootsPrefix(SCOPE.volumeId)));
        expect(roots).toHaveLength(2);
        if (!store.isDead()) break;
      }
      expect(limit).toBeGreaterThan(7);
    },
  );
});

test('the root is put when everything else is durable, however slow the store', async () => {
  const { vault, input } = await createBase();
  const pending = new Set<string>();
  const slow: BlobStore = {
    ...vault.store,
    async putNew(key, bytes, options) {
      if (key.includes('/roots/')) expect([...pending]).toEqual([]);
      pending.add(key);
      const turns = key.includes('/keys/') ? 5_000 : key.includes('/packs/') ? 500 : 0;
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      pending.delete(key);
      return vault.store.putNew(key, bytes, options);
    },
  };
  const { manifestKey } = await backupVolume({ ...vault.deps, store: slow }, input);
  expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(AFTER));
});

describe('a run that is tried again', () => {
  test('after it has committed, does nothing and answers the same', async () => {
    const { vault, input } = await createBase();
    const first = await backupVolume(vault.deps, input);
    const objects = vault.store.objects.size;
    expect(await backupVolume(vault.deps, input)).toEqual(first);
    expect(vault.store.objects.size).toBe(objects);
  });

  test('by two workers at once, gives one point, whole', async () => {
    const { vault, input } = await createBase();
    const [a, b] = await Promise.all([backupVolume(vault.deps, input), backupVolume(vault.deps, input)]);
    expect(a.manifestKey).toBe(b.manifestKey);
    expect(contentOf((await vault.restore(a.manifestKey)).image)).toEqual(contentOf(AFTER));
  });

  test('by a worker whose random numbers are those of the one that died, as on a copied machine, gives a good point', async () => {
    const { vault, input } = await createBase();
    const worker = (store: BlobStore) => {
      let n = 0;
      return { ...vault.deps, store, random: (bytes: number) => new Uint8Array(bytes).fill((n += 1)) };
    };
    const mortal = createMortal(vault.store, 8, 'before');
    await expect(backupVolume(worker(mortal), input)).rejects.toThrow('the process died');
    expect([...vault.store.objects.keys()].filter((key) => key.includes('/keys/run-2/'))).not.toEqual([]);
    const { manifestKey } = await backupVolume(worker(vault.store), input);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(AFTER));
  });

  test('for another image, is refused', async () => {
    const { vault, input } = await createBase();
    await backupVolume(vault.deps, input);
    const other = backupVolume(vault.deps, { ...input, snapshotId: 'snap-3' });
    await expect(other).rejects.toMatchObject({ code: 'object_exists' });
  });
});

describe('memory', () => {
  test('one slow block holds back the others: no more than the window is ever fetched ahead', async () => {
    const vault = createVault();
    const image: MemoryImage = new Map(Array.from({ length: 400 }, (_, n) => [n, block(n)]));
    const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: 400 * BLOCK });
    const slow = Promise.withResolvers<void>();
    let started = 0;
    const gated = {
      ...source,
      async fetch(ref: { index: number; token: string }) {
        started += 1;
        if (ref.index === 0) await slow.promise;
        return source.fetch(ref);
      },
    };
    const running = backupVolume(vault.deps, { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1', source: gated });
    await vi.waitFor(() => expect(started).toBe(WINDOW_BLOCKS));
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(started).toBe(WINDOW_BLOCKS);
    slow.resolve();
    const { manifestKey } = await running;
    expect(source.load.busiest).toBeLessThanOrEqual(WINDOW_BLOCKS);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(image));
  });

  test('a restore that cannot write reads only so far ahead', async () => {
    const vault = createVault();
    const image: MemoryImage = new Map(Array.from({ length: 1_000 }, (_, n) => [n, block(n)]));
    const { manifestKey } = await vault.backup(image, { runId: 'run-1', blocks: 1_000 });
    const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 1_000 * BLOCK });
    const gate = Promise.withResolvers<void>();
    let waiting = 0;
    let gets = 0;
    const slowSink = {
      ...sink,
      async put(index: number, bytes: Uint8Array, digest: Uint8Array) {
        waiting += 1;
        await gate.promise;
        return sink.put(index, bytes, digest);
      },
    };
    const store = {
      ...vault.store,
      get: (key: string, range?: { start: number; length: number }) => {
        gets += 1;
        return vault.store.get(key, range);
      },
    };
    const running = restoreVolume({ store, keys: vault.keys }, { ...SCOPE, manifestKey }, slowSink);
    await vi.waitFor(() => expect(waiting).toBe(64));
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(waiting).toBe(64);
    expect(gets).toBeLessThan(18); // of about forty: root, page, three keys, pack header, and the first batches
    gate.resolve();
    await running;
    expect(contentOf(sink.image)).toEqual(contentOf(image));
  });
});

describe('an abort', () => {
  test('ends a backup with nothing committed, and the run can be tried again', async () => {
    const { vault, input } = await createBase();
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const run = backupVolume(vault.deps, { ...input, base: null }, { signal: controller.signal, onProgress });
    await expect(run).rejects.toMatchObject({ code: 'aborted' });
    expect([...vault.store.objects.keys()].filter((key) => key.includes('/roots/run-2'))).toEqual([]);
    const { manifestKey } = await backupVolume(vault.deps, input);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(AFTER));
  });

  test('ends a restore, with the reason it was given, before the image is completed', async () => {
    const { vault, manifestKey } = await createBase();
    const controller = new AbortController();
    const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK });
    const onProgress = () => controller.abort(new Fault('stale_claim', 'Another worker has taken over.'));
    const { signal } = controller;
    const run = restoreVolume(vault.deps, { ...SCOPE, manifestKey }, sink, { signal, onProgress });
    await expect(run).rejects.toSatisfy((error: unknown) => isFault(error, 'stale_claim'));
    expect(sink.isComplete()).toBe(false);
  });
});

test('progress counts blocks up to the total', async () => {
  const { vault, input } = await createBase();
  const seen: Progress[] = [];
  const { manifestKey } = await backupVolume(vault.deps, { ...input, base: null }, { onProgress: (p) => seen.push(p) });
  expect(seen.map(({ blocksDone }) => blocksDone)).toEqual(Array.from({ length: BLOCKS }, (_, n) => n + 1));
  expect(seen.at(-1)?.blocksTotal).toBe(BLOCKS);
  seen.length = 0;
  const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK });
  await restoreVolume(vault.deps, { ...SCOPE, manifestKey }, sink, { onProgress: (p) => seen.push(p) });
  expect(seen.at(-1)).toMatchObject({ blocksDone: BLOCKS, blocksTotal: BLOCKS });
});

test('a source that gives bytes other than its checksum, or lists out of order, is refused', async () => {
  const vault = createVault();
  const source = createMemorySource({ image: BEFORE, blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK });
  const input = { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1' };
  const lying = { ...source, fetch: async () => ({ bytes: block(1), sha256: new Uint8Array(32) }) };
  await expect(backupVolume(vault.deps, { ...input, source: lying })).rejects.toMatchObject({
    code: 'block_checksum_mismatch',
  });
  async function* backwards() {
    yield { index: 5, token: 'block-5' };
    yield { index: 4, token: 'block-4' };
  }
  const disordered = { ...source, list: backwards };
  await expect(backupVolume(vault.deps, { ...input, source: disordered })).rejects.toMatchObject({ code: 'internal' });
});
