import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { newId } from '../../src/core/ids.ts';
import { lockEnds } from '../../src/vault/locks/ends.ts';
import { extendLocks, type HeldPoint, lockNewPoint } from '../../src/vault/locks/extend.ts';
import { GENERATION_MS, lockDemanded, lockHorizon } from '../../src/vault/locks/generations.ts';
import { createMemorySink, type MemoryImage } from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { BLOCK, block, createVault, noise, SCOPE } from './fixture.ts';

const DAY = 86_400_000;
const START = new Date(690 * GENERATION_MS + 10 * DAY);
const later = (days: number) => new Date(START.getTime() + days * DAY);

function createLockedVault() {
  let now = START;
  const clock: Clock = { now: () => now, sleep: async () => {} };
  const vault = createVault(clock);
  /** The ends of the locks of all objects of a kind: each once. */
  const locksOf = (kind: string) => {
    const keys = [...vault.store.objects.keys()].filter((key) => key.includes(`/${kind}/`));
    return [...new Set(keys.map((key) => vault.store.locks.get(key)?.toISOString() ?? 'none'))];
  };
  return { ...vault, locksOf, clock, set: (at: Date) => void (now = at) };
}

type LockedVault = ReturnType<typeof createLockedVault>;

/** Whoever reads locks and whoever extends them, each with what it may do and no more; `looks` and `calls` are what they did. */
function principals({ store, keys, clock }: LockedVault) {
  const done = { looks: 0, calls: 0 };
  const locks = {
    async lockedUntil(key: string) {
      done.looks += 1;
      return store.lockedUntil(key);
    },
  };
  const extender = {
    async extend(key: string, until: Date) {
      done.calls += 1;
      await store.extend(key, until);
    },
  };
  return { deps: { vault: { store, keys }, locks, extender, clock }, done };
}

/** The soonest ends of the locks of all that a restore of the point reads, but for its keys: found without our own marks. */
async function endsOf({ store, keys }: LockedVault, manifestKey: string) {
  const read = new Set<string>();
  const watching: typeof store = {
    ...store,
    async get(key, range) {
      read.add(key);
      return store.get(key, range);
    },
  };
  const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 4_096 * BLOCK });
  await restoreVolume({ store: watching, keys }, { ...SCOPE, manifestKey }, sink);
  const shared = [...read].filter((key) => /\/(packs|index)\//.test(key));
  const ends = (some: readonly string[]) => Math.min(...some.map((key) => store.locks.get(key)?.getTime() ?? 0));
  return { soonest: ends([manifestKey, ...shared]), soonestShared: ends(shared) };
}

/** A backup every day, locked for `lockDays`, each locked whole before it counts. */
function createDays(vault: LockedVault, lockDays: number) {
  const lineage = new Map<string, MemoryImage>();
  const points: { manifestKey: string; snapshotId: string; lockUntil: Date; held: HeldPoint }[] = [];
  return {
    points,
    async backup(day: number, image: MemoryImage) {
      vault.set(later(day));
      const base = points.at(-1) ?? null;
      const runId = newId('run', 'eu', later(day));
      const [snapshotId, lockUntil] = [`snap-${day}`, later(day + lockDays)];
      const { manifestKey } = await vault.backup(image, { runId, snapshotId, base, lineage, lockUntil, blocks: 4_096 });
      lineage.set(snapshotId, image);
      const { deps, done } = principals(vault);
      const input = { ...SCOPE, runId, point: { manifestKey, lockUntil }, base: base?.held ?? null };
      const heldUntil = await lockNewPoint(deps, input);
      points.push({ manifestKey, snapshotId, lockUntil, held: { manifestKey, heldUntil } });
      return { ...done, manifestKey, lockUntil, heldUntil };
    },
  };
}

const image = new Map(Array.from({ length: 20 }, (_, n) => [n, block(n)] as const));

describe('a run whose point is locked', () => {
  test('puts packs and bundles with the lock of their generation, its root with that of the point, and keys with none', async () => {
    const vault = createLockedVault();
    await vault.backup(image, { runId: 'run-1', lockUntil: later(7) });
    const end = new Date(691 * GENERATION_MS).toISOString();
    for (const kind of ['packs', 'index']) expect(vault.locksOf(kind)).toEqual([end]);
    expect(vault.locksOf('roots')).toEqual([later(7).toISOString()]);
    expect(vault.locksOf('keys')).toEqual(['none']);
  });

  test('locks nothing beyond the horizon, and nothing at all without a lock', async () => {
    const vault = createLockedVault();
    await vault.backup(image, { runId: 'run-1', lockUntil: later(3_650) });
    for (const kind of ['packs', 'index', 'roots'])
      expect(vault.locksOf(kind)).toEqual([lockHorizon(START).toISOString()]);
    const plain = createLockedVault();
    await plain.backup(image, { runId: 'run-1' });
    expect(plain.store.locks.size).toBe(0);
  });
});

