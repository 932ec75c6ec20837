import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { Fault } from '../../src/core/faults.ts';
import { createMemorySource } from '../../src/vault/memory.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { openVerification, verifyVolume } from '../../src/vault/verify.ts';
import type { OpenVerifyLanes } from '../../src/vault/verify-bytes.ts';
import { NEW_CURSOR, type VerifyCursor } from '../../src/vault/verify-cursor.ts';
import { connectVerifyLane, serveVerifyLane } from '../../src/vault/verify-lane-port.ts';
import { BLOCK, block, createVault, noise, SCOPE, type Vault } from './fixture.ts';
import { createPoints, objectsLike, type Point, readOnly, verify } from './verify-fixture.ts';

/** A clock that stands still, but for whoever sleeps. */
function fakeClock(start = Date.parse('2026-01-01T00:00:00Z')) {
  let now = start;
  const clock: Clock = {
    now: () => new Date(now),
    sleep: async (ms) => void (now += ms),
  };
  return { clock, since: () => now - start };
}

const ask = (vault: Vault, points: readonly Point[], options: { clock?: Clock; get?: BlobStore['get'] } = {}) =>
  openVerification(
    { keys: vault.keys, ...options, store: { ...readOnly(vault), ...options } },
    { ...SCOPE, manifestKeys: points.map(({ manifestKey }) => manifestKey) },
  );

/** Sizes of what is read, in the order of reading. */
const sizesOf = (vault: Vault) =>
  ['v1/vol-1/index/', 'v1/vol-1/packs/']
    .flatMap((part) => objectsLike(vault, part))
    .map((key) => vault.store.objects.get(key)!.length);

describe('reading can stop at every object, and goes on from there', () => {
  test('each object is read once, and damage is found, wherever it stops', async () => {
    const { vault, points } = await createPoints();
    const sizes = sizesOf(vault);
    const [pack] = objectsLike(vault, '/packs/run-2/');
    vault.store.objects.get(pack!)![5]! ^= 1;
    for (let stop = 0; stop <= sizes.length; stop += 1) {
      const budgetBytes = sizes.slice(0, stop).reduce((sum, size) => sum + size, 0);
      const first = await verify(vault, points, { budgetBytes });
      expect(first).toMatchObject({ objects: stop, isRound: stop === sizes.length });
      // What is kept of it is JSON, and a restart has nothing else.
      const cursor = JSON.parse(JSON.stringify(first.cursor)) as VerifyCursor;
      const rest = sizes.slice(stop).reduce((sum, size) => sum + size, 0);
      const second = await verify(vault, points, { cursor, budgetBytes: rest });
      expect(first.objects + second.objects).toBe(sizes.length);
      expect([...first.damage, ...second.damage].map(({ object }) => object)).toEqual([pack]);
      expect(second.cursor).toMatchObject({ round: 1, after: null });
    }
  });

  test('a cursor at the end begins again, and reads everything once', async () => {
    const { vault, points } = await createPoints();
    const first = await verify(vault, points);
    const second = await verify(vault, points, { cursor: first.cursor });
    expect(second).toMatchObject({ isRound: true, objects: first.objects });
    expect(second.cursor.round).toBe(2);
  });

  test('a point that has come and one that has gone leave no object out', async () => {
    const { vault, points } = await createPoints();
    const [one, two, three] = points as [Point, Point, Point];
    const before = await verify(vault, [one, three], { budgetBytes: 45_000 });
    expect(before.objects).toBeGreaterThan(0);
    const after = await verify(vault, [two, three], { cursor: before.cursor });
    expect(after.isRound).toBe(true);
    expect((await verify(vault, [two, three])).objects).toBe(after.objects);
  });

  test('what is away in the middle leaves the cursor as it was', async () => {
    const { vault, points } = await createPoints();
    const [pack] = objectsLike(vault, '/packs/run-3/');
    let isAway = true;
    const get: BlobStore['get'] = async (key, range) => {
      if (isAway && key === pack) throw new Fault('store_unavailable', 'It is away.');
      return vault.store.get(key, range);
    };
    const verification = await ask(vault, points, { get });
    const { cursor } = await verification.read(NEW_CURSOR, { budgetBytes: sizesOf(vault)[0]! });
    await expect(verification.read(cursor)).rejects.toMatchObject({ code: 'store_unavailable' });
    isAway = false;
    expect(await verification.read(cursor)).toMatchObject({ isRound: true, damage: [] });
  });
});

