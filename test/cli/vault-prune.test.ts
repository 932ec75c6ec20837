import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { runHere } from './here.ts';
import { copyOf } from './vault-fixture.ts';

const VOLUME = 'vol-0123456789abcdef0';
const OF_ALL = ['vault', 'prune', '--dir', '.', '--keys', 'KEYS.json', '--volume', VOLUME, '--dry-run'];
const filesOf = (cwd: string) => readdirSync(join(cwd, 'objects'), { recursive: true });

test('vault prune shows what deleting a point would free, and deletes nothing', async () => {
  const cwd = copyOf('chain');
  const before = filesOf(cwd);
  const all = JSON.parse((await runHere([...OF_ALL, '--json'], cwd)).stdout);
  expect(all).toMatchObject({ volumeId: VOLUME, rootsToDelete: [], condemn: [] });
  expect(all.needed).toEqual(all.stored);
  const one = JSON.parse((await runHere([...OF_ALL, '--without', 'run-a', '--json'], cwd)).stdout);
  expect(one.rootsToDelete).toEqual([`v1/${VOLUME}/roots/run-a`]);
  expect(one.condemn.length).toBeGreaterThan(0);
  expect(one.condemn.every(({ key }: { key: string }) => key.includes('/run-a/'))).toBe(true);
  expect(one.stored.objects - one.needed.objects).toBe(one.condemn.length + 1);
  const { stdout } = await runHere([...OF_ALL, '--without', 'run-a'], cwd);
  expect(stdout).toContain(one.condemn[0].key);
  expect(filesOf(cwd)).toEqual(before);
});

test('vault prune refuses when a kept point misses something, and to do more than show', async () => {
  const cwd = copyOf('chain');
  const pack = filesOf(cwd).find((path) => /packs\/run-e\/.*-/.test(String(path)));
  rmSync(join(cwd, 'objects', String(pack)));
  expect((await runHere(OF_ALL, cwd)).code).toBe(1);
  const { code, stderr } = await runHere(OF_ALL.slice(0, -1), cwd);
  expect(code).toBe(EXIT.usage);
  expect(stderr).toContain('--dry-run');
});