/** 200 blocks in four leaves, of which one changes with the day. */
const imageOf = (day: number): MemoryImage =>
  new Map(Array.from({ length: 200 }, (_, n) => [(n % 4) * 1_024 + n, n === day ? noise(9_000 + day) : block(n)]));

describe('a new point', () => {
  test.each([7, 40, 400])('that is locked for %i days is held whole when it is acknowledged', async (lockDays) => {
    const vault = createLockedVault();
    const days = createDays(vault, lockDays);
    for (let day = 0; day < 95; day += 6) {
      const { manifestKey, lockUntil, heldUntil } = await days.backup(day, imageOf(day));
      const ends = await endsOf(vault, manifestKey);
      expect(ends.soonest).toBeGreaterThanOrEqual(lockDemanded(lockUntil, later(day)).getTime());
      expect(heldUntil.getTime()).toBeLessThanOrEqual(ends.soonestShared);
    }
  });

  test('costs a look at what is new, and a call for each object once in a generation', async () => {
    const vault = createLockedVault();
    const days = createDays(vault, 15);
    const first = await days.backup(0, imageOf(0));
    expect(first).toMatchObject({ looks: 0, calls: 0 }); // All is its own.
    const objects = [...vault.store.objects.keys()].filter((key) => !key.includes('/keys/')).length;
    const later = [];
    for (let day = 1; day < 30; day += 1) later.push(await days.backup(day, imageOf(day)));
    const cheap = later.filter(({ calls }) => calls === 0);
    // The first day whose point reaches into the next generation has everything extended.
    expect(cheap.length).toBeGreaterThanOrEqual(27);
    expect(later.reduce((sum, { calls }) => sum + calls, 0)).toBeGreaterThanOrEqual(objects - 1);
    expect(Math.max(...cheap.map(({ looks }) => looks))).toBeLessThan(40);
  });
});

describe('the daily look', () => {
  test('holds every locked point through a generation in which nothing is backed up', async () => {
    const vault = createLockedVault();
    const days = createDays(vault, 100);
    for (const day of [0, 1, 2]) await days.backup(day, imageOf(day));
    for (let day = 3; day < 99; day += 29) {
      vault.set(later(day));
      const { deps } = principals(vault);
      const report = await extendLocks(deps, { ...SCOPE, points: days.points });
      expect(report.missing).toEqual([]);
      for (const { manifestKey, lockUntil } of days.points) {
        const demanded = lockDemanded(lockUntil, later(day)).getTime();
        expect((await endsOf(vault, manifestKey)).soonest).toBeGreaterThanOrEqual(demanded);
        expect(report.heldUntil.get(manifestKey)?.getTime()).toBeGreaterThanOrEqual(demanded);
      }
    }
    // The root goes with its point, and the keys could at any time.
    vault.set(days.points[0]!.lockUntil);
    await vault.store.delete([days.points[0]!.manifestKey]);
    expect(vault.locksOf('keys')).toEqual(['none']);
  });

  test('names what is missing, and goes on with everything else', async () => {
    const vault = createLockedVault();
    const days = createDays(vault, 100);
    await days.backup(0, imageOf(0));
    const [pack] = [...vault.store.objects.keys()].filter((key) => key.includes('/packs/'));
    vault.store.objects.delete(pack!);
    vault.set(later(55));
    const { deps, done } = principals(vault);
    const report = await extendLocks(deps, { ...SCOPE, points: days.points });
    expect(report.missing).toEqual([pack]);
    expect(done.calls).toBe(report.extended);
    expect(done.calls).toBe(report.looked - 1);
  });
});

test('who decides what may go learns when each lock ends, and that keys and strangers have none', async () => {
  const vault = createLockedVault();
  await vault.backup(image, { runId: 'run-1', lockUntil: later(7) });
  const keys = [...vault.store.objects.keys(), 'v1/vol-1/packs/none'];
  const endOf = await lockEnds(vault.store, keys);
  expect(keys.map(endOf)).toEqual(keys.map((key) => vault.store.locks.get(key)?.getTime() ?? 0));
  expect(keys.filter((key) => endOf(key) > START.getTime()).every((key) => !key.includes('/keys/'))).toBe(true);
});
