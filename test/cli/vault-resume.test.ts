import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { imageSha256 } from '../../scripts/vectors/cases.ts';
import { backUp, BLOCK, type Repository, SCOPE, text, writeRepository } from '../../scripts/vectors/repositories.ts';
import { openImage, openImageWriter } from '../../src/cli/vault/image-file.ts';
import { sha256 } from '../../src/crypto/bytes.ts';
import { createMemorySink } from '../../src/vault/memory.ts';
import { statPoint } from '../../src/vault/point-stat.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { newFolder } from './command.ts';
import { runHere } from './here.ts';
import { sha256Of } from './vault-fixture.ts';

/** Each run adds a thousand blocks behind those of the one before: a pack of each, in the order of the volume. */
const RUNS = 3;
const BLOCKS = 4_096;
const OF_C = ['--volume', SCOPE.volumeId, '--point', 'run-c'];
let repository: Repository;
beforeAll(async () => {
  const image = (runs: number) => new Map(Array.from({ length: 1_000 * runs }, (_, n) => [n, text(n)] as const));
  const images = Array.from({ length: RUNS }, (_, n) => ({ image: image(n + 1), blocks: BLOCKS }));
  repository = await backUp('thousands', images, false);
});

async function onDisk() {
  const cwd = newFolder();
  await writeRepository(cwd, repository);
  const folder = join(cwd, 'thousands');
  const pack = (run: string) => {
    const [name = ''] = [...repository.store.objects.keys()].filter((key) => key.includes(`/packs/${run}/`));
    return join(folder, 'objects', name);
  };
  const args = ['vault', 'restore', '--dir', 'thousands', '--keys', 'thousands/KEYS.json', ...OF_C];
  const run = (...more: string[]) => runHere([...args, '--to', 'disk.img', ...more], cwd);
  return { cwd, pack, args, run, image: join(cwd, 'disk.img') };
}

const wanted = () => imageSha256(repository.points[2] ?? { runId: '', image: new Map(), blocks: 0 });

describe('a restore that was interrupted', () => {
  test('goes on without reading or writing what it had written, and ends with the same bytes', async () => {
    const { pack, run, image } = await onDisk();
    renameSync(pack('run-c'), `${pack('run-c')}-away`);
    expect(await run()).toMatchObject({ code: 1, stderr: expect.stringContaining('object_missing') });
    // The first run's pack is not needed any more: what lay in it is in the file.
    renameSync(`${pack('run-c')}-away`, pack('run-c'));
    rmSync(pack('run-a'));
    const { code, stdout, stderr } = await run('--json');
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(stdout)).toMatchObject({ blocksSkipped: 1_920, blocksWritten: 1_080 });
    expect(sha256Of(image)).toBe(wanted());
  });

  test('by Ctrl-C goes on in the same way', async () => {
    const { cwd, args, run, image } = await onDisk();
    const interruption = new AbortController();
    const terminal = {
      out() {},
      hint: (line: string) => void (line.startsWith('30 %') && interruption.abort()),
      draw() {},
      interactive: false,
      columns: () => 80,
    };
    const { signal } = interruption;
    expect((await runHere([...args, '--to', 'disk.img'], cwd, { signal, terminal })).code).toBe(130);
    expect(existsSync(image)).toBe(false);
    const { code, stdout } = await run('--json');
    expect(code).toBe(0);
    const { blocksSkipped, blocksWritten } = JSON.parse(stdout);
    expect(blocksSkipped).toBeGreaterThan(800);
    expect(blocksSkipped + blocksWritten).toBe(3_000);
    expect(sha256Of(image)).toBe(wanted());
  });

  test('goes on in threads as well, with the class of what is missing and the same bytes', async () => {
    const { pack, run, image } = await onDisk();
    renameSync(pack('run-c'), `${pack('run-c')}-away`);
    expect(await run('--threads', '2')).toMatchObject({ code: 1, stderr: expect.stringContaining('object_missing') });
    renameSync(`${pack('run-c')}-away`, pack('run-c'));
    const { code, stdout } = await run('--threads', '2', '--json');
    expect(code).toBe(0);
    const { blocksSkipped, blocksWritten } = JSON.parse(stdout);
    expect(blocksSkipped).toBeGreaterThan(0);
    expect(blocksSkipped + blocksWritten).toBe(3_000);
    expect(sha256Of(image)).toBe(wanted());
  });

  test('says which file cannot be written, and keeps what it has', async () => {
    const { cwd, args } = await onDisk();
    const to = async (name: string, ...more: string[]) => runHere([...args, '--to', name, ...more], cwd);
    expect(await to('nowhere/disk.img')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/nowhere\/disk\.img cannot be written[^]*Next: Make room/),
    });
    const path = join(cwd, 'gone.img');
    const source = { volumeId: 'vol-1', runId: 'run-1', attempt: '00', volumeBytes: 8 * BLOCK, blockBytes: BLOCK };
    const writer = openImageWriter(path, source);
    await expect(writer.put(0, text(0), sha256(text(0)))).rejects.toMatchObject({
      code: 'unavailable',
      facts: { file: path },
    });
    await writer.close();
  });

  test('writes anew what a file of another length has lost', async () => {
    const { pack, run, image } = await onDisk();
    renameSync(pack('run-c'), `${pack('run-c')}-away`);
    expect((await run()).code).toBe(1);
    renameSync(`${pack('run-c')}-away`, pack('run-c'));
    truncateSync(`${image}.partial`, 512);
    const { stdout } = await run('--json');
    expect(JSON.parse(stdout)).toMatchObject({ blocksSkipped: 0 });
    expect(sha256Of(image)).toBe(wanted());
  });

  test('is not gone on with from another point, nor in a file that no restore has left', async () => {
    const { pack, args, cwd, run, image } = await onDisk();
    renameSync(pack('run-c'), `${pack('run-c')}-away`);
    expect((await run()).code).toBe(1);
    const partial = readFileSync(`${image}.partial`);
    const other = await runHere([...args, '--point', 'run-b', '--to', 'disk.img'], cwd);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('begun from another point: run-c') });
    expect(readFileSync(`${image}.partial`).equals(partial)).toBe(true);
    writeFileSync(`${image}.partial.json`, '{}');
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining('no restore has left it') });
    expect(readFileSync(`${image}.partial`).equals(partial)).toBe(true);
  });

  test('by the end of the machine has lost no more than it is allowed to', async () => {
    const path = join(newFolder(), 'disk.img');
    const source = { volumeId: 'vol-1', runId: 'run-1', attempt: '00', volumeBytes: 8 * BLOCK, blockBytes: BLOCK };
    const image = await openImage(path, source, { saveBytes: 3 * BLOCK });
    for (const index of [0, 1, 2, 3]) {
      await image.sink.put(index, text(index), sha256(text(index)));
      await image.written(index + 1);
    }
    const after = join(newFolder(), 'disk.img');
    for (const end of ['.partial', '.partial.json']) copyFileSync(`${path}${end}`, `${after}${end}`);
    await image.close();
    const again = await openImage(after, source);
    expect(again.from).toBe(3);
    await again.close();
  });
});

