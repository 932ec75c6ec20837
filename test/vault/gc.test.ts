import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { newId, timeOfId } from '../../src/core/ids.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { CONDEMNED, type Condemnation } from '../../src/vault/gc/condemned.ts';
import { markVolume } from '../../src/vault/gc/mark.ts';
import { createObjectMarks } from '../../src/vault/gc/object-marks.ts';
import { SAFETY } from '../../src/vault/gc/judge.ts';
import { planCollection } from '../../src/vault/gc/plan.ts';
import type { VolumeState } from '../../src/vault/gc/state.ts';
import { planSweep, type SweepInput } from '../../src/vault/gc/sweep.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { readManifest } from '../../src/vault/manifest.ts';
import { createMemorySource } from '../../src/vault/memory.ts';
import { block, createVault, SCOPE, type Vault } from './fixture.ts';

const DAY_ONE = new Date('2026-01-01T00:00:00Z');
const HOUR = 3_600_000;
const at = (hours: number) => new Date(DAY_ONE.getTime() + hours * HOUR);
const KEY = `v1/vol-1/packs/run-a/${'0'.repeat(32)}/00000000-${'a'.repeat(64)}`;
const pack = (n: number) => ({ key: KEY.replace('00000000-', `${String(n).padStart(8, '0')}-`), sizeBytes: 16 });
const condemned = (openRunIds: string[] = [], objects = [pack(0)]): Condemnation => ({
  objects,
  fence: { since: DAY_ONE.toISOString(), openRunIds },
});

function sweep(change: Partial<SweepInput>) {
  return planSweep({
    volumeId: 'vol-1',
    condemnations: [condemned()],
    doomed: [],
    needs: () => false,
    openRunIds: new Set(),
    now: at(1_000),
    longestJobMs: 0,
    packsAllowed: Number.POSITIVE_INFINITY,
    lockedUntil: new Map(),
    ...change,
  });
}

describe('what is condemned is deleted', () => {
  test('after 72 hours and twice the longest job, and not before', () => {
    expect(sweep({ now: at(71.9) }).wait).toMatchObject([{ why: 'too_young', until: at(72).toISOString() }]);
    expect(sweep({ now: at(72) }).delete).toEqual([pack(0)]);
    expect(sweep({ now: at(99), longestJobMs: 50 * HOUR }).wait).toMatchObject([{ why: 'too_young' }]);
    expect(sweep({ now: at(100), longestJobMs: 50 * HOUR }).delete).toEqual([pack(0)]);
    expect(sweep({ now: at(-24) }).wait).toMatchObject([{ why: 'too_young' }]);
    expect(sweep({ now: at(60 * 24), longestJobMs: 9_000 * HOUR }).delete).toEqual([pack(0)]);
    expect(CONDEMNED).toMatchObject({ atLeastMs: 72 * HOUR, longestJobs: 2 });
  });

  test('never while a run is open that was open then, however far the clock jumps', () => {
    const condemnations = [condemned(['run-b', 'run-c'])];
    const now = at(1_000_000);
    expect(sweep({ condemnations, now, openRunIds: new Set(['run-c', 'run-z']) }).wait).toMatchObject([
      { why: 'open_run', until: null },
    ]);
    expect(sweep({ condemnations, now, openRunIds: new Set(['run-z']) }).delete).toEqual([pack(0)]);
  });

  test('never while the run that stored it is open, whatever the fence says', () => {
    const now = at(1_000_000);
    expect(sweep({ now, openRunIds: new Set(['run-a']) }).wait).toMatchObject([{ why: 'open_run', until: null }]);
  });

  test('never before every writer that begins can see it', () => {
    const condemnations = [{ objects: [pack(0)], fence: null }];
    expect(sweep({ condemnations, now: at(1_000_000) }).wait).toMatchObject([{ why: 'unfenced' }]);
  });

  test('never while it is locked, and never when it is needed again: then it is released', () => {
    const until = at(2_000);
    expect(sweep({ lockedUntil: new Map([[pack(0).key, until]]) }).wait).toMatchObject([
      { why: 'locked', until: until.toISOString() },
    ]);
    expect(sweep({ needs: () => true })).toEqual({ delete: [], release: [pack(0)], wait: [] });
  });

  test('up to the budget of packs, and the rest later; what is no pack does not count', () => {
    const key = { key: `v1/vol-1/keys/run-a/${'0'.repeat(32)}/index`, sizeBytes: 1 };
    const condemnations = [condemned([], [key, pack(0), pack(1), pack(2)])];
    const { delete: goes, wait } = sweep({ condemnations, packsAllowed: 2 });
    expect(goes).toEqual([pack(0), pack(1), key]);
    expect(wait).toMatchObject([{ ...pack(2), why: 'budget' }]);
  });

  test('once it was decided, and an alarm stops everything if it is needed after all', () => {
    expect(sweep({ condemnations: [], doomed: [pack(0)], now: at(-9) }).delete).toEqual([pack(0)]);
    expect(() => sweep({ doomed: [pack(1)], needs: (key) => key === pack(1).key })).toThrow(/was to be deleted/);
  });
});

