import {
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  GetBucketPolicyCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VerificationKind } from '../../src/cell/jobs/verification/claim.ts';
import { verifyVault } from '../../src/cell/jobs/verification/run.ts';
import { createLogger } from '../../src/core/log.ts';
import type { Json } from '../cell/harness.ts';
import { CELL_ACCOUNT, openWorld, type World } from './world.ts';

const DAY = 86_400_000;
const BYTES_PER_SEC = 2 ** 40;
let world: World;
let s3: S3Client;
beforeAll(async () => {
  world = await openWorld({ copyThreads: 2 });
  const credentials = await world.control.account(CELL_ACCOUNT);
  s3 = new S3Client({ endpoint: world.sandbox.url, region: 'eu-central-1', forcePathStyle: true, credentials });
});
afterAll(async () => {
  s3.destroy();
  await world.close();
});

/** What the account's root user can do once it has taken the bucket's policy away: what the policy is there against. */
async function asIntruder(work: (Bucket: string) => Promise<unknown>): Promise<void> {
  const { bucket: Bucket } = world.resources;
  const { Policy } = await s3.send(new GetBucketPolicyCommand({ Bucket }));
  await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
  await work(Bucket);
  await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
}

async function namesOf(tenantId: string, part: string): Promise<string[]> {
  const { bucket: Bucket } = world.resources;
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: `t/${tenantId}/v1/` }));
  return (Contents ?? []).flatMap(({ Key }) => (Key?.includes(part) ? [Key] : []));
}

/** Replaces an object by what `change` makes of its bytes; gives the bytes as they were. */
async function replaceObject(Key: string, change: (bytes: Uint8Array) => Uint8Array): Promise<Uint8Array> {
  let before = new Uint8Array();
  await asIntruder(async (Bucket) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    before = new Uint8Array((await Body?.transformToByteArray()) ?? []);
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: change(Uint8Array.from(before)) }));
  });
  return before;
}

/** A customer with two points of its instance, a full one and an incremental, and a worker whose days a test can count. */
async function keeper(accountId: string) {
  const who = await world.customer(accountId);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const { tenantId } = tenant;
  const logged: string[] = [];
  const log = createLogger({ level: 'error', write: (line) => void logged.push(line), clock: world.worker.clock });
  const points: Json[] = [];
  for (let n = 0; n < 2; n += 1) {
    const job = await world.backUp(tenant, connection.id, who.instanceId);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    points.push((await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json);
    for (const volumeId of who.volumeIds) await who.write(volumeId, 1_000_000, 700_000);
  }
  const verify = (kind: VerificationKind, day: number) => {
    const clock = { ...world.worker.clock, now: () => new Date(Date.now() + day * DAY) };
    const options = { signal: new AbortController().signal, bytesPerSec: BYTES_PER_SEC };
    return verifyVault({ ...world.worker, clock, log }, tenantId, kind, options);
  };
  const verificationOf = async (point: Json) =>
    (await tenant.call('GET', `/v1/recovery-points/${point.id}`)).json.verification;
  const events = async (action: string): Promise<Json[]> =>
    (await tenant.call('GET', `/v1/audit-events?action=${action}`)).json.items;
  const restore = (point: Json) =>
    world.restore(tenant, point.id, { connectionId: connection.id, awsRegion: 'eu-central-1' });
  return { ...who, tenantId, points, verify, verificationOf, events, restore, logged };
}

test('a damaged pack is found within 30 days, shown with the one point that needs it, and the other restores', async () => {
  const { tenantId, points, verify, verificationOf, events, restore, logged } = await keeper('222222223001');
  const [full, incremental] = points;
  expect(await verificationOf(full)).toBeNull();
  const [pack = ''] = await namesOf(tenantId, `/packs/${incremental.backupJobId}/`);
  const before = await replaceObject(pack, (bytes) => {
    bytes[1_000]! ^= 1;
    return bytes;
  });
  await verify('existence', 0);
  expect(await verificationOf(incremental)).toMatchObject({
    lastExistence: expect.any(String),
    lastBytes: null,
    damage: [],
  });

  // A few of thirty days: what was missed is made up for.
  for (const day of [0, 14, 27]) await verify('reading', day);
  const damage = { class: 'object_corrupt', object: pack.slice(`t/${tenantId}/`.length), blocks: 1 };
  // Read to the end, in spite of it: found once, said once, and nothing was mended.
  expect(await verificationOf(incremental)).toMatchObject({ lastBytes: expect.any(String), damage: [damage] });
  expect(await verificationOf(full)).toMatchObject({ lastBytes: expect.any(String), damage: [] });
  expect(await events('vault.damage_found')).toMatchObject([{ details: { object: damage.object, points: 1 } }]);
  expect(logged.map((line) => (JSON.parse(line) as Json).event)).toEqual(['vault.damage_found']);
  expect(await restore(full)).toMatchObject({ state: 'COMPLETED' });
  expect(await restore(incremental)).toMatchObject({ state: 'FAILED', problem: { code: 'object_corrupt' } });

  await replaceObject(pack, () => before);
  await verify('reading', 28);
  expect((await verificationOf(incremental)).damage).toEqual([]);
  expect(await events('vault.damage_over')).toHaveLength(1);
});

test('a missing pack is found on the same day, with every point that needs it', async () => {
  const { tenantId, points, verify, verificationOf, events } = await keeper('222222223002');
  const [full, incremental] = points;
  const [pack = ''] = await namesOf(tenantId, `/packs/${full.backupJobId}/`);
  await asIntruder((Bucket) => s3.send(new DeleteObjectCommand({ Bucket, Key: pack })));
  await verify('existence', 0);
  for (const point of [full, incremental])
    expect((await verificationOf(point)).damage).toMatchObject([
      { class: 'object_missing', foundAt: expect.any(String) },
    ]);
  expect(await events('vault.damage_found')).toMatchObject([{ details: { class: 'object_missing', points: 2 } }]);
  // The next look is due tomorrow, and finds nothing new.
  await verify('existence', 0);
  await verify('existence', 1);
  expect(await events('vault.damage_found')).toHaveLength(1);
});
