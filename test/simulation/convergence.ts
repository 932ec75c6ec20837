import { createMemorySink } from '../../src/vault/memory.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap } from '../../src/vault/rotate.ts';
import { collectOnce } from './collection.ts';
import { differenceOf } from './images.ts';
import { keyObjectsOf } from './key-objects.ts';
import { attempt, runsOf } from './operations.ts';
import { kindOf } from './ports.ts';
import { LATE_MS } from './scheduler.ts';
import { manifestKeyOf, type Run, scopeOf, Violation, type Volume, type World } from './world.ts';

const DAY_MS = 24 * 3_600_000;

/** The store as a restore sees it, and what a restore has read there. */
function watchedStore(store: BlobStore): { store: BlobStore; read: Set<string> } {
  const read = new Set<string>();
  return {
    read,
    store: {
      ...store,
      get(key, range) {
        read.add(key);
        return store.get(key, range);
      },
    },
  };
}

/** Restores a point without faults, and throws what is wrong with it. */
async function prove(world: World, run: Run, store: BlobStore): Promise<void> {
  const sink = createMemorySink(run.disk);
  const input = { ...scopeOf(run.volume), manifestKey: manifestKeyOf(run) };
  try {
    await restoreVolume({ store, keys: world.keys.service }, input, sink);
  } catch (cause) {
    throw new Violation(`${run.id}, ${run.state}, cannot be restored`, { cause });
  }
  const difference = differenceOf(sink.image, run.disk.image);
  if (difference) throw new Violation(`${run.id}, ${run.state}, is not what was backed up: ${difference}`);
}

/** Ends what is going on: each process is left to finish, or dies now. */
async function endAll(world: World): Promise<void> {
  for (const process of world.scheduler.running()) {
    if (world.random.chance(0.5)) world.scheduler.kill(process);
    else await world.scheduler.run(process);
  }
  await world.scheduler.pass(LATE_MS);
}

/** Every run that is still open is tried again, which must do; or it is given up. */
async function settleRuns(world: World): Promise<void> {
  for (const run of world.runs.filter(({ state }) => state === 'open')) {
    if (world.random.chance(0.3)) {
      run.state = 'given up';
      continue;
    }
    await world.scheduler.run(attempt(world, run));
    world.check();
    if ((run.state as Run['state']) !== 'acknowledged') throw new Violation(`${run.id} does not come to its end`);
  }
}

/** Collects until nothing is left to do: condemned at first, deleted when its time has come, and then nothing more. */
async function collectAll(world: World, volume: Volume): Promise<void> {
  const clock = { now: world.now, sleep: async () => {} };
  const deps = { store: world.store, keys: world.keys.service, clock };
  const once = () => collectOnce(world, volume, { deps, transaction: async (_name, effect) => effect() });
  for (let round = 0; round < 3; round += 1) {
    await once();
    await world.scheduler.pass(4 * DAY_MS);
  }
  const { condemn, rootsToDelete, sweep } = await once();
  const [left] = [...rootsToDelete, ...[...condemn, ...sweep.delete, ...sweep.wait].map(({ key }) => key)];
  if (left !== undefined)
    throw new Violation(`collecting the garbage of ${volume.id} does not come to an end: ${left}`);
  if (!volume.ledger.isEmpty()) throw new Violation(`of the garbage of ${volume.id} something is left written down`);
}

/** Keys are wrapped for a new master key, and the older ones are destroyed: no point may depend on them any more. */
async function renewKeys(world: World): Promise<void> {
  const store = keyObjectsOf(world.store.objects, (call) => call.effect());
  const rewrap = world.keys.renew();
  for (const volume of [...world.volumes.map(scopeOf), { ...scopeOf(world.volumes[0] as Volume), volumeId: 'shared' }])
    await executeRewrap(store, await planRewrap(store, volume, rewrap), rewrap);
  world.keys.retireOlder();
}

/** What the store holds is what the kept points need, judged by what restoring all of them reads. */
function assertNothingUnneeded(world: World, volume: Volume, read: ReadonlySet<string>): void {
  const kept = new Set(runsOf(world, volume, 'acknowledged').map(manifestKeyOf));
  if (volume.base) kept.add(manifestKeyOf(volume.base));
  for (const key of world.store.objects.keys()) {
    if (!key.startsWith(`v1/${volume.id}/`)) continue;
    const kind = kindOf(key);
    const needed = kind === 'root' ? kept.has(key) : kind === 'bundle' || kind === 'index key' || read.has(key);
    if (!needed) throw new Violation(`${key} is left behind, and no point needs it`);
  }
}

/**
 * The end of a history: nothing goes wrong any more, and everything must come right. Points that were acknowledged are all there;
 * others are whole, or not there at all; what nobody needs can be removed, and is.
 */
export async function converge(world: World): Promise<void> {
  world.scheduler.heal();
  await endAll(world);
  world.check();
  await settleRuns(world);
  for (const run of world.runs.filter(({ state }) => state === 'given up'))
    if (world.store.objects.has(manifestKeyOf(run))) await prove(world, run, world.store);
  await world.scheduler.pass(30 * DAY_MS); // Longer than any clock has jumped ahead.
  await renewKeys(world);
  for (const volume of world.volumes) await collectAll(world, volume);
  const { store, read } = watchedStore(world.store);
  for (const volume of world.volumes) {
    for (const run of runsOf(world, volume, 'acknowledged')) await prove(world, run, store);
    if (volume.base && volume.base.state !== 'acknowledged') await prove(world, volume.base, store);
  }
  for (const volume of world.volumes) assertNothingUnneeded(world, volume, read);
  for (const volume of world.volumes) {
    for (const run of runsOf(world, volume, 'acknowledged', 'deleting')) run.state = 'deleted';
    volume.base = null;
  }
  for (const volume of world.volumes) await collectAll(world, volume);
  const left = [...world.store.objects.keys()].find((key) => !key.startsWith('v1/shared/'));
  if (left !== undefined) throw new Violation(`${left} is left of volumes that have no point any more`);
}
