import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../cell/harness.ts';
import { installDebian } from '../clients/debian.ts';
import { openWorld, type World } from './world.ts';

const run = promisify(execFile);
const MIB = 2 ** 20;
/** Where fdisk puts a first partition: sector 2,048. */
const PARTITION = { start: MIB, bytes: 700 * MIB };
const SECTOR = 512;
const STEP = 16 * MIB;

let world: World;
let dir: string;
beforeAll(async () => {
  await installDebian('e2fsprogs');
  world = await openWorld();
  dir = mkdtempSync(join(tmpdir(), 'disk-'));
});
afterAll(async () => {
  await world.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A tool of e2fsprogs: Debian keeps them where a plain user's path does not reach. */
const tool = (name: string, ...args: string[]) => run(`/usr/sbin/${name}`, args, { maxBuffer: 64 * MIB });

/** Files as a server has them: small ones, a large one, an empty one, a sparse one, links, names of all kinds. */
function makeTree(root: string): void {
  for (const folder of ['etc', 'var/lib/data', 'srv/Grüße und Leerzeichen'])
    mkdirSync(join(root, folder), { recursive: true });
  for (let n = 0; n < 200; n += 1)
    writeFileSync(join(root, 'etc', `conf-${n}`), `setting = ${n}\n`.repeat(1 + (n % 40)));
  writeFileSync(join(root, 'var/lib/data/table.db'), randomBytes(40 * MIB));
  writeFileSync(join(root, 'var/lib/data/empty'), '');
  writeFileSync(join(root, 'var/lib/data/zeros'), Buffer.alloc(5 * MIB));
  writeFileSync(join(root, 'srv/Grüße und Leerzeichen/日本語.txt'), 'konnichiwa\n');
  symlinkSync('../etc/conf-1', join(root, 'srv/link'));
}

/** SHA-256 of every file below a folder, by its path. */
function hashesOf(root: string): Record<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(root.length), createHash('sha256').update(readFileSync(path)).digest('hex')];
      })
      .toSorted(([a = ''], [b = '']) => a.localeCompare(b)),
  );
}

/** A DOS partition table with one Linux partition, as fdisk writes it. */
function partitionTable(): Buffer {
  const table = Buffer.alloc(SECTOR);
  table[446 + 4] = 0x83;
  table.writeUInt32LE(PARTITION.start / SECTOR, 446 + 8);
  table.writeUInt32LE(PARTITION.bytes / SECTOR, 446 + 12);
  table.writeUInt16LE(0xaa55, 510);
  return table;
}

async function makeDisk(tree: string, partition: string): Promise<void> {
  await tool('mke2fs', '-q', '-t', 'ext4', '-d', tree, partition, `${PARTITION.bytes / 1_024}k`);
}

/** The customer writes table and file system to the volume, as an installer would. */
async function writeVolume(who: Awaited<ReturnType<World['customer']>>, volumeId: string, partition: string) {
  const table = async function* () {
    yield partitionTable();
  };
  await world.control.writeDisk(who.account, volumeId, 0, table());
  const stream = createReadStream(partition, { highWaterMark: MIB });
  await world.control.writeDisk(who.account, volumeId, PARTITION.start, stream);
}

/** What the restored volume holds: its table, and its partition as a file. */
async function readVolume(
  who: Awaited<ReturnType<World['customer']>>,
  volumeId: string,
  file: string,
): Promise<Buffer> {
  const target = await open(file, 'w');
  for (let at = 0; at < PARTITION.bytes; at += STEP) {
    const length = Math.min(STEP, PARTITION.bytes - at);
    const bytes = await world.control.readDisk(who.account, volumeId, PARTITION.start + at, length);
    await target.write(bytes, 0, bytes.length, at);
  }
  await target.close();
  return Buffer.from(await world.control.readDisk(who.account, volumeId, 0, SECTOR));
}

/** The files of a file system, taken out by a tool that knows nothing of us. */
async function filesOf(partition: string, into: string): Promise<Record<string, string>> {
  mkdirSync(into);
  await tool('debugfs', '-R', `rdump / ${into}`, partition);
  rmSync(join(into, 'lost+found'), { recursive: true, force: true });
  return hashesOf(into);
}

test('an ext4 disk with a partition table comes back whole: e2fsck is content, every file is the same', async () => {
  const tree = join(dir, 'tree');
  makeTree(tree);
  const partition = join(dir, 'partition.img');
  await makeDisk(tree, partition);
  const who = await world.customer('222222222501');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const [root = ''] = who.volumeIds;
  const expected: Record<string, string>[] = [];
  const points: string[] = [];
  for (const kind of ['full', 'incremental']) {
    await writeVolume(who, root, partition);
    expected.push(await filesOf(partition, join(dir, `source-${kind}`)));
    const job: Json = await world.backUp(tenant, connection.id, who.instanceId);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    expect(job.volumes.find((volume: Json) => volume.volumeId === root).kind).toBe(kind);
    points.push(job.recoveryPointId);
    // The next backup finds a file more, one less, and one changed.
    writeFileSync(join(dir, 'new'), randomBytes(3 * MIB));
    await tool('debugfs', '-w', '-R', `write ${join(dir, 'new')} /etc/new`, partition);
    await tool('debugfs', '-w', '-R', 'rm /etc/conf-7', partition);
  }
  expect(Object.keys(expected[0] ?? {})).toHaveLength(204);
  expect(Object.keys(expected[1] ?? {})).toContain('/etc/new');
  for (const [n, point] of points.entries()) {
    const target = { connectionId: connection.id, awsRegion: 'eu-central-1' };
    const job: Json = await world.restore(tenant, point, target, { volumeIds: [root] });
    expect(job).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    const restored = join(dir, `restored-${n}.img`);
    const table = await readVolume(who, job.volumes[0].volumeId, restored);
    expect(table.equals(partitionTable())).toBe(true);
    // Exit status 0: clean, nothing to repair. -n opens it read only, -f checks although it is marked clean.
    await expect(tool('e2fsck', '-n', '-f', restored)).resolves.toBeDefined();
    expect(await filesOf(restored, join(dir, `restored-${n}`))).toEqual(expected[n]);
  }
});

test('a damaged file system would be noticed', async () => {
  const tree = join(dir, 'small');
  mkdirSync(tree);
  writeFileSync(join(tree, 'a'), 'a');
  const partition = join(dir, 'damaged.img');
  await tool('mke2fs', '-q', '-t', 'ext4', '-d', tree, partition, '16m');
  const file = await open(partition, 'r+');
  await file.write(randomBytes(4_096), 0, 4_096, 1_024 * 8);
  await file.close();
  await expect(tool('e2fsck', '-n', '-f', partition)).rejects.toThrow();
});
