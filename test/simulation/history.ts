import { addCounts, type Counts } from './counts.ts';
import { converge } from './convergence.ts';
import { OPERATIONS } from './operations.ts';
import { createWorld, type World } from './world.ts';

export type History = {
  seed: number;
  /** SHA-256 over all that happened: equal for equal seeds. */
  hash: string;
  operations: number;
  /** Calls of the engine to the world. */
  steps: number;
  counts: Counts;
};

/** One operation: to its end, or as far as it comes before the next one begins. */
async function next(world: World): Promise<void> {
  const { random, swarm, scheduler } = world;
  const possible = OPERATIONS.filter((operation) => operation.possible(world));
  const operation = random.weighted(possible, ({ name }) => swarm.weightOf(name));
  world.trace(`operation: ${operation.name}`);
  world.count('operation', operation.name);
  const process = await operation.begin(world);
  if (process) await scheduler.run(process, random.chance(swarm.background) ? random.below(60) : undefined);
  world.check();
}

/**
 * Plays the history of a seed, and holds it to the reference model.
 *
 * @param trace hears of everything that happens, in order
 * @throws what must never be: a point that was lost or altered, wrong bytes, a nonce that came twice, an error that says nothing
 */
export async function playHistory(seed: number, trace?: (line: string) => void): Promise<History> {
  const world = createWorld(seed, trace ? { trace } : {});
  for (let n = 0; n < world.swarm.operations; n += 1) await next(world);
  await converge(world);
  return { seed, hash: world.hash(), operations: world.swarm.operations, steps: world.steps(), counts: world.counts };
}

/** Plays the histories of many seeds. Throws at the first that goes wrong, saying how to play it again. */
export async function playHistories(from: number, histories: number): Promise<Counts> {
  const counts: Counts = new Map();
  for (let seed = from; seed < from + histories; seed += 1) {
    try {
      addCounts(counts, (await playHistory(seed)).counts);
    } catch (cause) {
      throw new Error(`History ${seed} went wrong. Again: npm run simulate -- --seed ${seed}`, { cause });
    }
  }
  return counts;
}