describe('a plan', () => {
  /** A store that counts as the plan says it does. */
  function counted() {
    const reads = { requests: 0, bytes: 0, objects: new Set<string>() };
    const { store } = repository;
    const get: typeof store.get = async (key, range) => {
      const bytes = await store.get(key, range);
      reads.requests += 1;
      reads.bytes += bytes.length;
      reads.objects.add(key);
      return bytes;
    };
    return { reads, deps: { store: { ...store, get }, keys: repository.keys } };
  }
  const input = (run: string) => ({ ...SCOPE, manifestKey: `v1/${SCOPE.volumeId}/roots/${run}` });

  test.each(['run-a', 'run-b', 'run-c'])('of %s names, to the byte, what a restore reads', async (run) => {
    const { reads, deps } = counted();
    await restoreVolume(deps, input(run), createMemorySink({ blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK }));
    const { reads: planned } = await statPoint({ store: repository.store, keys: repository.keys }, input(run));
    expect(planned).toEqual({ ...reads, objects: reads.objects.size });
  });

  test('is one JSON document with each pack, its ranges and every key, and writes nothing', async () => {
    const { cwd, args, image } = await onDisk();
    const { code, stdout } = await runHere([...args, '--dry-run', '--to', 'disk.img'], cwd);
    expect(code).toBe(0);
    const { packs, keys, attempts, storedBlocks } = JSON.parse(stdout);
    expect(storedBlocks).toBe(3_000);
    expect(packs.reduce((sum: number, { blocks }: { blocks: number }) => sum + blocks, 0)).toBe(3_000);
    const named = new Set(packs.map(({ object }: { object: string }) => object.split('/')[3]));
    expect([...named]).toEqual(['run-a', 'run-b', 'run-c']);
    expect(attempts).toHaveLength(3);
    expect(keys).toHaveLength(5);
    expect(existsSync(`${image}.partial`)).toBe(false);
  });

  test('stat tells the same to a person', async () => {
    const { cwd } = await onDisk();
    const args = ['vault', 'stat', '--dir', 'thousands', '--keys', 'thousands/KEYS.json', ...OF_C];
    const { code, stdout } = await runHere(args, cwd);
    expect(code).toBe(0);
    expect(stdout).toMatch(/stored +3000 blocks in 3 packs/);
    expect(stdout).toMatch(/5 of 5 +key service +memory/);
  });
});
