import {
  CreateBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { vaultDocuments } from '../../src/aws/policies/vault-account.ts';
import { SERVICE_PRINCIPALS, type ServicePrincipal } from '../../src/aws/policies/vault-principals.ts';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import type { TenantVault } from '../../src/cell/jobs/worker.ts';
import { prepareCellAccount } from '../../src/stranger/operator-account.ts';
import { CELL_ACCOUNT, openWorld, type World } from '../e2e/world.ts';

const DAY = 86_400_000;
const START = Math.floor(Date.now() / 1_000) * 1_000;
const inDays = (days: number) => new Date(START + days * DAY);
const tenantId = 'ten_eu_1';
let world: World;
let root: S3Client;

beforeAll(async () => {
  world = await openWorld();
  root = new S3Client({
    endpoint: world.sandbox.url,
    region: 'eu-central-1',
    forcePathStyle: true,
    credentials: await world.control.account(CELL_ACCOUNT),
  });
});
afterAll(async () => {
  root.destroy();
  await world.close();
});

/** Does something as one of the vault's principals, in this tenant. */
const as = <T>(principal: ServicePrincipal, work: (vault: TenantVault) => Promise<T>) =>
  inVault(world.worker, { principal, tenantId }, work);
/** So many days from now, to the sandbox. */
const moveClock = (days: number) =>
  fetch(`${world.sandbox.url}/_sandbox/clock`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.sandbox.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ offsetMs: days * DAY }),
  });
const refused = { code: 'store_unavailable' };
const bytes = new Uint8Array(8);
const put = (key: string, lockUntil?: Date) => as('writer', ({ store }) => store.putNew(key, bytes, { lockUntil }));
const PACK = 'v1/vol-1/packs/run-1/0';
const KEY = 'v1/vol-1/keys/run-1/0/index';

test("the cell's bucket has versions and Object Lock, locks nothing by default, and forgets what was deleted after a day", async () => {
  const { bucket: Bucket } = world.resources;
  expect((await root.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
  const { ObjectLockConfiguration } = await root.send(new GetObjectLockConfigurationCommand({ Bucket }));
  expect(ObjectLockConfiguration).toEqual({ ObjectLockEnabled: 'Enabled' });
  const { Rules } = await root.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
  expect(Rules).toMatchObject([
    {
      NoncurrentVersionExpiration: { NoncurrentDays: 1 },
      Expiration: { ExpiredObjectDeleteMarker: true },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
    },
  ]);
});

test('a bucket of an earlier version gets Object Lock too, and keeps it when it is prepared again', async () => {
  const Bucket = `domicile-ca-${CELL_ACCOUNT}-vault`;
  const credentials = await world.control.account(CELL_ACCOUNT);
  const LocationConstraint = 'eu-central-1';
  await root.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint } }));
  await root.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } }));
  const access = { endpoint: world.sandbox.url, awsRegion: LocationConstraint, credentials };
  const account = { partition: 'aws', cell: 'ca', awsAccountId: CELL_ACCOUNT };
  for (let time = 1; time <= 2; time += 1) {
    const made = await prepareCellAccount(access, 'ca', CELL_ACCOUNT, (it) =>
      vaultDocuments({ ...account, ...it, dataKeyArns: [it.dataKeyArn] }, it.connectorRoleArn),
    );
    expect(made.bucket).toBe(Bucket);
    const { ObjectLockConfiguration } = await root.send(new GetObjectLockConfigurationCommand({ Bucket }));
    expect(ObjectLockConfiguration).toEqual({ ObjectLockEnabled: 'Enabled' });
  }
});

describe('a lock of an object', () => {
  test('is made with the put, seen by the scrubber and made longer by the extender', async () => {
    await put(`${PACK}/a`, inDays(10));
    const end = () => as('scrubber', ({ locks }) => locks.lockedUntil(`${PACK}/a`));
    expect(await end()).toEqual(inDays(10));
    await as('extender', ({ locks }) => locks.extend(`${PACK}/a`, inDays(20)));
    expect(await end()).toEqual(inDays(20));
    await put(`${PACK}/b`);
    expect(await as('scrubber', ({ locks }) => locks.lockedUntil(`${PACK}/b`))).toBeNull();
  });

  test('is never made shorter, nor longer than 90 days, by whom ever', async () => {
    await put(`${PACK}/c`, inDays(10));
    for (const principal of SERVICE_PRINCIPALS)
      for (const days of [5, 91])
        await expect(as(principal, ({ locks }) => locks.extend(`${PACK}/c`, inDays(days)))).rejects.toMatchObject(
          refused,
        );
    await expect(put(`${PACK}/d`, inDays(91))).rejects.toMatchObject(refused);
  });

  test('is nothing that a key object can have', async () => {
    await expect(put(KEY, inDays(10))).rejects.toMatchObject(refused);
    await put(KEY);
    for (const principal of SERVICE_PRINCIPALS)
      await expect(as(principal, ({ locks }) => locks.extend(KEY, inDays(10)))).rejects.toMatchObject(refused);
    expect(await as('scrubber', ({ locks }) => locks.lockedUntil(KEY))).toBeNull();
  });

  test('of an object that is not there is said to be missing, to those who may know', async () => {
    const missing = { code: 'object_missing' };
    await expect(as('scrubber', ({ locks }) => locks.lockedUntil(`${PACK}/no`))).rejects.toMatchObject(missing);
    await expect(as('extender', ({ locks }) => locks.extend(`${PACK}/no`, inDays(10)))).rejects.toMatchObject(missing);
  });

  test("outlives a deletion by the deleter and by the account's root, and the object comes back", async () => {
    const { bucket: Bucket } = world.resources;
    const Key = `t/${tenantId}/${PACK}/e`;
    await put(`${PACK}/e`, inDays(10));
    await as('deleter', ({ store }) => store.delete([`${PACK}/e`]));
    await expect(as('restorer', ({ store }) => store.get(`${PACK}/e`))).rejects.toMatchObject({
      code: 'object_missing',
    });
    // Root is held off by the bucket's policy, which it may take away; by the lock in any case.
    await root.send(new DeleteBucketPolicyCommand({ Bucket }));
    const listed = () => root.send(new ListObjectVersionsCommand({ Bucket, Prefix: Key }));
    const { Versions = [], DeleteMarkers = [] } = await listed();
    const remove = ({ VersionId }: { VersionId?: string | undefined } = {}) =>
      root.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true }));
    await expect(remove(Versions[0])).rejects.toMatchObject({ name: 'AccessDenied' });
    await remove(DeleteMarkers[0]);
    expect(await as('restorer', ({ store }) => store.get(`${PACK}/e`))).toEqual(bytes);
    await moveClock(9);
    await expect(remove(Versions[0])).rejects.toMatchObject({ name: 'AccessDenied' });
    await moveClock(11);
    await remove(Versions[0]);
    expect((await listed()).Versions ?? []).toEqual([]);
  });
});
