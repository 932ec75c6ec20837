import { isFault } from '../../src/core/faults.ts';
import { type Counts, count } from './counts.ts';
import type { Intercept, PortCall } from './ports.ts';
import type { Random } from './random.ts';

/** How often a call goes wrong, by how. One that goes wrong in no way is answered. */
export type FaultRates = {
  before: number;
  after: number;
  hang: number;
  torn: number;
  slow: number;
  /** The adapter tries again by itself after an answer that was lost: the effect comes twice. */
  twice: number;
  crash: number;
};

/** A request that was on its way when its caller died or gave up is dropped or comes to effect within this time. */
export const LATE_MS = 15 * 60_000;

/** Something that runs for a while and may die: a worker with one operation to do. */
export type Process = {
  readonly id: number;
  readonly kind: string;
  /** The volume whose objects it works on. */
  readonly volumeId: string;
  readonly startedMs: number;
  state: 'running' | 'ended' | 'dead';
  /** Was it told to stop, or did any call of it go wrong? If not, it must succeed. */
  disturbed: boolean;
  /** Could a listing of blocks have named one twice? The engine then calls it an internal error. */
  listedTwice: boolean;
  readonly controller: AbortController;
};

type Pending = {
  process: Process;
  call: PortCall<unknown>;
  state: 'ready' | 'slow' | 'hung';
  /** Of a hung call: did its effect come all the same? */
  done: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
};

type Late = { name: string; effect: () => Promise<unknown>; deadlineMs: number };

export type SchedulerOptions = {
  random: Random;
  rates: FaultRates;
  counts: Counts;
  /** Takes down what happens. */
  trace: (line: string) => void;
};

/** After this, everything that can go on without an answer has gone on. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
/** A process that waits for nothing that anybody will give it. */
const IDLE_ROUNDS_MAX = 20;

/**
 * Runs all processes of a history in one thread. Calls to the world wait here; one at a time is picked by chance and answered, or
 * goes wrong. So every order in which answers can come is as likely as any, and the same seed gives the same one.
 */
