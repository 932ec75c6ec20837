import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { addCounts, type Counts } from '../test/simulation/counts.ts';
import { neverMet } from '../test/simulation/expected.ts';
import { playHistories, playHistory } from '../test/simulation/history.ts';

/**
 * Plays many histories on all cores, or one again: `npm run simulate -- --histories 20000 [--from 0]`, `-- --seed 51 [--trace]`.
 * Ends with how often each operation, fault and crash point happened, and fails where one never did.
 */
type Share = { from: number; step: number; end: number };
/** Histories between two reports of a thread. */
const BATCH = 50;
/** So many meet everything: fewer are a trial, and what they never met is only said. */
const ENOUGH = 10_000;

async function playShare({ from, step, end }: Share): Promise<void> {
  for (let seed = from; seed < end; seed += step * BATCH) {
    const histories = Math.min(BATCH, end - seed);
    parentPort?.postMessage([...(await playHistories(seed, histories))]);
  }
}

function runThread(share: Share, onCounts: (counts: [string, number][]) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL(import.meta.url), { workerData: share });
    thread.on('message', onCounts);
    thread.on('error', reject);
    thread.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`A thread ended with ${code}.`))));
  });
}

async function playMany(from: number, histories: number): Promise<void> {
  const counts: Counts = new Map();
  const threads = availableParallelism();
  const began = performance.now();
  const shares = Array.from({ length: threads }, (_, n): Share => {
    return { from: from + n * BATCH, step: threads, end: from + histories };
  });
  await Promise.all(shares.map((share) => runThread(share, (more) => addCounts(counts, more))));
  const lines = [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, times]) => `${String(times).padStart(9)}  ${name}`);
  const never = neverMet(counts);
  const seconds = (performance.now() - began) / 1_000;
  process.stdout.write(`${lines.join('\n')}\n`);
  process.stdout.write(
    `${histories} histories from seed ${from} in ${seconds.toFixed(0)} s: nothing lost, nothing altered\n`,
  );
  if (never.length === 0) return;
  process.stdout.write(`never met: ${never.join(' | ')}\n`);
  if (histories >= ENOUGH) process.exitCode = 1;
}

async function playAgain(seed: number, trace: boolean): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const { hash, operations, steps } = await playHistory(seed, trace ? say : undefined);
  say(`history ${seed}: ${operations} operations, ${steps} steps, all is well, trace ${hash}`);
}

if (!isMainThread) await playShare(workerData as Share);
else {
  const { values } = parseArgs({
    options: {
      histories: { type: 'string', default: '20000' },
      from: { type: 'string', default: '0' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  });
  if (values.seed === undefined) await playMany(Number(values.from), Number(values.histories));
  else await playAgain(Number(values.seed), values.trace);
}
