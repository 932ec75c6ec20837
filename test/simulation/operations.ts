import { Fault } from '../../src/core/faults.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import type { BackupResult } from '../../src/vault/backup-plan.ts';
import { createMemorySink } from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap } from '../../src/vault/rotate.ts';
import { verifyVolume } from '../../src/vault/verify.ts';
import { collect } from './collection.ts';
import { erase } from './erasure.ts';
import { differenceOf, written } from './images.ts';
import { createRandom, type Random } from './random.ts';
import { LATE_MS, type Process } from './scheduler.ts';
import { manifestKeyOf, type Run, scopeOf, Violation, type Volume, type World } from './world.ts';

const HOUR_MS = 3_600_000;
/** The service gives up on a run, or deletes a point, long after the last that was sent for it has come to effect. */
const QUIET_MS = Math.max(HOUR_MS, 2 * LATE_MS);

/** Something that happens in a history. `begin` returns what it has set going, or null when it is over at once. */
export type Operation = {
  name: string;
  possible(world: World): boolean;
  begin(world: World): Process | null | Promise<null>;
};

export const runsOf = (world: World, volume: Volume, ...states: readonly Run['state'][]) =>
  world.runs.filter((run) => run.volume === volume && states.includes(run.state));

const isBusy = (world: World, volume: Volume, kinds: readonly string[]) =>
  world.scheduler.running().some(({ volumeId, kind }) => volumeId === volume.id && kinds.includes(kind));

const BACKUPS = ['full', 'incremental'];
/** The service holds a lock: one job of a volume at a time. Nothing else waits for anything. */
const isFree = (world: World, volume: Volume) => !isBusy(world, volume, BACKUPS);
const isStill = (world: World, volume: Volume) =>
  world.scheduler.late() === 0 && !world.scheduler.running().some(({ volumeId }) => volumeId === volume.id);
const hasRoom = (world: World) => world.scheduler.running().length < world.swarm.processes;
const isQuiet = (world: World, { touchedMs }: Run) => world.scheduler.time.ms - touchedMs > QUIET_MS;

/** A process has been told that the run is committed, and tells the user. */
function acknowledge(world: World, run: Run, result: BackupResult): void {
  if (run.state === 'acknowledged') world.count('sometimes', 'acknowledged twice');
  // Another worker was faster by hours, or the service has given the run up: the claim is not this worker's any more.
  else if (run.state !== 'open') throw new Fault('stale_claim', 'Another worker has taken over.');
  if (result.manifestKey !== manifestKeyOf(run)) throw new Violation(`${run.id} was stored as ${result.manifestKey}`);
  run.state = 'acknowledged';
  run.touchedMs = world.scheduler.time.ms;
  const { base } = run.volume;
  if (base === null || base.touchedMs <= run.touchedMs) run.volume.base = run;
  world.count('sometimes', `${result.kind} acknowledged${result.reason === null ? '' : `, ${result.reason}`}`);
  if (result.blocksStored < result.blocksRead) world.count('sometimes', 'blocks found again');
}

/** Points of other volumes whose blocks a run may name. */
function relatedTo({ swarm, volumes }: World, volume: Volume) {
  if (!swarm.sharing) return {};
  const others = volumes.flatMap(({ id, base }) =>
    base && id !== volume.id ? [{ volumeId: id, manifestKey: manifestKeyOf(base) }] : [],
  );
  return { related: others };
}

/** One worker tries a run. */
export function attempt(world: World, run: Run, chances: Random = world.random): Process {
  run.touchedMs = world.scheduler.time.ms;
  const kind = run.base ? 'incremental' : 'full';
  const work = async (process: Process) => {
    const { deps, source, transaction } = world.portsOf(process, chances);
    const { id: runId, snapshotId, base, volume } = run;
    // Read after the run was known to be open.
    const condemned = await transaction(
      'read condemned',
      () => new Set(world.volumes.flatMap(({ ledger }) => ledger.condemned())),
    );
    const input = {
      ...scopeOf(volume),
      runId,
      snapshotId,
      base,
      source: source(run),
      condemned,
      ...relatedTo(world, volume),
    };
    const result = await backupVolume(deps, input, { signal: process.controller.signal });
    await transaction('acknowledge', () => acknowledge(world, run, result));
  };
  return world.start({ kind, volume: run.volume }, work, (code) => code === 'stale_claim');
}

function beginRun(world: World, base: (volume: Volume) => Run | null): Process {
  const { random, volumes } = world;
  const volume = random.pick(volumes.filter((one) => isFree(world, one)));
  const on = base(volume);
  if (on && random.chance(0.05)) volume.snapshots.delete(on.snapshotId); // The account's owner has deleted it.
  const disk = written(volume.disk, random);
  return attempt(
    world,
    world.newRun(volume, disk, on && { manifestKey: manifestKeyOf(on), snapshotId: on.snapshotId }),
  );
}

const openRuns = (world: World) => world.runs.filter((run) => run.state === 'open' && isFree(world, run.volume));

/** Restores a point, and holds it to the image that it was made of. */
function restore(world: World, run: Run): Process {
  const { disk, volume } = run;
  const isKept = () => run.state === 'acknowledged';
  const work = async (process: Process) => {
    const sink = createMemorySink(disk);
    const { deps, sink: faulty } = world.portsOf(process);
    const input = { ...scopeOf(volume), manifestKey: manifestKeyOf(run) };
    const failure = await restoreVolume(deps, input, faulty(sink), { signal: process.controller.signal }).then(
      () => null,
      (error: Fault) => error,
    );
    for (const [index, bytes] of sink.image)
      if (Buffer.compare(bytes, disk.image.get(index) ?? new Uint8Array()) !== 0)
        throw new Violation(`${run.id} was restored with a wrong block ${index}`);
    if (failure) throw failure;
    const difference = sink.isComplete() ? differenceOf(sink.image, disk.image) : 'the image is not complete';
    if (difference) throw new Violation(`${run.id} was restored, and ${difference}`);
  };
  return world.start({ kind: 'restore', volume }, work, () => !isKept());
}

