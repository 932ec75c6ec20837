import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Order, type Outcome, type Step, STEPS } from './steps.ts';
import type { VolumeName } from './volumes.ts';

const run = promisify(execFile);
const STEP = fileURLToPath(new URL('step.ts', import.meta.url));

export type Measured = Outcome & { volume: VolumeName; step: Step; lanes: number };

export type Options = { lanes: number; steps?: readonly Step[]; nodeFlags?: readonly string[] };

async function measureStep(order: Order, nodeFlags: readonly string[]): Promise<Measured> {
  const { stdout } = await run(process.execPath, [...nodeFlags, STEP, JSON.stringify(order)]);
  const { dir: _, ...what } = order;
  return { ...what, ...(JSON.parse(stdout) as Outcome) };
}

/** Takes all steps with a volume, each in a process of its own, and says how much memory each had at most. */
export async function measureVolume(volume: VolumeName, options: Options): Promise<Measured[]> {
  const { lanes, steps = STEPS, nodeFlags = [] } = options;
  const dir = mkdtempSync(join(tmpdir(), 'memory-'));
  const measured: Measured[] = [];
  try {
    for (const step of steps) measured.push(await measureStep({ step, volume, dir, lanes }, nodeFlags));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return measured;
}
