import type { Random } from './random.ts';
import type { FaultRates } from './scheduler.ts';

/** What one history is like. Each has its own: some meet one fault often and no other, some all of them seldom. */
export type Swarm = {
  operations: number;
  volumes: number;
  rates: FaultRates;
  /** How often an operation is begun and left to itself, while the next ones follow. */
  background: number;
  /** Processes at once. */
  processes: number;
  packBytes: number;
  changesPerDedupPage: number;
  checkpointEvery: number;
  /** Two workers may be given the same state of their random numbers, as copies of one machine are. */
  clonedRandom: number;
  /** Volumes name blocks of each other. */
  sharing: boolean;
  /** Weight of each operation, by its name. */
  weightOf: (operation: string) => number;
};

export const OPERATIONS_MIN = 30;

/** Draws what a history is like. */
export function drawSwarm(random: Random): Swarm {
  const rate = (most: number) => (random.chance(0.4) ? 0 : random.unit() * most);
  const weights = new Map<string, number>();
  return {
    operations: random.between(OPERATIONS_MIN, OPERATIONS_MIN + 10),
    volumes: random.between(1, 2),
    rates: {
      before: rate(0.01),
      after: rate(0.01),
      hang: rate(0.006),
      torn: rate(0.01),
      slow: rate(0.2),
      twice: rate(0.3),
      crash: rate(0.015),
    },
    background: random.chance(0.3) ? 0 : random.unit() * 0.6,
    processes: random.between(1, 4),
    packBytes: random.pick([200, 800, 4_000]),
    changesPerDedupPage: random.pick([1, 4, 1_000]),
    checkpointEvery: random.pick([3, 6, 1_000]),
    clonedRandom: random.chance(0.5) ? 0 : 0.5,
    sharing: random.chance(0.3),
    weightOf(operation) {
      const weight = weights.get(operation) ?? random.pick([1, 1, 2, 4]);
      weights.set(operation, weight);
      return weight;
    },
  };
}
