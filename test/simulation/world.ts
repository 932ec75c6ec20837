import { createHash } from 'node:crypto';
import { createNonceMonitor, type NonceMonitor } from '../../src/crypto/nonce-monitor.ts';
import { Fault, isFault } from '../../src/core/faults.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { createMemorySource, createMemoryStore, type MemoryImage } from '../../src/vault/memory.ts';
import { type Counts, count, type Group } from './counts.ts';
import { createDisk, type Disk } from './images.ts';
import { createSeededKeys } from './keys.ts';
import { keyObjectsOf } from './key-objects.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { faultyKeys, faultySink, faultySource, faultyStore } from './ports.ts';
import { createRandom, type Random } from './random.ts';
import { createScheduler, type Process } from './scheduler.ts';
import { drawSwarm } from './swarm.ts';

export const CELL = 'eu';
/** Volumes that share blocks have blocks of one size. */
const SHARED_BLOCK_BYTES = 128;
export const TENANT = 'ten_eu_simulated';

/** Something that must never be was seen: an error of the engine, or of the simulation. */
export class Violation extends Error {}

/** One backup of one volume, as the service's database has it. */
export type Run = {
  readonly id: string;
  readonly volume: Volume;
  readonly snapshotId: string;
  readonly disk: Disk;
  readonly base: { manifestKey: string; snapshotId: string } | null;
  /** open: not acknowledged yet, may be tried again. deleting: no longer offered, its objects may go. */
  state: 'open' | 'acknowledged' | 'given up' | 'deleting' | 'deleted';
  /** When it last changed its state, or was last tried. */
  touchedMs: number;
};

export type Volume = {
  readonly id: string;
  disk: Disk;
  /** The images that can still be compared with, by snapshot. */
  readonly snapshots: Map<string, MemoryImage>;
  /** What the next incremental builds on. */
  base: Run | null;
  /** What is known of its garbage. */
  readonly ledger: Ledger;
};

export const manifestKeyOf = (run: Run) => rootKey(run.volume.id, run.id);
export const scopeOf = (volume: Volume) => ({ cell: CELL, tenantId: TENANT, volumeId: volume.id });

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** A run's id as the product makes them: by time, then by chance. */
function runIdAt(ms: number, random: Random): string {
  let time = '';
  for (let n = 0, rest = ms; n < 10; n += 1, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  return `run_${CELL}_${time}${Array.from({ length: 16 }, () => ALPHABET.charAt(random.below(ALPHABET.length))).join('')}`;
}

/** The image of a run, to be read. Its base may be gone from the source since. */
const sourceOf = ({ disk, volume }: Run) => {
  const { image, blockBytes, volumeBytes } = disk;
  return createMemorySource({ image, blockBytes, volumeBytes, lineage: volume.snapshots });
};

/**
 * The world of one history: what is outside of the engine, and what the service around it remembers. The latter is the reference
 * model, too: it holds the images that acknowledged points must have.
 */
export function createWorld(seed: number, options: { trace?: (line: string) => void } = {}) {
  const random = createRandom(seed);
  const swarm = drawSwarm(random);
  const counts: Counts = new Map();
  const digest = createHash('sha256');
  let steps = 0;
  const trace = (line: string) => {
    steps += 1;
    digest.update(line).update('\n');
    options.trace?.(line);
  };
  const { packBytes, changesPerDedupPage, checkpointEvery } = swarm;
  const tuning = { packBytes, changesPerDedupPage, checkpointEvery };
  const scheduler = createScheduler({ random, rates: swarm.rates, counts, trace });
  const store = createMemoryStore();
  const keys = createSeededKeys(random.fork());
  const nonces = createNonceMonitor();
  const clock = { skewMs: 0 };
  const volumes = Array.from(
    { length: swarm.volumes },
    (_, n): Volume => ({
      id: `vol-${n}`,
      disk: createDisk(random, swarm.sharing ? SHARED_BLOCK_BYTES : undefined),
      snapshots: new Map(),
      base: null,
      ledger: createLedger(),
    }),
  );
  const runs: Run[] = [];
  let violation: unknown = null;

  /** Whatever the engine makes of it: a pair that comes twice ends the history. */
  const monitor: NonceMonitor = (key, nonce) => {
    try {
      nonces.monitor(key, nonce);
    } catch (error) {
      violation ??= error;
      throw error;
    }
  };
  const now = () => new Date(scheduler.time.ms + clock.skewMs);
  return {
    seed,
    random,
    swarm,
    counts,
    scheduler,
    store,
    keys,
    nonces,
    clock,
    volumes,
    runs,
    trace,
    now,
    count: (group: Group, name: string) => count(counts, group, name),
    hash: () => digest.copy().digest('hex'),
    steps: () => steps,
    /** Throws what has been seen that must never be. */
    check(): void {
      if (violation !== null) throw violation;
    },
    newRun(volume: Volume, disk: Disk, base: Run['base']): Run {
      const id = runIdAt(now().getTime(), random);
      const run: Run = {
        id,
        volume,
        snapshotId: `snap-${runs.length}`,
        disk,
        base,
        state: 'open',
        touchedMs: scheduler.time.ms,
      };
      volume.disk = disk;
      volume.snapshots.set(run.snapshotId, disk.image);
      runs.push(run);
      return run;
    },
    /** The ports that a process has, each call of which may go wrong. */
    portsOf(process: Process, chances: Random = random) {
      const intercept = scheduler.interceptor(process);
      return {
        deps: {
          store: faultyStore(store, intercept, random),
          keys: faultyKeys(keys.service, intercept),
          clock: { now, sleep: async () => {} },
          random: (bytes: number) => chances.bytes(bytes),
          monitor,
          checkAll: true,
          tuning,
        },
        keyObjects: keyObjectsOf(store.objects, intercept),
        source: (run: Run) => faultySource(sourceOf(run), intercept, random),
        sink: (sink: Parameters<typeof faultySink>[0]) => faultySink(sink, intercept, random),
        /** One transaction of the service's database. */
        transaction: <T>(name: string, effect: () => T | Promise<T>): Promise<T> =>
          intercept<T>({
            name,
            detail: '',
            effect: async () => effect(),
            torn: null,
            failure: () => new Fault('unavailable', 'The database does not answer.'),
            later: null,
          }),
      };
    },
    /**
     * Begins a process. If nothing goes wrong for it, it must succeed, unless `mayFail` says why not; whatever goes wrong, it ends
     * with a Fault that says so.
     */
    start(
      about: { kind: string; volume: Volume },
      work: (process: Process) => Promise<void>,
      mayFail: (code: string) => boolean = () => false,
    ): Process {
      const { kind, volume } = about;
      return scheduler.start({ kind, volumeId: volume.id }, work, (process, error) => {
        if (error === null) return;
        if (!isFault(error)) violation ??= error;
        else if (error.code === 'internal' && !process.listedTwice)
          violation ??= new Violation(`${kind} ended with an internal error: ${error.message}`, { cause: error });
        else if (!process.disturbed && !mayFail(error.code))
          violation ??= new Violation(`${kind} failed, and nothing went wrong: ${error.code}`, { cause: error });
        else count(counts, 'sometimes', `${kind} refused`);
      });
    },
  };
}

export type World = ReturnType<typeof createWorld>;