/** Points of one volume; each has a pack of its own and shares the blocks that it did not change. */
async function createPoints(vault: Vault, count: number): Promise<string[]> {
  const runIds: string[] = [];
  const lineage = new Map<string, Map<number, Uint8Array>>();
  for (let n = 0; n < count; n += 1) {
    const image = new Map(Array.from({ length: 20 }, (_, i) => [i, block(i < n ? 100 * n + i : i)] as const));
    const runId = newId('run', 'eu', at(n));
    const before = runIds.at(-1);
    const base = before === undefined ? null : { manifestKey: root(before), snapshotId: `snap-${before}` };
    await vault.backup(image, { runId, base, lineage });
    lineage.set(`snap-${runId}`, image);
    runIds.push(runId);
  }
  return runIds;
}

const root = (runId: string) => rootKey(SCOPE.volumeId, runId);

function collect(vault: Vault, change: Partial<VolumeState> & { keep: readonly string[] }, now = at(2)) {
  const { keep, ...rest } = change;
  const clock = { now: () => now, sleep: async () => {} };
  return planCollection({ ...vault.deps, clock }, SCOPE, async () => ({
    kept: [{ volumeId: SCOPE.volumeId, manifestKeys: keep.map(root) }],
    deletedRoots: [],
    openRunIds: [],
    condemnations: [],
    doomed: [],
    longestJobMs: 0,
    packsAllowed: () => Number.POSITIVE_INFINITY,
    ...rest,
  }));
}

const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => (isFault(error) ? error.code : String(error)),
  );

describe('what is condemned', () => {
  test('is what no kept point needs; roots of deleted points go at once', async () => {
    const vault = createVault();
    const [first = '', second = '', third = ''] = await createPoints(vault, 3);
    const plan = await collect(vault, { keep: [second, third], deletedRoots: [root(first)] });
    expect(plan.rootsToDelete).toEqual([root(first)]);
    expect(plan.condemn.every(({ key }) => key.includes(`/${first}/`) && !key.includes('/packs/'))).toBe(true);
    expect(plan.condemn.length).toBeGreaterThan(0);
    expect(plan.stored.objects - plan.needed.objects).toBe(plan.condemn.length + 1);
    const condemnations = [{ objects: plan.condemn, fence: null }];
    expect((await collect(vault, { keep: [second, third], condemnations })).condemn.map(({ key }) => key)).toEqual([
      root(first),
    ]);
  });

  test('is nothing of an open run, of a young one that nobody told of, or of one that began since the caller was asked', async () => {
    const vault = createVault();
    const [first = '', second = ''] = await createPoints(vault, 2);
    expect((await collect(vault, { keep: [first], openRunIds: [second] })).condemn).toEqual([]);
    vault.store.objects.delete(root(second));
    expect((await collect(vault, { keep: [first] }, at(2))).condemn).toEqual([]);
    const later = new Date(at(1).getTime() + SAFETY.unknownRunAgeMs);
    expect((await collect(vault, { keep: [first] }, later)).condemn.length).toBeGreaterThan(0);
    const plan = await planCollection(vault.deps, SCOPE, async () => {
      await vault.backup(new Map([[0, block(7_000)]]), { runId: newId('run', 'eu', at(-9)) });
      return {
        kept: [{ volumeId: SCOPE.volumeId, manifestKeys: [root(first)] }],
        deletedRoots: [],
        openRunIds: [second],
        condemnations: [],
        doomed: [],
        longestJobMs: 0,
        packsAllowed: () => 0,
      };
    });
    expect(plan.condemn).toEqual([]);
  });

  test('is nothing at all when a manifest cannot be read, or an object that it needs is missing', async () => {
    const vault = createVault();
    const [first = '', second = ''] = await createPoints(vault, 2);
    for (const kind of ['packs', 'index', 'keys']) {
      const key = [...vault.store.objects.keys()].find((one) => one.includes(`/${kind}/${second}/`)) ?? '';
      const bytes = vault.store.objects.get(key) ?? new Uint8Array();
      vault.store.objects.delete(key);
      expect(await faultOf(collect(vault, { keep: [first, second] }))).toBe('object_missing');
      expect(await faultOf(collect(vault, { keep: [first], deletedRoots: [root(second)] }))).toBeNull();
      vault.store.objects.set(key, bytes);
    }
    const page =
      [...vault.store.objects.keys()].find((one) => /\/00000000-/.test(one) && one.includes(`/index/${second}/`)) ?? '';
    const bytes = vault.store.objects.get(page) ?? new Uint8Array();
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    expect(await faultOf(collect(vault, { keep: [second] }))).toBe('object_corrupt');
  });

  test('is neither of another volume nor of a name that is not of the format', async () => {
    const vault = createVault();
    await vault.backup(new Map([[0, block(1)]]), { runId: 'run-other', volumeId: 'vol-10' });
    await vault.store.putNew(`v1/${SCOPE.volumeId}/notes/readme`, new Uint8Array(3));
    await vault.store.putNew(`v1/${SCOPE.volumeId}/packs/run-a/readme`, new Uint8Array(3));
    expect(await collect(vault, { keep: [] })).toMatchObject({ condemn: [], stored: { objects: 0 } });
  });

  test('leaves out the packs that roots of other volumes refer to', async () => {
    const vault = createVault();
    const image = new Map(Array.from({ length: 20 }, (_, i) => [i, block(i)] as const));
    const origin = newId('run', 'eu', at(0));
    await vault.backup(image, { runId: origin, related: [] });
    const related = [{ volumeId: SCOPE.volumeId, manifestKey: root(origin) }];
    const copy = newId('run', 'eu', at(1));
    const other = await vault.backup(image, {
      runId: copy,
      volumeId: 'vol-2',
      related,
      tuning: { changesPerDedupPage: 1 },
    });
    expect(other.blocksStored).toBe(0);
    const kept = [
      { volumeId: SCOPE.volumeId, manifestKeys: [] },
      { volumeId: 'vol-2', manifestKeys: [other.manifestKey] },
    ];
    const plan = await collect(vault, { keep: [], kept, deletedRoots: [root(origin)] });
    expect(plan.condemn.filter(({ key }) => key.includes('/packs/') || key.includes('/pack-'))).toEqual([]);
    expect(plan.condemn.length).toBeGreaterThan(0);
  });
});

