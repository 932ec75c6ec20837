import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import {
  GENERATION_MS,
  isLocked,
  type Lockable,
  lockDemanded,
  lockHorizon,
  lockOfNew,
  objectsOfVolume,
  renewalsPerDay,
} from '../../src/vault/locks/generations.ts';
import { type LockNeed, planExtensions } from '../../src/vault/locks/plan.ts';
import { createMemoryStore } from '../../src/vault/memory.ts';

const DAY = 86_400_000;
const START = 690 * GENERATION_MS;
const endOfGeneration = (at: Date) => (Math.floor(at.getTime() / GENERATION_MS) + 1) * GENERATION_MS;
const RIGHT = { early: [], late: [] };
const rounded = (at: number) => Math.ceil(at / GENERATION_MS) * GENERATION_MS;

type Point = { lockUntil: Date; root: string; shared: readonly string[] };

/** A vault's points and objects, with a store that refuses what S3 refuses. What the engine reads from manifests is known here. */
function createModel(atMs: number) {
  let now = new Date(atMs);
  const clock: Clock = { now: () => now, sleep: async () => {} };
  const store = createMemoryStore(clock);
  const points: Point[] = [];
  /** Until when some locked point has needed each object, ever; and its calls. */
  const needed = new Map<string, number>();
  const calls = new Map<string, number>();
  const needsOf = ({ lockUntil, root, shared }: Point): LockNeed[] => [
    { key: root, what: 'root', lockUntil },
    ...shared.map((key) => ({ key, what: 'shared' as const, lockUntil })),
  ];
  const put = (key: string, what: Lockable, lockUntil: Date) =>
    store.putNew(key, new Uint8Array(1), { lockUntil: lockOfNew(what, lockUntil, now) });

  async function extend(some: readonly Point[]): Promise<void> {
    const ends = new Map<string, Date | null>();
    for (const key of store.objects.keys()) ends.set(key, await store.lockedUntil(key));
    for (const { key, until } of planExtensions(some.flatMap(needsOf), ends, now)) {
      await store.extend(key, until); // Refuses to make a lock shorter.
      calls.set(key, (calls.get(key) ?? 0) + 1);
    }
  }

  /** A backup: new objects, some of earlier ones, then the root; acknowledged when everything is locked. */
  async function backup(lockDays: number, reuse: readonly number[]): Promise<void> {
    const lockUntil = new Date(now.getTime() + lockDays * DAY);
    const known = [...new Set(points.flatMap(({ shared }) => shared))];
    const old = reuse.flatMap((n) => known[n % Math.max(known.length, 1)] ?? []);
    const point = { lockUntil, root: `root-${points.length}`, shared: [`pack-${points.length}`, ...new Set(old)] };
    for (const { key, what } of needsOf(point)) if (!store.objects.has(key)) await put(key, what, lockUntil);
    for (const { key } of needsOf(point)) needed.set(key, Math.max(needed.get(key) ?? 0, lockUntil.getTime()));
    await extend([point]);
    points.push(point);
  }

  /** Every object of a point that is acknowledged and still locked, with the end of its own lock. */
  const held = () =>
    points
      .filter(({ lockUntil }) => lockUntil > now)
      .flatMap((point) => needsOf(point).map((need) => ({ ...need, end: store.locks.get(need.key)?.getTime() ?? 0 })));

  /** What holds at every instant, whenever the last extension was: names of the objects for which it does not. */
  function wrong(): { early: string[]; late: string[] } {
    const early = held().filter(({ lockUntil, end }) => end < Math.min(lockUntil.getTime(), endOfGeneration(now)));
    const late = [...store.locks].filter(([key, end]) => {
      const until = needed.get(key) ?? 0;
      const most = key.startsWith('root') ? until : rounded(until);
      return end > lockHorizon(now) || end.getTime() > most;
    });
    return { early: early.map(({ key }) => key), late: late.map(([key]) => key) };
  }

  return {
    store,
    points,
    calls,
    held,
    wrong,
    backup,
    now: () => now,
    advance: (ms: number) => void (now = new Date(now.getTime() + ms)),
    /** What was not extended as far as its point demands. */
    async extendAll(): Promise<string[]> {
      await extend(points.filter(({ lockUntil }) => lockUntil > now));
      return held()
        .filter(({ lockUntil, end }) => end < lockDemanded(lockUntil, now).getTime())
        .map(({ key }) => key);
    },
  };
}

