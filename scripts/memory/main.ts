import { type Measured, measureVolume } from './measure.ts';
import { STEPS } from './steps.ts';
import { VOLUMES, type VolumeName } from './volumes.ts';

/** `npm run memory [-- --json]`: how much memory each step takes at most, with each volume and number of lanes. */
const PLAN: readonly [VolumeName, number][] = [
  ['gib', 1],
  ['sparse', 1],
  ['pages', 1],
  ['index', 1],
  ['gib', 0],
  ['gib', 2],
  ['gib', 4],
];

function print(name: VolumeName, lanes: number, measured: readonly Measured[]): void {
  const cells = measured.map(({ peakRssMiB }) => String(peakRssMiB).padStart(12)).join('');
  const where = lanes === 0 ? 'main thread' : `${lanes} threads`;
  process.stdout.write(`${name.padEnd(10)}${where.padEnd(14)}${cells}   ${VOLUMES[name].what}\n`);
}

const all: Measured[] = [];
const isJson = process.argv.includes('--json');
if (!isJson) process.stdout.write(`${'MiB of RSS'.padEnd(24)}${STEPS.map((step) => step.padStart(12)).join('')}\n`);
for (const [name, lanes] of PLAN) {
  const measured = await measureVolume(name, { lanes });
  all.push(...measured);
  if (!isJson) print(name, lanes, measured);
}
if (isJson) process.stdout.write(`${JSON.stringify(all)}\n`);