describe('reading keeps to its limits', () => {
  test('it is never faster than it may be, by the clock', async () => {
    const { vault, points } = await createPoints();
    const { clock, since } = fakeClock();
    const verification = await ask(vault, points, { clock });
    const { bytes } = await verification.read(NEW_CURSOR, { bytesPerSec: 1_000 });
    const last = sizesOf(vault).at(-1)!;
    expect(since()).toBeGreaterThanOrEqual(bytes - last - 1);
    expect(since()).toBeLessThanOrEqual(bytes);
  });

  test('it begins nothing after its deadline', async () => {
    const { vault, points } = await createPoints();
    const { clock, since } = fakeClock();
    const verification = await ask(vault, points, { clock });
    const deadline = new Date(clock.now().getTime() + 20_000);
    const read = await verification.read(NEW_CURSOR, { bytesPerSec: 1_000, deadline });
    expect(read.isRound).toBe(false);
    expect(read.objects).toBeGreaterThan(0);
    expect(since()).toBeLessThan(20_000 + Math.max(...sizesOf(vault)));
    const rest = await verification.read(read.cursor, {});
    expect(rest.isRound).toBe(true);
  });

  test('an aborted signal ends it, and the cursor stands where it ended', async () => {
    const { vault, points } = await createPoints();
    const stopping = new AbortController();
    let isReading = false;
    const get: BlobStore['get'] = (key, range) => {
      if (isReading && key.includes('/packs/')) stopping.abort();
      return vault.store.get(key, range);
    };
    const verification = await ask(vault, points, { get });
    isReading = true;
    const read = await verification.read(NEW_CURSOR, { signal: stopping.signal });
    expect(read.objects).toBeLessThan(verification.objects);
    const rest = await verification.read(read.cursor);
    expect(rest.isRound).toBe(true);
    expect(read.damage).toEqual([]);
  });
});

test('what was damaged can be asked for again by its name', async () => {
  const { vault, points } = await createPoints();
  const [pack, other] = objectsLike(vault, '/packs/');
  vault.store.objects.get(pack!)![5]! ^= 1;
  const verification = await ask(vault, points);
  expect((await verification.readAgain(new Set([pack!, other!]))).map(({ object }) => object)).toEqual([pack]);
  vault.store.objects.get(pack!)![5]! ^= 1;
  expect(await verification.readAgain(new Set([pack!, other!]))).toEqual([]);
});

describe('packs are shared out to lanes', () => {
  const ports = new Set<{ close(): void }>();
  afterEach(() => {
    for (const port of ports) port.close();
    ports.clear();
  });

  /** Lanes at the other end of a line, as threads are; `work` counts what each has done. */
  function lanesOver(vault: Vault, count: number) {
    const ends: { close(): void }[] = [];
    const open: OpenVerifyLanes = async (start) =>
      Array.from({ length: count }, () => {
        const { port1, port2 } = new MessageChannel();
        ports.add(port1).add(port2);
        ends.push(port2);
        serveVerifyLane(port2, { scope: SCOPE, series: start.series }, { store: readOnly(vault) });
        return connectVerifyLane(port1, start);
      });
    return { open, ends };
  }

  /** One point of several packs: 2,400 blocks that do not compress, of 16 KiB. */
  async function createLargePoint(vault: Vault) {
    const blockBytes = 4 * BLOCK;
    const image = new Map(
      Array.from({ length: 2_400 }, (_, n) => [n, n % 9 === 0 ? block(n, blockBytes) : noise(n, blockBytes)] as const),
    );
    const source = createMemorySource({ image, blockBytes, volumeBytes: 2_400 * blockBytes });
    return backupVolume(
      { ...vault.deps, checkAll: false },
      { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1', base: null, source },
    );
  }

  test('three lanes find what one in this thread finds', async () => {
    const vault = createVault();
    const { manifestKey } = await createLargePoint(vault);
    const packs = objectsLike(vault, '/packs/');
    expect(packs.length).toBeGreaterThan(2);
    vault.store.objects.get(packs[1]!)![20_000]! ^= 1;
    const { open } = lanesOver(vault, 3);
    const input = { ...SCOPE, manifestKeys: [manifestKey] };
    const here = await verifyVolume({ store: readOnly(vault), keys: vault.keys }, input);
    const there = await verifyVolume({ store: readOnly(vault), keys: vault.keys, openVerifyLanes: open }, input);
    expect(here.damage).toHaveLength(1);
    expect({ ...there, cursor: null }).toEqual({ ...here, cursor: null });
  });

  test('a lane that is lost is no damage', async () => {
    const vault = createVault();
    const { manifestKey } = await createLargePoint(vault);
    const { open, ends } = lanesOver(vault, 2);
    const openVerifyLanes: OpenVerifyLanes = async (start) => {
      const lanes = await open(start);
      ends[0]?.close();
      return lanes;
    };
    const lost = verifyVolume(
      { store: readOnly(vault), keys: vault.keys, openVerifyLanes },
      { ...SCOPE, manifestKeys: [manifestKey] },
    );
    await expect(lost).rejects.toMatchObject({ code: 'unavailable' });
  });
});
