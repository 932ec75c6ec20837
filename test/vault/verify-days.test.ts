import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { newId } from '../../src/core/ids.ts';
import type { MemoryImage } from '../../src/vault/memory.ts';
import { openVerification } from '../../src/vault/verify.ts';
import {
  afterObject,
  afterRound,
  dailyBytes,
  markToday,
  NEW_CURSOR,
  roundFrom,
  type VerifyCursor,
} from '../../src/vault/verify-cursor.ts';
import { block, createVault, noise, SCOPE } from './fixture.ts';
import { pruneAtOnce } from './prune-at-once.ts';
import { readOnly } from './verify-fixture.ts';

const DAY_MS = 86_400_000;
const START = Date.parse('2026-01-01T03:00:00Z');
const at = (day: number) => new Date(START + day * DAY_MS);

type Thing = { position: string; sizeBytes: number; since: number };

/** One day's reading of a list of things. `since` of each becomes the day it was read. */
function readDay(things: Thing[], cursor: VerifyCursor, day: number): { cursor: VerifyCursor; bytes: number } {
  const ordered = things.toSorted((a, b) => (a.position < b.position ? -1 : 1));
  let left = dailyBytes(ordered, cursor, at(day));
  const from = markToday(cursor, at(day));
  let now = from;
  let read = 0;
  let bytes = 0;
  for (const thing of roundFrom(() => ordered, from)) {
    left -= thing.sizeBytes;
    if (left < 0) break;
    read += 1;
    bytes += thing.sizeBytes;
    thing.since = day;
    now = afterObject(now, thing.position, thing === ordered.at(-1));
  }
  return { cursor: read === ordered.length ? afterRound(now, from) : now, bytes };
}

const position = fc.integer({ min: 0, max: 9_999 }).map((n) => `packs/${String(n).padStart(4, '0')}`);
const sized = fc.record({ position, sizeBytes: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 4_000 })) });
/** What comes and goes on a day; mostly little, at times nearly everything. */
const change = fc.record({
  added: fc.oneof({ weight: 6, arbitrary: fc.array(sized, { maxLength: 3 }) }, fc.array(sized, { maxLength: 60 })),
  /** So many of every seven. */
  gone: fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 7 })),
  isMissed: fc.oneof({ weight: 29, arbitrary: fc.constant(false) }, fc.constant(true)),
});

