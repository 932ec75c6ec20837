import { executeCollection } from '../../src/vault/gc/execute.ts';
import { type CollectionPlan, planCollection } from '../../src/vault/gc/plan.ts';
import type { VolumeState } from '../../src/vault/gc/state.ts';
import type { BlobStore, KeyOpener } from '../../src/vault/ports.ts';
import type { Ledger } from './ledger.ts';
import type { Process } from './scheduler.ts';
import { manifestKeyOf, type Run, scopeOf, type Volume, type World } from './world.ts';

/** A transaction of the service's database. */
type Transaction = <T>(name: string, effect: () => T | Promise<T>) => Promise<T>;
type Parts = {
  deps: { store: BlobStore; keys: KeyOpener; clock: { now(): Date; sleep(): Promise<void> } };
  transaction: Transaction;
  signal?: AbortSignal;
};

const ofVolume = (world: World, volume: Volume, ...states: readonly Run['state'][]) =>
  world.runs.filter((run) => run.volume === volume && states.includes(run.state));

/** The roots of a volume that stay: of kept points, of the next backup's base, and of what open runs build on. */
function keptRoots(world: World, volume: Volume): string[] {
  const kept = [...ofVolume(world, volume, 'acknowledged'), ...(volume.base ? [volume.base] : [])];
  const bases = ofVolume(world, volume, 'open').flatMap(({ base }) => (base ? base.manifestKey : []));
  return [...new Set([...kept.map(manifestKeyOf), ...bases])];
}

/** What the service knows of a volume, at one instant. */
function stateOf(world: World, volume: Volume, known: ReturnType<Ledger['claim']>['state']): VolumeState {
  const kept = world.volumes
    .filter((other) => other === volume || world.swarm.sharing)
    .map((other) => ({ volumeId: other.id, manifestKeys: keptRoots(world, other) }));
  const stays = new Set(keptRoots(world, volume));
  return {
    ...known,
    kept,
    deletedRoots: ofVolume(world, volume, 'deleting', 'deleted')
      .map(manifestKeyOf)
      .filter((key) => !stays.has(key)),
    openRunIds: world.runs.filter(({ state }) => state === 'open').map(({ id }) => id),
    longestJobMs: 0,
    packsAllowed: () => Number.POSITIVE_INFINITY,
  };
}

/** One collection of a volume's garbage, as the service does it. */
export async function collectOnce(world: World, volume: Volume, parts: Parts): Promise<CollectionPlan> {
  const { deps, transaction, signal } = parts;
  const fenceNow = () => ({
    since: world.now().toISOString(),
    openRunIds: world.runs.filter(({ state }) => state === 'open').map(({ id }) => id),
  });
  let claimed: ReturnType<Ledger['claim']> | null = null;
  const readState = () =>
    transaction('read state', () => {
      claimed = volume.ledger.claim(fenceNow);
      return stateOf(world, volume, claimed.state);
    });
  const plan = await planCollection(deps, scopeOf(volume), readState, { signal });
  const ledger = (claimed as ReturnType<Ledger['claim']> | null)?.ledger;
  if (!ledger) throw new Error('the state was never read');
  await executeCollection(plan, deps.store, {
    record: (made) => transaction('record', () => ledger.record(made)),
    fence: () => transaction('fence', () => ledger.fence()),
    forget: (keys) => transaction('forget', () => ledger.forget(keys)),
  });
  return plan;
}

/** Two collections may overlap, and what one has deleted the other has listed. */
const OVERTAKEN = ['conflict', 'object_missing'];

export function collect(world: World, volume: Volume): Process {
  const work = async (process: Process) => {
    const { deps, transaction } = world.portsOf(process);
    const plan = await collectOnce(world, volume, { deps, transaction, signal: process.controller.signal });
    if (plan.condemn.length > 0) world.count('sometimes', 'condemned');
    if (plan.sweep.delete.length > 0) world.count('sometimes', 'condemned objects deleted');
    if (plan.sweep.release.length > 0) world.count('sometimes', 'condemned objects released');
    for (const { why } of plan.sweep.wait) world.count('sometimes', `condemned objects wait, ${why}`);
  };
  return world.start({ kind: 'collection', volume }, work, (code) => OVERTAKEN.includes(code));
}
