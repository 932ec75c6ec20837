import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import vectors from '../vectors/v1/vectors.json' with { type: 'json' };
import { runHere } from './here.ts';
import { copyOf, sha256Of } from './vault-fixture.ts';

const VOLUME = 'vol-0123456789abcdef0';
const filesBelow = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .toSorted((a, b) => (a < b ? -1 : 1));

function opened(repository: string) {
  const cwd = copyOf(repository);
  const vault = async (...args: string[]) => {
    const { code, stdout, stderr } = await runHere(['vault', ...args, '--json'], cwd);
    return { code, stderr, document: stdout === '' ? null : JSON.parse(stdout) };
  };
  return { cwd, vault };
}

describe('vault export', () => {
  test('copies a vault to a folder without any key, and again copies nothing', async () => {
    const { cwd, vault } = opened('chain');
    const { code, document } = await vault('export', '--dir', '.', '--to', 'copy');
    expect({ code, document }).toMatchObject({ code: 0, document: { points: 3, damage: [] } });
    expect(filesBelow(join(cwd, 'copy'))).toEqual(filesBelow(join(cwd, 'objects')));
    const again = await vault('export', '--dir', '.', '--to', 'copy');
    expect(again.document).toMatchObject({ copied: { objects: 0 }, there: document.copied, points: 3 });
    for (const { point, sha256 } of vectors.points.filter(({ repository }) => repository === 'chain')) {
      const args = ['--keys', 'KEYS.json', '--volume', VOLUME, '--point', point, '--to', `${point}.img`];
      expect((await vault('restore', '--dir', 'copy', ...args)).code).toBe(0);
      expect(sha256Of(join(cwd, `${point}.img`))).toBe(sha256);
    }
  });

  test('of one point takes its keys, and copies what it needs', async () => {
    const { cwd, vault } = opened('basic');
    const part = ['--volume', VOLUME, '--point', 'run-a', '--recovery-key', 'recovery-key.pem'];
    expect(await vault('export', '--dir', '.', '--to', 'copy', ...part)).toMatchObject({
      code: 0,
      document: { points: 1 },
    });
    expect(filesBelow(join(cwd, 'copy')).filter((name) => name.includes('run-b'))).toEqual([]);
    const { document } = await vault('verify', '--dir', 'copy', '--recovery-key', 'recovery-key.pem');
    expect(document.volumes).toMatchObject([{ points: 1, complete: true, damage: [] }]);
  });

  test('says beforehand how much it will copy, and writes nothing then', async () => {
    const { cwd, vault } = opened('basic');
    const { document: plan } = await vault('export', '--dir', '.', '--to', 'copy', '--dry-run');
    expect(readdirSync(cwd)).not.toContain('copy');
    const { document } = await vault('export', '--dir', '.', '--to', 'copy');
    expect(document.copied).toEqual(plan.copy);
  });

  test('names what is damaged, and leaves no point that may lack it', async () => {
    const { cwd, vault } = opened('basic');
    const pack = filesBelow(join(cwd, 'objects')).find((name) => name.includes('/packs/run-a/')) ?? '';
    writeFileSync(join(cwd, 'objects', pack), readFileSync(join(cwd, 'objects', pack)).fill(7, 0, 1));
    const { code, stderr, document } = await vault('export', '--dir', '.', '--to', 'copy');
    expect({ code, document }).toMatchObject({
      code: 1,
      document: { points: 0, damage: [{ class: 'object_corrupt', object: pack }] },
    });
    expect(stderr).toBe('');
    expect((await vault('ls', '--dir', 'copy', '--keys', 'KEYS.json')).document.items).toEqual([]);
  });

  test('wants one place to copy to', async () => {
    const { vault } = opened('basic');
    expect((await vault('export', '--dir', '.')).code).toBe(2);
    expect((await vault('export', '--dir', '.', '--to', 'copy', '--to-bucket', 'b')).code).toBe(2);
    expect((await vault('export', '--dir', '.', '--to-bucket', 'b')).document.error.next).toContain('--to-prefix');
  });
});
