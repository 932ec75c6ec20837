import { expect, test } from 'vitest';
import { type Result, ratiosOf } from '../../scripts/bench/ratios.ts';

const measure = { mbPerSec: 600, blocksPerSec: 1_144, cpuSecPerGiB: 3, peakRssMiB: 400 };
const peer = { version: '0.18.1', backup: 200, incremental: 800, restore: 400, storedBytes: 1_000 };
const result: Result = {
  backup: measure,
  backupTls: { ...measure, cpuSecPerGiB: 5 },
  incremental: { ...measure, mbPerSec: 8_000 },
  restore: measure,
  verify: null,
  floor: { mbPerSec: 1_000, cpuSecPerGiB: 2 },
  storedBytes: 1_101,
  puts: 9,
  peers: { restic: peer, borg: { ...peer, backup: 601, incremental: 799 } },
};

test('each ratio is met exactly when it keeps to its goal', () => {
  expect(ratiosOf(result).map(({ value, met }) => [value, met])).toEqual([
    [1.5, true],
    [2.5, false],
    [3, true],
    [600 / 601, false],
    [10, true],
    [1.5, true],
    [1.101, false],
  ]);
});

test('what was not measured is neither met nor missed', () => {
  const ratios = ratiosOf({ ...result, backup: null, peers: { restic: null, borg: null } });
  expect(ratios.filter(({ met }) => met === null).map(({ name }) => name)).toEqual([
    'backup CPU / floor CPU, HTTP',
    'backup speed / restic',
    'backup speed / borg',
    '2 % incremental speed / the better peer',
    'restore speed / restic',
    'stored bytes / restic',
  ]);
});
