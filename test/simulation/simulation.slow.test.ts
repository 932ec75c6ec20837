import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
// Seeds that were all seen before; more are played by `npm run simulate`.
const HISTORIES = 12_000;

test('twelve thousand histories lose and alter nothing, and meet every operation, fault and crash point', {
  timeout: 1_800_000,
}, async () => {
  const args = ['scripts/simulate.ts', '--histories', String(HISTORIES)];
  const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 24 });
  process.stdout.write(stdout);
  expect(stdout).toContain(`${HISTORIES} histories from seed 0`);
  expect(stdout).not.toContain('never met');
});