describe('every byte is read within 30 days', () => {
  test('whatever comes and goes, and when single days are missed', () => {
    fc.assert(
      fc.property(
        fc.array(sized, { maxLength: 80 }),
        fc.array(change, { minLength: 90, maxLength: 90 }),
        (first, days) => {
          const things = new Map<string, Thing>(first.map((one) => [one.position, { ...one, since: 0 }]));
          let cursor = NEW_CURSOR;
          let missed = false;
          for (const [day, { added, gone, isMissed }] of days.entries()) {
            const names = [...things.keys()].toSorted();
            for (const [n, name] of names.entries()) if (n % 7 < gone) things.delete(name);
            for (const one of added) if (!things.has(one.position)) things.set(one.position, { ...one, since: day });
            missed = isMissed && !missed; // Never two days in a row.
            if (missed) continue;
            cursor = JSON.parse(JSON.stringify(readDay([...things.values()], cursor, day).cursor)) as VerifyCursor;
            const oldest = Math.min(day, ...[...things.values()].map(({ since }) => since));
            expect(day - oldest).toBeLessThan(30);
            expect(cursor.marks.length).toBeLessThan(60);
            // What it says of itself is true of every one of them.
            if (cursor.since !== null) expect(Date.parse(cursor.since)).toBeLessThanOrEqual(at(oldest).getTime());
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test('at the cost of a 28th a day, while nothing changes', () => {
    const things = Array.from({ length: 500 }, (_, n) => ({
      position: `packs/${String(n).padStart(4, '0')}`,
      sizeBytes: 100,
      since: 0,
    }));
    let cursor = NEW_CURSOR;
    let total = 0;
    for (let day = 0; day < 90; day += 1) {
      const read = readDay(things, cursor, day);
      cursor = read.cursor;
      total += read.bytes;
      expect(read.bytes).toBeLessThanOrEqual(Math.ceil(50_000 / 28) + 100);
    }
    expect(total / 50_000).toBeGreaterThan(90 / 29);
    expect(total / 50_000).toBeLessThan(90 / 27);
  });
});

/** Numbers from a seed, so that a failure replays (mulberry32). */
function seeded(seed: number) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Planted = { key: string; bytes: Uint8Array; day: number; isMetadata: boolean };

/** A vault that is backed up, pruned and verified daily, and in which something breaks now and then. */
function createHistory(seed: number) {
  const random = seeded(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const vault = createVault();
  const points: { manifestKey: string; snapshotId: string }[] = [];
  const lineage = new Map<string, MemoryImage>();
  const broken = new Map<string, Planted>();
  let image: MemoryImage = new Map(Array.from({ length: 30 }, (_, n) => [n, noise(n + seed)]));
  let cursor = NEW_CURSOR;
  let now = at(0);
  const clock: Clock = { now: () => now, sleep: async () => {} };

  async function backUp(day: number) {
    const runId = newId('run', 'eu', now);
    const snapshotId = `snap-${day}`;
    const base = points.at(-1);
    const changed = Array.from({ length: 1 + Math.floor(random() * 4) }, () => Math.floor(random() * 60));
    image = new Map([
      ...image,
      ...changed.map((n) => [n, random() < 0.5 ? noise(day * 64 + n) : block(day * 64 + n)] as const),
    ]);
    const { manifestKey } = await vault.backup(image, { runId, snapshotId, lineage, base: base ?? null });
    lineage.set(snapshotId, image);
    points.push({ manifestKey, snapshotId });
  }
  const keysNow = () => points.map(({ manifestKey }) => manifestKey);
  async function prune() {
    for (const key of await pruneAtOnce({ ...vault.deps, clock }, keysNow())) broken.delete(key);
  }
  /** Breaks an object that some point needs. Its size and its being there are metadata; its bytes are data. */
  function breakOne(day: number) {
    const key = pick([...vault.store.objects.keys()]);
    const bytes = vault.store.objects.get(key)!;
    const how = pick(['flip', 'flip', 'cut', 'gone']);
    const flipped = Uint8Array.from(bytes);
    flipped[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
    if (how === 'gone') vault.store.objects.delete(key);
    else vault.store.objects.set(key, how === 'cut' ? bytes.slice(0, Math.floor(random() * bytes.length)) : flipped);
    // A bundle is opened daily only where a page lies that is needed; the rest of it is read with the packs.
    const isData = how === 'flip' && (key.includes('/packs/') || (key.includes('/index/') && !key.endsWith('/index')));
    broken.set(key, { key, bytes, day, isMetadata: !isData });
  }
  async function verifyToday() {
    const verification = await openVerification(
      { store: readOnly(vault), keys: vault.keys, clock },
      { ...SCOPE, manifestKeys: keysNow() },
    );
    const read = await verification.read(cursor, { budgetBytes: verification.dailyBytes(cursor, now) });
    cursor = read.cursor;
    return [...verification.damage, ...read.damage];
  }
  return {
    broken,
    points,
    random,
    backUp,
    prune,
    breakOne,
    verifyToday,
    /** Somebody mends what was found: the verification does not. */
    mend: ({ key, bytes }: Planted) => {
      vault.store.objects.set(key, bytes);
      broken.delete(key);
    },
    setDay: (day: number) => {
      now = new Date(at(day).getTime() + random() * 3_600_000);
    },
  };
}

test.each([1, 2])(
  '90 days with damage planted at random: metadata is found in a day, data in 30 (seed %d)',
  async (seed) => {
    const history = createHistory(seed);
    const { broken, points, random } = history;
    const delays: number[] = [];
    let planted = 0;
    for (let day = 0; day < 90; day += 1) {
      history.setDay(day);
      // While something is broken nobody backs up or prunes: both read manifests, and would stop for their own reasons.
      if (broken.size === 0 && day % 2 === 0) await history.backUp(day);
      if (broken.size === 0 && points.length > 12) {
        points.splice(0, 3);
        await history.prune();
      }
      if (broken.size === 0 && random() < 0.6 && day > 3) {
        history.breakOne(day);
        planted += 1;
      }
      const damage = await history.verifyToday();
      for (const { object } of damage) {
        const what = broken.get(object);
        expect(what, `${object} on day ${day}`).toBeDefined();
        if (!what) continue;
        delays.push(day - what.day);
        history.mend(what);
      }
      for (const { day: since, isMetadata } of broken.values()) {
        expect(isMetadata).toBe(false);
        expect(day - since).toBeLessThan(30);
      }
    }
    expect(planted).toBeGreaterThan(5);
    expect(Math.max(...delays)).toBeGreaterThan(1); // Some of it lay in data, and took its time.
  },
);
