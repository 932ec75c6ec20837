import { CreateRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServicePrincipal } from '../../src/aws/policies/vault-principals.ts';
import { checkBucket, openBlobStore } from '../../src/aws/s3-store.ts';
import { probeRole } from '../../src/aws/sessions.ts';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import type { TenantVault } from '../../src/cell/jobs/worker.ts';
import { CELL_ACCOUNT, openWorld, type World } from '../e2e/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const text = (value: string) => new TextEncoder().encode(value);
const tenantId = 'ten_eu_1';
/** Does something as one of the vault's principals, in this tenant. */
const as = <T>(principal: ServicePrincipal, work: (vault: TenantVault) => Promise<T>) =>
  inVault(world.worker, { principal, tenantId }, work);
const INDEX = 'v1/vol-1/index/run-1';

describe('the object store', () => {
  test('creates once, and says when an object is there already', async () => {
    await as('writer', async ({ store }) => {
      expect(await store.putNew(`${INDEX}/once`, text('first'))).toBe('created');
      expect(await store.putNew(`${INDEX}/once`, text('second'))).toBe('exists');
      expect(await store.get(`${INDEX}/once`)).toEqual(text('first'));
    });
  });

  test('reads ranges, lists in order, deletes, and knows what is missing', async () => {
    const within = 'v1/vol-2/index/run-1/';
    await as('writer', async ({ store }) => {
      for (const name of ['b', 'a', 'c']) await store.putNew(`${within}${name}`, text(`object ${name}`));
    });
    await as('deleter', async ({ store }) => {
      expect(await store.get(`${within}a`, { start: 7, length: 1 })).toEqual(text('a'));
      const found: string[] = [];
      for await (const { key } of store.list(within)) found.push(key);
      expect(found).toEqual(['a', 'b', 'c'].map((name) => `${within}${name}`));
      await store.delete([`${within}a`, `${within}never-was`]);
      await expect(store.get(`${within}a`)).rejects.toMatchObject({ code: 'object_missing' });
      const beyond = store.get(`${within}b`, { start: 1_000, length: 5 });
      await expect(beyond).rejects.toMatchObject({ code: 'object_corrupt' });
    });
  });

  test('names folders, and lists nothing of what lies in them', async () => {
    await as('writer', async ({ store }) => {
      for (const name of ['vol-5/packs/run-1/1', 'vol-4/roots/run-1', 'vol-4/roots/run-2'])
        await store.putNew(`v1/${name}`, text(name));
      const below = async (prefix: string) => {
        const found: string[] = [];
        for await (const folder of store.folders(prefix)) found.push(folder);
        return found;
      };
      const volumes = await below('v1/');
      expect(volumes).toEqual([...new Set(volumes)].toSorted((a, b) => (a < b ? -1 : 1)));
      expect(volumes).toEqual(expect.arrayContaining(['vol-4/', 'vol-5/']));
      expect(await below('v1/vol-4/')).toEqual(['roots/']);
      expect(await below('v1/vol-6/')).toEqual([]);
    });
  });

  test('tells what is missing from what it may not read, also beside a longer name', async () => {
    const pack = 'v1/vol-3/packs/run-1/0/00000000-aa';
    await as('writer', async ({ store }) => {
      await store.putNew(pack, text('sealed'));
      await expect(store.get(pack)).rejects.toMatchObject({ code: 'store_unavailable' });
      await expect(store.get(pack.slice(0, -1))).rejects.toMatchObject({ code: 'object_missing' });
      await expect(store.get(`${pack}a`)).rejects.toMatchObject({ code: 'object_missing' });
    });
    expect(await as('restorer', ({ store }) => store.get(pack))).toEqual(text('sealed'));
  });

  test('nothing is said to be missing where names may not be listed', async () => {
    const outside = as('restorer', ({ store }) => store.get('v2/anything'));
    await expect(outside).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  test('a bucket of somebody else is not used', async () => {
    const clients = world.worker.aws.for('eu-central-1');
    const place = {
      bucket: world.resources.bucket,
      expectedBucketOwner: '999999999999',
      prefix: '',
      awsRegion: 'eu-central-1',
    };
    const refused = { code: 'store_unavailable' };
    await expect(openBlobStore(clients, place).putNew('x', text('x'))).rejects.toMatchObject(refused);
    await expect(checkBucket(clients.s3, place)).rejects.toMatchObject(refused);
    await checkBucket(clients.s3, { ...place, expectedBucketOwner: CELL_ACCOUNT });
  });
});

describe('the key service', () => {
  const context = { cell: 'eu', tenant: tenantId, volume: 'vol-1', run: 'run-1', purpose: 'pack' as const };
  test('opens a key for its own tenant, volume, run and purpose only', async () => {
    const { key, wrapped } = await as('writer', ({ keys }) => keys.generate(context));
    expect(key).toHaveLength(32);
    await as('restorer', async ({ keys }) => {
      expect(await keys.unwrap(wrapped, context)).toEqual(key);
      for (const change of [{ volume: 'vol-2' }, { run: 'run-2' }, { purpose: 'index' as const }])
        await expect(keys.unwrap(wrapped, { ...context, ...change })).rejects.toMatchObject({ code: 'wrong_key' });
      for (const change of [{ tenant: 'ten_eu_2' }, { cell: 'us' }])
        await expect(keys.unwrap(wrapped, { ...context, ...change })).rejects.toMatchObject({
          code: 'key_unavailable',
        });
    });
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
