import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { backUp, type Repository, SCOPE, text, writeRepository } from '../../scripts/vectors/repositories.ts';
import { newFolder } from './command.ts';
import { runHere } from './here.ts';

let repository: Repository;
beforeAll(async () => {
  const image = (runs: number) => new Map(Array.from({ length: 1_000 * runs }, (_, n) => [n, text(n)] as const));
  repository = await backUp(
    'vault',
    [1, 2, 3].map((runs) => ({ image: image(runs), blocks: 4_096 })),
    false,
  );
});

async function onDisk() {
  const cwd = newFolder();
  await writeRepository(cwd, repository);
  const object = (part: string) => {
    const [name = ''] = [...repository.store.objects.keys()].filter((key) => key.includes(part));
    return { name, path: join(cwd, 'vault/objects', name) };
  };
  const verify = async (...more: string[]) => {
    const args = ['vault', 'verify', '--dir', 'vault', '--keys', 'vault/KEYS.json', '--json'];
    const { code, stdout, stderr } = await runHere([...args, ...more], cwd);
    return { code, stderr, report: stdout.startsWith('{') ? JSON.parse(stdout) : null };
  };
  return { cwd, object, verify };
}

describe('vault verify', () => {
  test('reads every byte of a sound vault, and says so', async () => {
    const { verify } = await onDisk();
    const { code, report } = await verify();
    const needed = [...repository.store.objects].filter(([name]) => /\/(packs|index)\//.test(name));
    expect(code).toBe(0);
    expect(report.volumes).toEqual([
      {
        volumeId: SCOPE.volumeId,
        points: 3,
        objects: needed.length,
        blocks: 3_000,
        bytes: needed.reduce((sum, [, bytes]) => sum + bytes.length, 0),
        complete: true,
        damage: [],
      },
    ]);
  });

  test('names what is damaged, by its class, and the points and blocks that it takes', async () => {
    const { object, verify } = await onDisk();
    const pack = object('/packs/run-b/');
    const bytes = readFileSync(pack.path);
    bytes[100]! ^= 1;
    writeFileSync(pack.path, bytes);
    const { code, report } = await verify();
    expect(code).toBe(1);
    const [{ damage }] = report.volumes;
    expect(damage).toMatchObject([{ class: 'object_corrupt', object: pack.name }]);
    expect(damage[0].points.map(({ manifestKey }: { manifestKey: string }) => manifestKey.split('/').at(-1))).toEqual([
      'run-b',
      'run-c',
    ]);
    expect((await verify('--volume', SCOPE.volumeId, '--point', 'run-a')).code).toBe(0);
  });

  test('in threads finds the same', async () => {
    const { object, verify } = await onDisk();
    const pack = object('/packs/run-b/');
    writeFileSync(pack.path, readFileSync(pack.path).fill(7, 100, 101));
    const [one, two] = [await verify('--threads', '1'), await verify('--threads', '2')];
    expect(one.report.volumes).toMatchObject([{ damage: [{ object: pack.name }] }]);
    expect(two).toEqual(one);
  });

  test('by existence finds what is gone without reading a pack', async () => {
    const { object, verify } = await onDisk();
    const pack = object('/packs/run-c/');
    rmSync(pack.path);
    const { code, report } = await verify('--existence');
    expect(code).toBe(1);
    expect(report.volumes).toMatchObject([
      { bytes: 0, complete: false, damage: [{ class: 'object_missing', object: pack.name }] },
    ]);
  });

  test('goes on from where it stood, and forgets nothing that it had found', async () => {
    const { cwd, verify } = await onDisk();
    expect((await verify('--state', 'state.json')).code).toBe(0);
    const file = JSON.parse(readFileSync(join(cwd, 'state.json'), 'utf8'));
    const volume = file.volumes[SCOPE.volumeId];
    expect(volume).toMatchObject({ cursor: { round: 1, after: null }, bytesLeft: 0, damage: [] });
    // As an interrupted run would have left it, with damage that this one does not see again.
    const damage = [{ class: 'object_corrupt', object: 'v1/x', volumeId: SCOPE.volumeId, points: [] }];
    const { bytes } = (await verify()).report.volumes[0];
    Object.assign(volume, { bytesLeft: bytes - 1, damage });
    writeFileSync(join(cwd, 'state.json'), JSON.stringify(file));
    const again = await verify('--state', 'state.json');
    expect(again).toMatchObject({ code: 1, report: { volumes: [{ complete: true, damage }] } });
    expect(await verify('--state', 'state.json')).toMatchObject({ code: 0, report: { volumes: [{ damage: [] }] } });
  });

  test('does not take another file for its state', async () => {
    const { verify } = await onDisk();
    expect(await verify('--state', 'vault/KEYS.json')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not what a verification has left'),
    });
  });

  test('a store that is away is no damage', async () => {
    const { cwd, verify } = await onDisk();
    renameSync(join(cwd, 'vault/objects/v1'), join(cwd, 'vault/objects/v1-away'));
    expect(await verify()).toMatchObject({ code: 2 });
    expect(await verify('--volume', SCOPE.volumeId)).toMatchObject({ code: 2 });
  });
});
