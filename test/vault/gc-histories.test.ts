import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isLockable } from '../../src/vault/gc/condemned.ts';
import { type Actor, createGcWorld, type GcWorld } from './gc-world.ts';

/** More with `GC_HISTORIES=5000 npx vitest run --project unit test/vault/gc-histories.test.ts`. */
const HISTORIES = Number(process.env['GC_HISTORIES'] ?? 50);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const JUMPS = [5, -5, 11, -11, 31, -31, 24 * 60, -24 * 60, 72 * 60, 80 * 60, 365 * 24 * 60, -365 * 24 * 60];

type Command =
  | { do: 'backup'; seeds: number[]; useBase: boolean }
  | { do: 'step' | 'finish' | 'die' | 'again' | 'fail' | 'delete'; which: number; steps: number }
  | { do: 'collect'; packsAllowed: number }
  | { do: 'collectNow' }
  | { do: 'jump'; minutes: number }
  | { do: 'lock'; which: number; hours: number };

const which = fc.nat(30);
const steps = fc.nat({ max: 12 });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('backup' as const),
      seeds: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
      useBase: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('step' as const), which, steps }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('finish' as const), which, steps }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('die' as const), which, steps }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('again' as const), which, steps }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), which, steps }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('delete' as const), which, steps }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('collect' as const), packsAllowed: fc.constantFrom(0, 1, 1e9) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('collectNow' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('jump' as const), minutes: fc.constantFrom(...JUMPS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lock' as const), which, hours: fc.constantFrom(1, 100) }) },
);

const pick = <T>(all: readonly T[], number: number): T | undefined => all[number % Math.max(all.length, 1)];
const openRuns = ({ desk }: GcWorld) => [...desk.runs].filter(([, { open }]) => open).map(([id]) => id);

/** Plays a history: backups and collections take turns, and may stop or die at any of their steps. */
async function play(world: GcWorld, history: readonly Command[]): Promise<void> {
  const actors: Actor[] = [];
  const collections: Actor[] = [];
  const alive = () => [...actors, ...collections].filter((actor) => !actor.isOver());
  for (const one of history) {
    if (one.do === 'backup') actors.push(world.backup(one.seeds, one.useBase));
    else if (one.do === 'collect') collections.push(world.collect(one.packsAllowed));
    else if (one.do === 'collectNow') await world.finish(world.collect());
    else if (one.do === 'jump') world.jump(one.minutes * MINUTE);
    else if (one.do === 'lock') {
      if (collections.some((actor) => !actor.isOver())) continue; // Nobody locks what is being judged.
      const key = pick([...world.vault.store.objects.keys()].filter(isLockable), one.which);
      if (key !== undefined) world.locks.set(key, world.clock.now().getTime() + one.hours * HOUR);
    } else if (one.do === 'delete') {
      const runId = pick(world.desk.keptRunIds(), one.which);
      if (runId !== undefined) world.desk.deletePoint(runId);
    } else if (one.do === 'again' || one.do === 'fail') {
      const runId = pick(openRuns(world), one.which);
      if (runId !== undefined && one.do === 'fail') world.desk.fail(runId);
      if (runId !== undefined && one.do === 'again') actors.push(world.backup([], one.steps % 2 === 0, runId));
    } else {
      const actor = pick(alive(), one.which);
      if (one.do === 'die') await actor?.die();
      else if (one.do === 'finish' && actor) await world.finish(actor);
      else if (actor) for (let n = 0; n < one.steps && !actor.isOver(); n += 1) await actor.step();
    }
  }
  for (const actor of alive()) await world.finish(actor);
}

/** Lets everything come to rest: open runs end, locks end, and collections go on until nothing is left to do. */
async function settle(world: GcWorld): Promise<void> {
  for (const runId of openRuns(world)) world.desk.fail(runId);
  for (let n = 0; n < 4; n += 1) {
    world.jump(2 * 365 * 24 * HOUR);
    await world.finishAlone(world.collect());
  }
}

test('no history of backups, deletions, collections, crashes and clock jumps loses a kept point, or leaves garbage', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 60, size: 'max' }), async (history) => {
      const world = createGcWorld();
      await play(world, history);
      expect(await world.lost()).toEqual([]);
      expect(world.brokenLocks).toEqual([]);
      await settle(world);
      expect(await world.lost()).toEqual([]);
      const needed = await world.needed();
      expect([...world.vault.store.objects.keys()].toSorted()).toEqual(needed);
    }),
    { numRuns: HISTORIES, endOnFailure: true }, // To shrink takes minutes: replay the seed without it.
  );
}, 3_600_000);