/** Looks at every byte of a volume's points. With nothing wrong, it must find nothing wrong. */
function verify(world: World, volume: Volume): Process {
  const work = async (process: Process) => {
    const { deps } = world.portsOf(process);
    const runs = runsOf(world, volume, 'acknowledged');
    const { damage } = await verifyVolume(
      deps,
      { ...scopeOf(volume), manifestKeys: runs.map(manifestKeyOf) },
      { signal: process.controller.signal },
    );
    if (damage.length > 0) world.count('sometimes', 'damage reported');
    const areKept = runs.every(({ state }) => state === 'acknowledged');
    if (damage.length > 0 && areKept && !process.disturbed)
      throw new Violation(`${volume.id} was said to be damaged: ${JSON.stringify(damage[0])}`);
  };
  return world.start({ kind: 'verify', volume }, work);
}

/** The master key is renewed, and the keys of a volume are wrapped anew. */
function rotate(world: World, volume: Volume): Process {
  const work = async (process: Process) => {
    const { keyObjects } = world.portsOf(process);
    const rewrap = world.keys.renew();
    const plan = await planRewrap(keyObjects, scopeOf(volume), rewrap);
    const { replaced } = await executeRewrap(keyObjects, plan, rewrap, { signal: process.controller.signal });
    if (replaced > 0) world.count('sometimes', 'keys wrapped anew');
  };
  return world.start({ kind: 'key rotation', volume }, work);
}

const pause = (world: World, ms: number): Promise<null> => world.scheduler.pass(ms).then(() => null);

export const OPERATIONS: readonly Operation[] = [
  {
    name: 'full',
    possible: (world) => hasRoom(world) && world.volumes.some((volume) => isFree(world, volume)),
    begin: (world) => beginRun(world, () => null),
  },
  {
    name: 'incremental',
    possible: (world) => hasRoom(world) && world.volumes.some((volume) => isFree(world, volume)),
    begin: (world) => beginRun(world, ({ base }) => base),
  },
  {
    name: 'retry',
    possible: (world) => hasRoom(world) && openRuns(world).length > 0,
    begin: (world) => attempt(world, world.random.pick(openRuns(world))),
  },
  {
    name: 'duplicate job',
    possible: (world) => world.swarm.processes > 1 && hasRoom(world) && openRuns(world).length > 0,
    begin(world) {
      const run = world.random.pick(openRuns(world));
      const state = world.random.u32();
      if (!world.random.chance(world.swarm.clonedRandom)) {
        attempt(world, run);
        return attempt(world, run);
      }
      world.count('sometimes', 'random numbers cloned');
      attempt(world, run, createRandom(state));
      return attempt(world, run, createRandom(state));
    },
  },
  {
    name: 'restore',
    possible: (world) => hasRoom(world) && world.runs.some(({ state }) => state === 'acknowledged'),
    begin: (world) => restore(world, world.random.pick(world.runs.filter(({ state }) => state === 'acknowledged'))),
  },
  {
    name: 'retention',
    possible: (world) => world.runs.some((run) => run.state === 'acknowledged' && isQuiet(world, run)),
    begin(world) {
      const old = world.runs.filter((run) => run.state === 'acknowledged' && isQuiet(world, run));
      for (const run of old) if (world.random.chance(0.5)) run.state = 'deleting';
      return null;
    },
  },
  {
    name: 'collect garbage',
    possible: hasRoom,
    begin: (world) => collect(world, world.random.pick(world.volumes)),
  },
  {
    name: 'verify',
    possible: hasRoom,
    begin: (world) => verify(world, world.random.pick(world.volumes)),
  },
  {
    name: 'rotate keys',
    possible: hasRoom,
    begin: (world) => rotate(world, world.random.pick(world.volumes)),
  },
  {
    name: 'shred',
    // Where volumes share blocks, one takes blocks of others with it: that is said, and not simulated.
    possible: (world) => !world.swarm.sharing && world.volumes.some((volume) => isStill(world, volume)),
    begin: (world) => erase(world, world.random.pick(world.volumes.filter((volume) => isStill(world, volume)))),
  },
  {
    name: 'give up',
    possible: (world) => openRuns(world).some((run) => isQuiet(world, run)),
    begin(world) {
      world.random.pick(openRuns(world).filter((run) => isQuiet(world, run))).state = 'given up';
      return null;
    },
  },
  {
    name: 'crash',
    possible: (world) => world.scheduler.running().length > 0,
    begin(world) {
      world.scheduler.kill(world.random.pick(world.scheduler.running()));
      return null;
    },
  },
  {
    name: 'abort',
    possible: (world) => world.scheduler.running().length > 0,
    begin(world) {
      world.scheduler.abort(world.random.pick(world.scheduler.running()));
      return null;
    },
  },
  {
    name: 'clock jump',
    possible: () => true,
    begin(world) {
      const minutes = world.random.pick([5, 11, 31, 24 * 60, 10 * 24 * 60]);
      world.clock.skewMs = 60_000 * (world.random.chance(0.5) ? minutes : -minutes);
      return null;
    },
  },
  {
    name: 'time passes',
    possible: () => true,
    begin: (world) => pause(world, HOUR_MS * world.random.pick([0.1, 1.1, 6, 26, 80])),
  },
];