describe('marks', () => {
  test('read each page once, however many points share it', async () => {
    const vault = createVault();
    const runIds = await createPoints(vault, 6);
    let reads = 0;
    const store: Vault['store'] = {
      ...vault.store,
      get(key, range) {
        if (key.split('/')[2] === 'index') reads += 1;
        return vault.store.get(key, range);
      },
    };
    const kept = [{ volumeId: SCOPE.volumeId, manifestKeys: runIds.map(root) }];
    await markVolume({ ...vault.deps, store }, { ...SCOPE, kept });
    const bundles = [...vault.store.objects.keys()].filter((key) => key.split('/')[2] === 'index');
    expect(reads).toBe(bundles.length);
  });

  test('take 32 bytes an object and a bit a slot', () => {
    const marks = createObjectMarks();
    const object = (number: number) => ({ runId: 'run-a', attempt: '00', number, digest: 'ab'.repeat(32) });
    const before = process.memoryUsage().arrayBuffers;
    for (let number = 0; number < 100_000; number += 1)
      for (const slot of [0, 1, 40, 79]) marks.mark(object(number), slot);
    // Tables grow by doubling: at most twice what is used, and what the last growth has left behind.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000 * 4 * (32 + 24));
    expect(marks.mark(object(7), 40)).toBe(false);
    expect(marks.count()).toBe(100_000);
    expect(marks.find(object(8))).toBe(true);
    expect(marks.find({ ...object(8), digest: 'cd'.repeat(32) })).toBe(false);
    expect([...marks.missing()].length).toBe(99_999);
    expect([...marks.packs()].every(({ slots }) => slots === 4)).toBe(true);
  });
});

test('a backup goes on when the newest point is deleted as it looks at it', async () => {
  const vault = createVault();
  const [first = '', second = ''] = await createPoints(vault, 2);
  const store: Vault['store'] = {
    ...vault.store,
    async get(key, range) {
      if (key === root(second)) vault.store.objects.delete(key);
      return vault.store.get(key, range);
    },
  };
  const source = createMemorySource({ image: new Map([[0, block(1)]]), blockBytes: 4_096, volumeBytes: 2 ** 20 });
  const input = { ...SCOPE, runId: newId('run', 'eu', at(9)), snapshotId: 'snap-9', source };
  const { manifestKey } = await backupVolume({ ...vault.deps, store }, input);
  expect((await readManifest(vault.deps, { ...SCOPE, manifestKey })).previous?.runId).toBe(first);
});

test('an id tells when it was made', () => {
  expect(timeOfId(newId('run', 'eu', DAY_ONE))).toEqual(DAY_ONE);
  expect(timeOfId('run-1')).toBeNull();
});
