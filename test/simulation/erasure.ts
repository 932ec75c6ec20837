import { isFault } from '../../src/core/faults.ts';
import { createMemorySink } from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeShred, planShred } from '../../src/vault/shred.ts';
import { keyObjectsOf } from './key-objects.ts';
import { manifestKeyOf, type Run, scopeOf, TENANT, Violation, type Volume, type World } from './world.ts';

/** Nothing of the point comes out, with everything that is left: the store and an open key service. */
async function assertUnreadable(world: World, run: Run): Promise<void> {
  const sink = createMemorySink(run.disk);
  const input = { ...scopeOf(run.volume), manifestKey: manifestKeyOf(run) };
  const failure = await restoreVolume({ store: world.store, keys: world.keys.service }, input, sink).then(
    () => null,
    (error: unknown) => error,
  );
  if (!isFault(failure, 'object_missing'))
    throw new Violation(`${run.id} was erased, and its restore ended with ${String(failure)}`);
  if (sink.image.size > 0) throw new Violation(`${run.id} was erased, and a block of it was restored`);
}

/** The volume's keys are destroyed. No backup runs meanwhile: the service sees to that. Its points are gone at once. */
export async function erase(world: World, volume: Volume): Promise<null> {
  const store = keyObjectsOf(world.store.objects, (call) => call.effect());
  const plan = await planShred(store, { tenantId: TENANT, volumeIds: [volume.id] });
  await executeShred(store, plan, { now: world.now, sleep: async () => {} });
  const runs = world.runs.filter((run) => run.volume === volume);
  for (const run of runs)
    if (run.state === 'acknowledged' || run.state === 'deleting') {
      await assertUnreadable(world, run);
      world.count('sometimes', 'points erased');
    }
  for (const run of runs) run.state = 'deleted';
  volume.base = null;
  return null;
}
