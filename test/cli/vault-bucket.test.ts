import { createHash, generateKeyPairSync } from 'node:crypto';
import { openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../cell/harness.ts';
import type { Account } from '../../src/stranger/sandbox-control.ts';
import { openWorld, type World } from '../e2e/world.ts';
import { newFolder, runCommand } from './command.ts';
import { environmentOf } from './vault-aws.ts';

/** Only the beginning of the disks was written: the rest reads as zeros. */
const WRITTEN = 8 * 2 ** 20;
const LOCK = { mode: 'compliance', days: 10 };
let world: World;
let tenantId = '';
let env: Record<string, string> = {};
let points: Json[] = [];
let disks: string[] = [];
let recoveryKey: string | Buffer = '';
let account: Account;

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

beforeAll(async () => {
  world = await openWorld();
  const customer = await world.customer('222222222221');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, customer);
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3_072 });
  recoveryKey = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const set = await tenant.call('PUT', '/v1/tenant/recovery-key', {
    body: { publicKey: publicKey.export({ type: 'spki', format: 'pem' }) },
  });
  expect(set.status).toBe(200);
  await world.backUp(tenant, connection.id, customer.instanceId);
  const [volumeId = ''] = customer.volumeIds;
  await customer.write(volumeId, 1_000_000, 700_000);
  await world.backUp(tenant, connection.id, customer.instanceId, { keepLast: 9, lock: LOCK });
  disks = await Promise.all(
    customer.volumeIds.map(async (id) => digest(await world.control.readDisk(customer.account, id, 0, WRITTEN))),
  );
  points = (await tenant.call('GET', '/v1/recovery-points')).json.items;
  tenantId = tenant.tenantId;
  account = customer.account;
  env = await environmentOf(world, 'restorer', tenantId);
});
afterAll(() => world.close());

const vault = (args: readonly string[], cwd = newFolder(), change: Record<string, string> = {}) =>
  runCommand(['vault', ...args, '--bucket', world.resources.bucket, '--tenant', tenantId], {
    cwd,
    env: { ...env, ...change },
  });

function beginningOf(path: string): Uint8Array {
  const bytes = Buffer.alloc(WRITTEN);
  readSync(openSync(path, 'r'), bytes, 0, WRITTEN, 0);
  return bytes;
}

