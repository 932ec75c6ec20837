import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { regionOf } from '../../regions/index.ts';
import { openImage, runDemo } from './demo.ts';
import { EXIT, Exit } from './exit-codes.ts';
import { serveDemo } from './start.ts';
import { checkFreeSpace, lockStateDir } from './state-dir.ts';
import { startSystem } from './system.ts';

const started = performance.now();
/** Progress goes to standard error: standard output of `npm run demo` ends with one JSON object. */
const say = (text: string) =>
  void process.stderr.write(`[${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s] ${text}\n`);

/** A signal that Ctrl-C (or SIGTERM) aborts; a second one ends the program at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller.signal;
}

async function start(dir: string): Promise<number> {
  const unlock = lockStateDir(dir);
  const signal = interruption();
  try {
    checkFreeSpace(dir);
    const system = await startSystem({ dir, say, signal });
    try {
      say(`ready: ${system.routerUrl}`);
      await serveDemo(system, dir, signal, say);
    } finally {
      say('stopping');
      await system.stop();
    }
    return EXIT.ok;
  } finally {
    unlock();
  }
}

async function demo(
  dir: string,
  options: { image: string | null; cell: string | null; fault: boolean },
): Promise<number> {
  if (options.cell !== null && !regionOf(options.cell)) throw new Exit(EXIT.usage, `There is no cell ${options.cell}.`);
  const image = options.image === null ? null : openImage(options.image);
  const own = join(dir, `run-${process.pid}`);
  const unlock = lockStateDir(own);
  const signal = interruption();
  let ok = false;
  try {
    checkFreeSpace(own, 6 * 2 ** 30 + 4 * (image?.bytes ?? 0));
    const system = await startSystem({ dir: own, say, signal });
    const interrupted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Exit(130, 'Interrupted.')), { once: true });
    });
    try {
      const result = await Promise.race([runDemo(system, { ...options, image, say }), interrupted]);
      for (const error of result.errors ?? []) say(error);
      process.stdout.write(`${JSON.stringify(result)}\n`);
      ok = result.ok;
      return ok ? EXIT.ok : EXIT.failed;
    } finally {
      await system.stop();
    }
  } finally {
    unlock();
    // What went wrong can be read in the logs of a run that failed; its disks are of no use to anyone.
    for (const part of ok || signal.aborted ? ['.'] : ['sandbox', 'postgres'])
      rmSync(join(own, part), { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dir: { type: 'string', default: '.domicile' },
      image: { type: 'string' },
      cell: { type: 'string' },
      'plant-fault': { type: 'boolean', default: false },
    },
  });
  const dir = resolve(values.dir);
  if (positionals[0] === 'start') return start(dir);
  if (positionals[0] !== 'demo')
    throw new Exit(EXIT.usage, 'usage: main.ts start | demo [--image FILE] [--cell CELL] [--plant-fault]');
  return demo(dir, {
    image: values.image ?? null,
    cell: values.cell ?? (values.image ? 'eu' : null),
    fault: values['plant-fault'],
  });
}

try {
  // Whatever a customer was still doing when it was interrupted does not hold the program.
  process.exit(await main());
} catch (error) {
  const interrupted = error instanceof DOMException && error.name === 'AbortError';
  if (interrupted) process.exit(130);
  say(error instanceof Error ? error.message : 'failed');
  process.exit(error instanceof Exit ? error.code : EXIT.failed);
}
