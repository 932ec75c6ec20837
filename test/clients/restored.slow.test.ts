import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../cell/harness.ts';
import { openWorld, type World } from '../e2e/world.ts';
import { commandOf } from './aws-cli.ts';
import { installDebian, runToEnd } from './debian.ts';

const BLOCK = 524_288;
const GIB = 2 ** 30;
const SAMPLE = 16;
const zeroSha256 = createHash('sha256').update(Buffer.alloc(BLOCK)).digest('hex');

type Content = { volumeGiB: number; blockSize: number; pages: number; blocks: Map<number, string> };
type Customer = Awaited<ReturnType<World['customer']>>;

let world: World;
let dir: string;
beforeAll(async () => {
  await installDebian('python3-boto3', 'awscli');
  world = await openWorld();
  dir = mkdtempSync(join(tmpdir(), 'restored-'));
}, 900_000);
afterAll(async () => {
  await world.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Every block of a snapshot by index, as boto3 read it and held it to its checksum; blocks of zeros are left out. */
async function readWithBoto(who: Customer, snapshotId: string): Promise<Content> {
  const { accessKeyId, secretAccessKey } = who.account;
  const args = ['test/clients/boto/read_snapshot.py', world.sandbox.url, snapshotId];
  const { status, stdout, stderr } = await runToEnd('/usr/bin/python3', args, {
    PATH: '/usr/bin:/bin',
    PYTHONDONTWRITEBYTECODE: '1',
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_DEFAULT_REGION: who.access.awsRegion,
    AWS_EC2_METADATA_DISABLED: 'true',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const [first = '', ...lines] = stdout.trim().split('\n');
  const blocks = lines.map((line) => JSON.parse(line) as { index: number; sha256: string });
  const stored = blocks.filter(({ sha256 }) => sha256 !== zeroSha256);
  return { ...JSON.parse(first), blocks: new Map(stored.map(({ index, sha256 }) => [index, sha256])) };
}

/** The same of one block, by the command line. */
async function readWithCli(who: Customer, snapshotId: string, index: number): Promise<string> {
  const { aws } = commandOf(world.sandbox.url, who.account, dir);
  const file = join(dir, `${snapshotId}-${index}`);
  const token =
    await aws`ebs list-snapshot-blocks --snapshot-id ${snapshotId} --starting-block-index ${index} --max-results 100 --query Blocks[0].BlockToken`;
  await aws`ebs get-snapshot-block --snapshot-id ${snapshotId} --block-index ${String(index)} --block-token ${token} ${file}`;
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Data of all kinds: what compresses and what does not, written zeros, both ends of the volume, parts of blocks. */
async function fill(who: Customer, volumeId: string) {
  const put = (offset: number, bytes: Buffer) =>
    world.control.writeDisk(
      who.account,
      volumeId,
      offset,
      (async function* () {
        yield bytes;
      })(),
    );
  await put(0, Buffer.from('boot sector '.repeat(40_000)));
  await put(10 * BLOCK, randomBytes(90 * BLOCK));
  await put(200 * BLOCK, Buffer.alloc(8 * BLOCK));
  await put(300 * BLOCK + 1_000, randomBytes(12 * BLOCK));
  for (let n = 0; n < 60; n += 1) await put((400 + n * 20) * BLOCK + n, Buffer.from(`line ${n}\n`.repeat(3_000)));
  await put(GIB - 4_096, randomBytes(4_096));
}

/** Backs up the first volume of a customer twice, and restores the second point into a snapshot. */
async function sourceAndRestored(who: Customer) {
  const [volumeId = ''] = who.volumeIds;
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  await fill(who, volumeId);
  await world.backUp(tenant, connection.id, who.instanceId);
  await who.write(volumeId, 50 * BLOCK, 3 * BLOCK);
  const job: Json = await world.backUp(tenant, connection.id, who.instanceId);
  expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
  const point: Json = (await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json;
  const source = point.volumes.find((volume: Json) => volume.volumeId === volumeId);
  expect(source).toMatchObject({ kind: 'incremental' });
  const target = { connectionId: connection.id, awsRegion: who.access.awsRegion };
  const restored = await world.restore(tenant, point.id, target, { type: 'snapshot', volumeIds: [volumeId] });
  expect(restored).toMatchObject({ state: 'COMPLETED' });
  return { source: source.snapshotId as string, restored: restored.volumes[0].snapshotId as string };
}

test('boto3 reads every block of a restored snapshot as it is in its source, the aws command sixteen of them', async () => {
  const who = await world.customer('222222222601');
  const { source, restored } = await sourceAndRestored(who);
  expect(restored).not.toBe(source);
  const [was, is] = [await readWithBoto(who, source), await readWithBoto(who, restored)];
  expect(is.blocks).toEqual(was.blocks);
  expect(is).toMatchObject({ volumeGiB: 1, blockSize: BLOCK });
  expect(is.blocks.size).toBeGreaterThan(150);
  expect(is.pages).toBeGreaterThan(1);

  const indexes = [...is.blocks.keys()];
  const step = (indexes.length - 1) / (SAMPLE - 1);
  const sample = Array.from({ length: SAMPLE }, (_, n) => indexes[Math.round(n * step)] ?? 0);
  expect(new Set(sample).size).toBe(SAMPLE);
  for (const index of sample)
    expect([index, await readWithCli(who, restored, index)]).toEqual([index, was.blocks.get(index)]);
});
