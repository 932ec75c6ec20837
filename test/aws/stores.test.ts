import { CreateRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openKeyService } from '../../src/aws/kms-keys.ts';
import { openBlobStore } from '../../src/aws/s3-store.ts';
import { probeRole } from '../../src/aws/sessions.ts';
import { openWorld, type World } from '../e2e/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const place = () => ({
  bucket: world.resources.bucket,
  expectedBucketOwner: '111111111112',
  prefix: 't/ten_1/',
  awsRegion: 'eu-central-1',
});
const store = (change = {}) => openBlobStore(world.worker.aws.for('eu-central-1'), { ...place(), ...change });
const keys = () => openKeyService(world.worker.aws.for('eu-central-1').kms, world.resources.dataKeyArn, 'eu-central-1');
const text = (value: string) => new TextEncoder().encode(value);

describe('the object store', () => {
  test('creates once, and says when an object is there already', async () => {
    expect(await store().putNew('once', text('first'))).toBe('created');
    expect(await store().putNew('once', text('second'))).toBe('exists');
    expect(await store().get('once')).toEqual(text('first'));
  });

  test('reads ranges, lists in order, deletes, and knows what is missing', async () => {
    for (const name of ['b', 'a', 'c']) await store().putNew(`list/${name}`, text(`object ${name}`));
    expect(await store().get('list/a', { start: 7, length: 1 })).toEqual(text('a'));
    const found: string[] = [];
    for await (const { key } of store().list('list/')) found.push(key);
    expect(found).toEqual(['list/a', 'list/b', 'list/c']);
    await store().delete(['list/a', 'list/never-was']);
    await expect(store().get('list/a')).rejects.toMatchObject({ code: 'object_missing' });
    await expect(store().get('list/b', { start: 1_000, length: 5 })).rejects.toMatchObject({ code: 'object_corrupt' });
  });

  test("a tenant's store does not reach another's", async () => {
    await store().putNew('private', text('mine'));
    await expect(store({ prefix: 't/ten_2/' }).get('private')).rejects.toMatchObject({ code: 'object_missing' });
  });

  test('a bucket of somebody else is not used', async () => {
    await expect(store({ expectedBucketOwner: '999999999999' }).putNew('x', text('x'))).rejects.toMatchObject({
      code: 'store_unavailable',
    });
  });
});

describe('the key service', () => {
  const context = { cell: 'eu', tenant: 'ten_1', volume: 'vol-1', run: 'run-1', purpose: 'pack' as const };
  test('opens a key for its own tenant, volume, run and purpose only', async () => {
    const { key, wrapped } = await keys().generate(context);
    expect(key).toHaveLength(32);
    expect(await keys().unwrap(wrapped, context)).toEqual(key);
    for (const change of [
      { tenant: 'ten_2' },
      { volume: 'vol-2' },
      { run: 'run-2' },
      { purpose: 'index' as const },
      { cell: 'us' },
    ]) {
      await expect(keys().unwrap(wrapped, { ...context, ...change })).rejects.toMatchObject({ code: 'wrong_key' });
    }
  });
});

test('a role that does not exist is refused, not thought insecure', async () => {
  const { sts } = world.worker.aws.for('eu-central-1');
  expect(await probeRole(sts, 'arn:aws:iam::222222222299:role/domicile-none', 'some-id')).toBe('refused');
});

test('a role that trusts everybody is seen to accept anything', async () => {
  const account = await world.control.account('222222222298');
  const iam = new IAMClient({ endpoint: world.sandbox.url, region: 'us-east-1', credentials: account });
  const trust = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRole' }],
  };
  await iam.send(new CreateRoleCommand({ RoleName: 'domicile-open', AssumeRolePolicyDocument: JSON.stringify(trust) }));
  const { sts } = world.worker.aws.for('eu-central-1');
  expect(await probeRole(sts, 'arn:aws:iam::222222222298:role/domicile-open', null)).toBe('accepted');
});
