import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openImage } from '../../src/local/demo.ts';
import { choosePorts } from '../../src/local/ports.ts';
import { openSecrets } from '../../src/local/secrets.ts';
import { checkFreeSpace, lockStateDir } from '../../src/local/state-dir.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'state-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a second start exits 73 and names the process that runs', () => {
  const unlock = lockStateDir(dir);
  expect(() => lockStateDir(dir)).toThrow(
    expect.objectContaining({ code: 73, message: expect.stringContaining(String(process.pid)) }),
  );
  unlock();
  lockStateDir(dir)();
});

test('a lock left behind by a process that is gone does not hold', () => {
  writeFileSync(join(dir, 'lock'), '4194304\n'); // above the largest pid there can be
  lockStateDir(dir)();
});

test('too little disk is said before anything starts', () => {
  expect(() => checkFreeSpace(dir, Number.MAX_SAFE_INTEGER)).toThrow(
    expect.objectContaining({ code: 69, message: expect.stringContaining('GiB needed') }),
  );
  checkFreeSpace(dir, 1);
});

test('ports are kept while they are free, and replaced when they are taken', async () => {
  const first = await choosePorts(dir, ['a', 'b']);
  expect(await choosePorts(dir, ['a', 'b'])).toEqual(first);
  const taken = createServer();
  await new Promise<void>((done) => taken.listen(first.a, '127.0.0.1', done));
  const second = await choosePorts(dir, ['a', 'b']);
  await new Promise((done) => taken.close(done));
  expect(second.a).not.toBe(first.a);
  expect(second.b).toBe(first.b);
});

test('secrets are made once, each in a file that only its owner reads', () => {
  const first = openSecrets(dir, ['eu']);
  const again = openSecrets(dir, ['eu']);
  expect(again).toEqual(first);
  expect(statSync(first.cells['eu']?.operatorKeyFile ?? '').mode & 0o777).toBe(0o600);
  expect(statSync(first.routerSigningKeyFile).mode & 0o777).toBe(0o600);
});

test('an image that is not there, or empty, is refused before anything starts', () => {
  writeFileSync(join(dir, 'empty.img'), '');
  for (const name of ['none.img', 'empty.img'])
    expect(() => openImage(join(dir, name))).toThrow(expect.objectContaining({ code: 64 }));
});