const operation = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant('wait' as const), hours: fc.integer({ min: 1, max: 29 * 24 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('backup' as const),
      lockDays: fc.constantFrom(1, 7, 29, 30, 31, 60, 61, 90, 400),
      reuse: fc.array(fc.nat(50), { maxLength: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ op: 'extend' as const }) },
);

describe('locks of points', () => {
  test('hold everything that an acknowledged point refers to, at every instant, and nothing longer than the rule says', async () => {
    const history = fc.array(operation, { minLength: 30, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(history, fc.nat(GENERATION_MS - 1), async (operations, offset) => {
        const model = createModel(START + offset);
        let lookedAt = model.now();
        const generationOf = (at: Date) => Math.floor(at.getTime() / GENERATION_MS);
        const extend = async () => {
          expect(await model.extendAll()).toEqual([]);
          lookedAt = model.now();
        };
        for (const one of operations) {
          if (one.op === 'extend') await extend();
          if (one.op === 'backup') await model.backup(one.lockDays, one.reuse);
          expect(model.wrong()).toEqual(RIGHT);
          for (let hours = one.op === 'wait' ? one.hours : 0; hours > 0; hours -= 24) {
            // Runs are missed for as long as can be: to the last day of the generation after that of the last one.
            const left = endOfGeneration(model.now()) - model.now().getTime();
            if (generationOf(model.now()) > generationOf(lookedAt) && left <= DAY) await extend();
            model.advance(DAY);
            expect(model.wrong()).toEqual(RIGHT);
          }
        }
        const generations = (model.now().getTime() - START) / GENERATION_MS;
        expect([...model.calls.values()].filter((calls) => calls > generations + 2)).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  test('cost one call for an object in a generation, in every second one where they are longer than two', async () => {
    for (const [lockDays, volumeDays] of [
      [7, 30],
      [45, 30],
      [61, 60],
      [365, 60],
    ] as const) {
      const model = createModel(START);
      await model.backup(lockDays, []);
      const days = 600;
      for (let day = 0; day < days; day += 1) {
        model.advance(DAY);
        await model.backup(lockDays, [0]); // Every day's point refers to the first pack.
        await model.extendAll();
      }
      const calls = model.calls.get('pack-0') ?? 0;
      expect(Math.abs(calls - days / volumeDays), `${lockDays} days`).toBeLessThanOrEqual(2);
    }
  });

  test('of 64 TiB take some 56,000 calls a day, half of it where locks are longer than two generations', () => {
    const objects = objectsOfVolume(2 ** 46);
    expect(objects).toBe(1_678_234);
    expect(renewalsPerDay(objects, 30)).toEqual({ looks: 55_942, extensions: 55_942 });
    expect(renewalsPerDay(objects, 61).extensions).toBe(27_971);
  });
});

describe('a lock', () => {
  const now = new Date(START + 3 * DAY);
  const inDays = (days: number) => new Date(now.getTime() + days * DAY);

  test('of a new object ends with the generation of its point, of a root with the point itself', () => {
    expect(lockOfNew('shared', inDays(7), now)).toEqual(new Date(START + GENERATION_MS));
    expect(lockOfNew('shared', inDays(28), now)).toEqual(new Date(START + 2 * GENERATION_MS));
    expect(lockOfNew('root', inDays(7), now)).toEqual(inDays(7));
    for (const what of ['root', 'shared'] as const) {
      expect(lockOfNew(what, inDays(3_650), now)).toEqual(new Date(START + 3 * GENERATION_MS));
      expect(lockOfNew(what, inDays(-1), now)).toBeUndefined();
      expect(lockOfNew(what, null, now)).toBeUndefined();
    }
  });

  test('cannot be made shorter, and nobody deletes what it holds until it has ended', async () => {
    let at = now;
    const store = createMemoryStore({ now: () => at, sleep: async () => {} });
    await store.putNew('pack', new Uint8Array(1), { lockUntil: inDays(10) });
    await store.putNew('key', new Uint8Array(1));
    await expect(store.extend('pack', inDays(9))).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(store.delete(['pack'])).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(store.extend('no', inDays(9))).rejects.toMatchObject({ code: 'object_missing' });
    await expect(store.putNew('late', new Uint8Array(1), { lockUntil: now })).rejects.toThrow();
    await store.delete(['key']);
    expect([...store.objects.keys()]).toEqual(['pack']);
    expect(isLocked(await store.lockedUntil('pack'), at)).toBe(true);
    at = inDays(10);
    expect(isLocked(await store.lockedUntil('pack'), at)).toBe(false);
    await store.delete(['pack']);
    expect(store.objects.size).toBe(0);
  });
});
