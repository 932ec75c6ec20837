import { describe, expect, test } from 'vitest';
import { type Measured, measureVolume } from '../../scripts/memory/measure.ts';
import type { Step } from '../../scripts/memory/steps.ts';

/** A process with one lane, whatever the volume. A verification opens the blocks of a whole pack before anything else runs. */
const oneLaneMiB = (step: Step) => (step === 'verify' ? 380 : 300);
/** How far two runs of the same work differ: when the collector runs, and what the allocator keeps. */
const NOISE_MIB = 60;
/** Blocks of 4 KiB and less, with a young generation as the threads of lanes have it: else its garbage hides the rest. */
const SMALL_BLOCKS = { lanes: 0, nodeFlags: ['--max-semi-space-size=4'] };
const SMALL_BLOCKS_MIB = 330;

/** docs/operating.md, "Memory": of a process that copies blocks of 512 KiB in so many threads. */
const boundOf = (step: Step, threads: number) => (step === 'restore' ? 150 + threads * 140 : 150 + threads * 185);

const peakOf = (measured: readonly Measured[], step: Step) =>
  measured.find((one) => one.step === step)?.peakRssMiB ?? Number.POSITIVE_INFINITY;

/** What is above its bound. */
const above = (measured: readonly Measured[], boundMiB: (one: Measured) => number) =>
  measured.filter((one) => !(one.peakRssMiB <= boundMiB(one)));

describe('memory does not grow with the volume', () => {
  test('a sparse volume of 64 TiB takes what one of 1 GiB takes, in every step', async () => {
    const gib = await measureVolume('gib', { lanes: 0 });
    const sparse = await measureVolume('sparse', { lanes: 0 });
    expect(gib.map(({ step }) => step)).toEqual(['backup', 'incremental', 'restore', 'verify']);
    expect(above(sparse, ({ step }) => peakOf(gib, step) + NOISE_MIB)).toEqual([]);
    expect(above([...gib, ...sparse], ({ step }) => oneLaneMiB(step))).toEqual([]);
  });

  test('as many manifest pages as 64 TiB have are not kept', async () => {
    expect(above(await measureVolume('pages', SMALL_BLOCKS), () => SMALL_BLOCKS_MIB)).toEqual([]);
  });

  test('more blocks than the index holds are not kept', async () => {
    const measured = await measureVolume('index', { ...SMALL_BLOCKS, steps: ['backup', 'incremental'] });
    expect(above(measured, () => SMALL_BLOCKS_MIB)).toEqual([]);
  });
});

test('each thread takes what the formula says', async () => {
  const measured = await measureVolume('gib', { lanes: 2, steps: ['backup', 'incremental', 'restore'] });
  expect(above(measured, ({ step }) => boundOf(step, 2))).toEqual([]);
});
