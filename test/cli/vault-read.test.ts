import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { applyTo, openRepository } from '../vault/repository.ts';
import vectors from '../vectors/v1/vectors.json' with { type: 'json' };
import { runCommand } from './command.ts';
import { runHere } from './here.ts';
import { copyOf, sha256Of, writeToDisk } from './vault-fixture.ts';

const VOLUME = 'vol-0123456789abcdef0';
const OF_A = ['--volume', VOLUME, '--point', 'run-a'];

describe('vault restore', () => {
  test.each(vectors.points)(
    'writes $repository $point, byte for byte',
    async ({ repository, volume, point, sha256 }) => {
      const cwd = copyOf(repository);
      const args = ['--dir', '.', '--keys', 'KEYS.json', '--volume', volume, '--point', point, '--to', 'disk.img'];
      const { code, stderr } = await runHere(['vault', 'restore', ...args], cwd);
      expect({ code, stderr: stderr.replaceAll(/\d+ % .*\n/g, '') }).toEqual({ code: 0, stderr: '' });
      expect(sha256Of(join(cwd, 'disk.img'))).toBe(sha256);
      expect(existsSync(join(cwd, 'disk.img.partial'))).toBe(false);
      expect(existsSync(join(cwd, 'disk.img.partial.json'))).toBe(false);
    },
  );

  test('leaves holes where the volume has no blocks', async () => {
    const cwd = copyOf('two-nodes');
    const args = ['--dir', '.', '--keys', 'KEYS.json', ...OF_A, '--to', 'disk.img'];
    expect((await runHere(['vault', 'restore', ...args], cwd)).code).toBe(0);
    const { size, blocks } = statSync(join(cwd, 'disk.img'));
    expect(size).toBe(532_480 * 512);
    expect(blocks * 512).toBeLessThan(2 ** 20);
  });

  test.each(vectors.cases)('ends with the class of the vectors: $id', async (vector) => {
    const repository = openRepository(vector.repository);
    for (const change of vector.changes) applyTo(repository, change);
    const cwd = writeToDisk(repository);
    const args = ['--volume', vector.volume, '--point', vector.point, '--to', 'disk.img'];
    const { code, stdout } = await runHere(
      ['vault', 'restore', '--dir', '.', '--keys', 'KEYS.json', '--json', ...args],
      cwd,
    );
    if ('sha256' in vector) return expect(sha256Of(join(cwd, 'disk.img'))).toBe(vector.sha256);
    expect({ code, class: JSON.parse(stdout).error.code }).toEqual({
      code: vector.expect === 'not_found' ? 4 : 1,
      class: vector.expect,
    });
    expect(existsSync(join(cwd, 'disk.img'))).toBe(false);
  });

  test('needs nothing but a copy of the bucket and the tenant’s own recovery key', async () => {
    const cwd = copyOf('basic');
    rmSync(join(cwd, 'KEYS.json'));
    mkdirSync(join(cwd, 'bucket/t/ten_eu_0000000000000000000000000a'), { recursive: true });
    renameSync(join(cwd, 'objects/v1'), join(cwd, 'bucket/t/ten_eu_0000000000000000000000000a/v1'));
    const args = ['--dir', 'bucket', '--recovery-key', 'recovery-key.pem', ...OF_A, '--to', 'disk.img'];
    const { code, stdout } = await runCommand(['vault', 'restore', ...args], { cwd });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('restored  disk.img') });
    expect(sha256Of(join(cwd, 'disk.img'))).toBe(vectors.points[0]?.sha256);
  });

  test('never overwrites a file unless it is told to', async () => {
    const cwd = copyOf('basic');
    writeFileSync(join(cwd, 'disk.img'), 'precious');
    const args = ['vault', 'restore', '--dir', '.', '--keys', 'KEYS.json', ...OF_A, '--to', 'disk.img'];
    const refused = await runHere(args, cwd);
    expect({ code: refused.code, stderr: refused.stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('exists'),
    });
    expect(readFileSync(join(cwd, 'disk.img'), 'utf8')).toBe('precious');
    expect((await runHere([...args, '--force'], cwd)).code).toBe(0);
    expect(sha256Of(join(cwd, 'disk.img'))).toBe(vectors.points[0]?.sha256);
  });
});

describe('the recovery key', () => {
  const encrypted = (cwd: string) => {
    const key = createPrivateKey(readFileSync(join(cwd, 'recovery-key.pem')));
    const how = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' } as const;
    writeFileSync(join(cwd, 'locked.pem'), key.export(how));
  };
  const ls = ['vault', 'ls', '--dir', '.', '--recovery-key', 'locked.pem'];

  test('may have a passphrase, from a file or from the person who is asked', async () => {
    const cwd = copyOf('basic');
    encrypted(cwd);
    writeFileSync(join(cwd, 'passphrase'), 'open sesame\n');
    expect((await runHere([...ls, '--passphrase-file', 'passphrase'], cwd)).code).toBe(0);
    expect((await runHere(ls, cwd, { askSecret: async () => 'open sesame' })).code).toBe(0);
    const wrong = await runHere(ls, cwd, { askSecret: async () => 'sesame' });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('its passphrase is another') });
    const nobody = await runHere(ls, cwd);
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('--passphrase-file') });
  });

  test('of somebody else is named as the wrong key', async () => {
    const cwd = copyOf('basic');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3_072 });
    writeFileSync(join(cwd, 'locked.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const { code, stdout } = await runHere(ls, cwd);
    expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringMatching(/run-a .* wrong_key/) });
  });
});

describe('vault ls', () => {
  test('lists every point with what its root says', async () => {
    const cwd = copyOf('chain');
    const { code, stdout } = await runHere(['vault', 'ls', '--dir', '.', '--keys', 'KEYS.json', '--json'], cwd);
    const { items } = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(items.map((item: { runId: string }) => item.runId)).toEqual(['run-a', 'run-c', 'run-e']);
    expect(items[0]).toMatchObject({ volumeId: VOLUME, kind: 'full', volumeBytes: 2_048 * 512, problem: null });
    expect(JSON.stringify(items)).not.toContain('idKey');
  });

  test('one point that cannot be read hides no other, and is not passed over', async () => {
    const cwd = copyOf('chain');
    const root = join(cwd, 'objects/v1', VOLUME, 'roots/run-c');
    writeFileSync(root, readFileSync(root).fill(0, 0, 4));
    const { code, stdout } = await runHere(['vault', 'ls', '--dir', '.', '--keys', 'KEYS.json'], cwd);
    expect(code).toBe(1);
    expect(stdout).toMatch(/run-a .*full/);
    expect(stdout).toMatch(/run-c .*object_corrupt/);
  });

  test('names the tenants of a copy that holds several', async () => {
    const cwd = copyOf('basic');
    for (const tenant of ['ten_eu_a', 'ten_eu_b'])
      cpSync(join(cwd, 'objects/v1'), join(cwd, `t/${tenant}/v1`), { recursive: true });
    rmSync(join(cwd, 'objects'), { recursive: true });
    const several = await runHere(['vault', 'ls', '--dir', '.', '--keys', 'KEYS.json'], cwd);
    expect(several).toMatchObject({ code: 2, stderr: expect.stringContaining('ten_eu_a, ten_eu_b') });
  });
});
