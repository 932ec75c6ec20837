import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageSha256 } from '../../scripts/vectors/cases.ts';
import { repositories, writeRepository } from '../../scripts/vectors/repositories.ts';
import { runHere } from '../cli/here.ts';
import { installDebian, runToEnd } from '../clients/debian.ts';

const ROOT = join(import.meta.dirname, '../..');
const VECTORS = join(ROOT, 'test/vectors/v1');
const VOLUME = 'vol-0123456789abcdef0';
const read = (...args: string[]) => runToEnd('/usr/bin/python3', [join(ROOT, 'tools/read-vault.py'), ...args], {});
let dir = '';

beforeAll(async () => {
  await installDebian('python3', 'python3-cryptography', 'python3-zstandard');
  dir = mkdtempSync(join(tmpdir(), 'second-reader-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a reader in another language, written from the document', () => {
  test('agrees on every vector', async () => {
    const { status, stdout, stderr } = await read('vectors', '--repo', VECTORS);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { cases } = JSON.parse(readFileSync(join(VECTORS, 'vectors.json'), 'utf8'));
    expect(stdout).toContain(`cases: ${cases.length} of ${cases.length} agree`);
  });

  test('notices a vector that is wrong', async () => {
    const planted = JSON.parse(readFileSync(join(VECTORS, 'vectors.json'), 'utf8'));
    planted.derivations[0].commitment = '0'.repeat(64);
    const folder = join(dir, 'planted');
    mkdirSync(folder);
    writeFileSync(join(folder, 'vectors.json'), JSON.stringify({ ...planted, points: [], cases: [], blockIds: [] }));
    expect((await read('vectors', '--repo', folder)).status).toBe(1);
  });

  test('restores what is written today, by KEYS.json and by the tenant’s recovery key alone', async () => {
    for (const repository of await repositories()) {
      await writeRepository(dir, repository);
      const folder = join(dir, repository.name);
      for (const point of repository.points) {
        const out = join(dir, 'disk.img');
        const what = ['--repo', folder, '--volume', VOLUME, '--point', point.runId, '--out', out];
        const ways = [['--keys', join(folder, 'KEYS.json')]];
        if (repository.recoveryKeyPem) ways.push(['--recovery-key', join(folder, 'recovery-key.pem')]);
        for (const way of ways) {
          const { status, stdout, stderr } = await read('restore', ...what, ...way);
          expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
          expect(stdout).toContain(imageSha256(point));
        }
      }
    }
  });

  test('restores what was exported, with nothing of this program but the copy', async () => {
    const [repository] = await repositories();
    if (!repository?.recoveryKeyPem) throw new Error('no repository with a recovery key');
    await writeRepository(dir, { ...repository, name: 'exported' });
    const folder = join(dir, 'exported');
    const { code } = await runHere(['vault', 'export', '--dir', '.', '--to', 'copy'], folder);
    expect(code).toBe(0);
    for (const point of repository.points) {
      const out = join(folder, 'disk.img');
      const what = ['--repo', join(folder, 'copy'), '--volume', VOLUME, '--point', point.runId, '--out', out];
      const { status, stdout } = await read('restore', ...what, '--recovery-key', join(folder, 'recovery-key.pem'));
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining(imageSha256(point)) });
    }
  });

  test('says the class of what it refuses, and leaves no file', async () => {
    const [repository] = await repositories();
    if (!repository) throw new Error('no repository');
    await writeRepository(dir, { ...repository, name: 'damaged' });
    const folder = join(dir, 'damaged');
    const [pack, bytes] = [...repository.store.objects].find(([name]) => name.includes('/packs/run-a/'))!;
    mkdirSync(dirname(join(folder, 'objects', pack)), { recursive: true });
    writeFileSync(join(folder, 'objects', pack), Buffer.from(bytes).fill(0, 0, 1));
    const out = join(dir, 'damaged.img');
    const args = ['--repo', folder, '--keys', join(folder, 'KEYS.json'), '--volume', VOLUME, '--point', 'run-a'];
    const { status, stderr } = await read('restore', ...args, '--out', out);
    expect({ status, first: stderr.split('\n')[0] }).toEqual({ status: 1, first: 'object_corrupt' });
    expect(() => readFileSync(out)).toThrow(/ENOENT/);
  });
});