export function createScheduler({ random, rates, counts, trace }: SchedulerOptions) {
  const time = { ms: Date.UTC(2026, 0, 1) };
  let pending: Pending[] = [];
  let late: Late[] = [];
  let processes: Process[] = [];
  let healed = false;
  let names = 0;

  const drop = (one: Pending) => {
    pending = pending.filter((other) => other !== one);
  };
  const say = ({ process, call }: Pending, what: string) =>
    trace(`p${process.id} ${call.name} ${call.detail}: ${what}`);

  /** What of a call may still come to effect, when nobody waits for it any more. */
  function leave({ call, done }: Pending): void {
    if (done || !call.later || random.chance(0.5)) return;
    late.push({ name: call.name, effect: call.later(), deadlineMs: time.ms + LATE_MS });
  }

  async function land(one: Late): Promise<void> {
    late = late.filter((other) => other !== one);
    trace(`late ${one.name} comes to effect`);
    count(counts, 'sometimes', `late ${one.name}`);
    await one.effect();
  }

  /** The process is gone, with all that it had in memory: nothing of it goes on, no `finally` runs. */
  function kill(process: Process): void {
    if (process.state !== 'running') return;
    process.state = 'dead';
    trace(`p${process.id} dies`);
    for (const one of pending.filter((other) => other.process === process)) {
      leave(one);
      drop(one);
    }
  }

  function fail(one: Pending, why: string): void {
    say(one, why);
    one.process.disturbed = true;
    drop(one);
    one.reject(one.call.failure());
  }

  async function answer(one: Pending, effect = () => one.call.effect(), how = ''): Promise<void> {
    drop(one);
    try {
      const value = await effect();
      say(one, `${how}ok`);
      one.resolve(value);
    } catch (error) {
      say(one, `${how}${isFault(error) ? error.code : String(error)}`);
      one.reject(error);
    }
  }

  /** Does the effect, and keeps the answer back. */
  const effectOnly = (one: Pending) => one.call.effect().catch(() => {});

  type Mode = keyof FaultRates;
  const fates: Record<Mode, (one: Pending) => Promise<void>> = {
    before: async (one) => fail(one, 'fails before its effect'),
    async after(one) {
      await effectOnly(one);
      fail(one, 'fails after its effect');
    },
    async hang(one) {
      one.done = random.chance(0.5);
      if (one.done) await effectOnly(one);
      one.state = 'hung';
      say(one, one.done ? 'hangs after its effect' : 'hangs');
    },
    async torn(one) {
      const { call, process } = one;
      if (call.name === 'block list' || call.name === 'change list') process.listedTwice = true;
      await answer(one, call.torn ?? call.effect, 'torn, ');
    },
    async slow(one) {
      one.state = 'slow';
      say(one, 'is slow');
    },
    async twice(one) {
      await effectOnly(one);
      await answer(one, one.call.effect, 'twice, ');
    },
    async crash(one) {
      const when = random.chance(0.5) ? 'before' : 'after';
      if (when === 'after') {
        await effectOnly(one);
        one.done = true;
      }
      say(one, `crash ${when} its effect`);
      count(counts, 'crash', `${one.process.kind}, ${when} ${one.call.name}`);
      kill(one.process);
    },
  };
  const modes = Object.keys(fates) as Mode[];

  function modeOf(one: Pending): Mode | null {
    if (healed) return null;
    let at = random.unit();
    for (const mode of modes) {
      at -= rates[mode];
      if (at >= 0) continue;
      if (mode === 'slow' && one.state === 'slow') return null;
      if (mode === 'torn' && !one.call.torn) return null;
      if (mode === 'twice' && !one.call.later) return null;
      return mode;
    }
    return null;
  }

  /** A call hangs until its time-out, if nothing ends its process before. */
  function wake(): void {
    const one = random.pick(pending.filter(({ state }) => state === 'hung'));
    time.ms += 60_000 * random.between(1, 10);
    leave(one);
    fail(one, 'times out');
  }

  /** Answers one call. False: no call is waiting. */
  async function step(): Promise<boolean> {
    await settled();
    for (const one of late) if (random.chance(0.03)) await land(one);
    const ready = pending.filter(({ state }) => state === 'ready');
    const slow = pending.filter(({ state }) => state === 'slow');
    if (pending.length === 0) return false;
    const hung = pending.length - ready.length - slow.length;
    if (ready.length + slow.length === 0 || (hung > 0 && random.chance(0.01))) {
      wake();
      return true;
    }
    const one = ready.length === 0 || (slow.length > 0 && random.chance(0.05)) ? random.pick(slow) : random.pick(ready);
    time.ms += random.below(1_500);
    const mode = modeOf(one);
    if (mode === null) {
      await answer(one);
      return true;
    }
    count(counts, 'fault', `${one.call.name}, ${mode}`);
    if (mode !== 'slow' && mode !== 'twice') one.process.disturbed = true;
    await fates[mode](one);
    return true;
  }

  return {
    time,
    running: () => processes.filter(({ state }) => state === 'running'),
    late: () => late.length,
    kill,
    step,
    interceptor:
      (process: Process): Intercept =>
      (call) =>
        new Promise((resolve, reject) => {
          if (process.state === 'dead') return; // Nobody is there any more to hear an answer.
          pending.push({
            process,
            call,
            state: 'ready',
            done: false,
            resolve: resolve as (value: unknown) => void,
            reject,
          });
        }),
    /** Begins a process; `ended` hears how its work came out, unless it dies first. */
    start(
      about: { kind: string; volumeId: string },
      work: (process: Process) => Promise<void>,
      ended: (process: Process, error: unknown) => void,
    ): Process {
      names += 1;
      const process: Process = {
        id: names,
        ...about,
        startedMs: time.ms,
        state: 'running',
        disturbed: false,
        listedTwice: false,
        controller: new AbortController(),
      };
      trace(`p${process.id} begins: ${about.kind} of ${about.volumeId}`);
      processes = [...processes.filter(({ state }) => state === 'running'), process];
      const end = (error: unknown) => {
        if (process.state === 'dead') return;
        process.state = 'ended';
        trace(
          `p${process.id} ends: ${error === null ? 'done' : isFault(error) ? error.code : error instanceof Error ? error.message : 'what is no error'}`,
        );
        ended(process, error);
      };
      work(process).then(
        () => end(null),
        (error: unknown) => end(error),
      );
      return process;
    },
    /** Tells a process to stop, and ends the calls of it that hang. */
    abort(process: Process): void {
      trace(`p${process.id} is told to stop`);
      process.disturbed = true;
      process.controller.abort();
      for (const one of pending.filter((other) => other.process === process && other.state === 'hung')) {
        leave(one);
        fail(one, 'ends with its process');
      }
    },
    /** Goes on until the process is no longer running, or for so many steps. */
    async run(process: Process, steps = Number.POSITIVE_INFINITY): Promise<void> {
      let idle = 0;
      for (let n = 0; n < steps && process.state === 'running'; n += 1) {
        idle = (await step()) ? 0 : idle + 1;
        if (idle > IDLE_ROUNDS_MAX) throw new Error(`p${process.id}, ${process.kind}, waits for nothing`);
      }
    },
    /** Time passes. What was on its way comes to effect, or never will. */
    async pass(ms: number): Promise<void> {
      for (const one of late)
        if (one.deadlineMs <= time.ms + ms) {
          if (random.chance(0.5)) await land(one);
          else late = late.filter((other) => other !== one);
        }
      time.ms += ms;
    },
    /** From now on nothing goes wrong. */
    heal(): void {
      healed = true;
      trace('from here on nothing goes wrong');
    },
  };
}

export type Scheduler = ReturnType<typeof createScheduler>;