describe('a vault in its bucket', () => {
  test('lists every point with the rights of the restorer', async () => {
    const { code, stdout } = await vault(['ls', '--json']);
    const { items } = JSON.parse(stdout);
    expect(code).toBe(0);
    const listed = items.map((item: Json) => `${item.runId} ${item.volumeId} ${item.kind} ${item.problem}`);
    const wanted = points.flatMap(({ backupJobId, volumes }) =>
      volumes.map(({ volumeId, kind }: Json) => `${backupJobId} ${volumeId} ${kind} null`),
    );
    expect(new Set(listed)).toEqual(new Set(wanted));
  });

  test('is restored to files that have the bytes of the disks', async () => {
    const [newest] = points;
    const cwd = newFolder();
    const restored = await Promise.all(
      newest.volumes.map(async ({ volumeId }: Json) => {
        const { code, stderr } = await vault(
          ['restore', '--volume', volumeId, '--point', newest.backupJobId, '--to', volumeId, '--threads', '2'],
          cwd,
        );
        expect({ code, stderr }).toMatchObject({ code: 0 });
        expect(statSync(join(cwd, volumeId)).size).toBe(2 ** 30);
        return digest(beginningOf(join(cwd, volumeId)));
      }),
    );
    expect(new Set(restored)).toEqual(new Set(disks));
  });

  test('stat names the KMS key as what opens it', async () => {
    const [{ volumes, backupJobId }] = points;
    const { code, stdout } = await vault(['stat', '--volume', volumes[0].volumeId, '--point', backupJobId]);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(world.resources.dataKeyArn) });
  });

  test("locks shows the scrubber which of a volume's locks are due, and nobody who may not see locks", async () => {
    const [{ volumes, backupJobId, lockedUntil }] = points;
    const args = ['locks', '--volume', volumes[0].volumeId, '--json'];
    const { code, stdout } = await vault(args, newFolder(), await environmentOf(world, 'scrubber', tenantId));
    const plan = JSON.parse(stdout);
    expect({ code, plan }).toMatchObject({
      code: 0,
      plan: {
        points: [{ runId: backupJobId, lockUntil: lockedUntil, due: 0, missing: 0 }],
        extensions: [],
        perDayOf64TiB: { looks: 55_942, extensions: 55_942 },
      },
    });
    expect(plan.objects).toBeGreaterThan(3);
    const refused = await vault(args);
    expect({ code: refused.code, error: JSON.parse(refused.stdout).error }).toMatchObject({
      code: 7,
      error: { code: 'store_unavailable' },
    });
  });

  test('stays closed to a principal that may not open its keys', async () => {
    const [{ volumes, backupJobId }] = points;
    const args = ['restore', '--volume', volumes[0].volumeId, '--point', backupJobId, '--to', 'disk.img', '--json'];
    const { code, stdout } = await vault(args, newFolder(), await environmentOf(world, 'writer', tenantId));
    expect({ code, error: JSON.parse(stdout).error }).toMatchObject({
      code: 7,
      error: {
        code: expect.stringMatching(/^(key|store)_unavailable$/),
        detail: expect.stringContaining('not authorized'),
      },
    });
  });

  test('is not looked for outside the jurisdiction', async () => {
    const { code, stderr } = await vault(['ls', '--region', 'us-east-1']);
    expect({ code, stderr }).toMatchObject({ code: 5, stderr: expect.stringContaining('residency_violation') });
  });

  test('is not mistaken for one in a bucket of somebody else', async () => {
    const { code, stderr } = await vault(['ls', '--bucket-owner', '999999999999']);
    expect({ code, stderr }).toMatchObject({ code: 7, stderr: expect.stringContaining('store_unavailable') });
  });

  test('is copied to a bucket of the tenant’s, and restored from it by the tenant alone', async () => {
    const { accessKeyId, secretAccessKey, awsAccountId } = account;
    const own = new S3Client({
      endpoint: world.sandbox.url,
      region: 'eu-central-1',
      credentials: account,
      forcePathStyle: true,
    });
    await own.send(
      new CreateBucketCommand({ Bucket: 'ours', CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' } }),
    );
    const cwd = newFolder();
    const profile = `[own]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
    writeFileSync(join(cwd, 'credentials'), profile);
    writeFileSync(join(cwd, 'recovery-key.pem'), recoveryKey);
    const files = { AWS_SHARED_CREDENTIALS_FILE: join(cwd, 'credentials') };
    const copied = await vault(['export', '--to-bucket', 'ours', '--to-aws-profile', 'own', '--json'], cwd, files);
    expect({ code: copied.code, report: JSON.parse(copied.stdout) }).toMatchObject({
      code: 0,
      report: { points: 4, damage: [] },
    });
    // From here on nothing of the cell's is used: its account, bucket, KMS and database might be gone.
    const [newest] = points;
    const restored = await Promise.all(
      newest.volumes.map(async ({ volumeId }: Json) => {
        const place = ['--bucket', 'ours', '--tenant', tenantId, '--bucket-owner', awsAccountId];
        const what = ['--volume', volumeId, '--point', newest.backupJobId, '--to', volumeId];
        const { code, stderr } = await runCommand(
          ['vault', 'restore', ...place, ...what, '--recovery-key', 'recovery-key.pem'],
          { cwd, env: { AWS_ENDPOINT_URL: world.sandbox.url, AWS_PROFILE: 'own', ...files } },
        );
        expect({ code, stderr }).toMatchObject({ code: 0 });
        return digest(beginningOf(join(cwd, volumeId)));
      }),
    );
    expect(new Set(restored)).toEqual(new Set(disks));
  });
});
