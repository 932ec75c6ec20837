import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { vaultRoleName, vaultRolePolicy } from '../../src/aws/policies/vault-principals.ts';
import type { Context } from '../../src/cli/context.ts';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import type { Json } from '../cell/harness.ts';
import { keyAdminSession } from '../e2e/key-admin.ts';
import { CELL_ACCOUNT, openWorld, type World } from '../e2e/world.ts';
import { newFolder } from './command.ts';
import { runHere } from './here.ts';
import { environmentOf } from './vault-aws.ts';

let world: World;
let tenantId = '';
let volumes: string[] = [];
let newKeyArn = '';
let admin: Record<string, string> = {};
let kms: KMSClient;
const cwd = newFolder();

/** The worker's roles and the key admin's as an operator makes them while a data key is changed: with both keys. */
async function allowBothKeys(): Promise<void> {
  const credentials = await world.control.account(CELL_ACCOUNT);
  const iam = new IAMClient({ endpoint: world.sandbox.url, region: 'us-east-1', credentials });
  const dataKeyArns = [world.resources.dataKeyArn, newKeyArn];
  const account = {
    partition: 'aws',
    cell: 'eu',
    awsAccountId: CELL_ACCOUNT,
    bucket: world.resources.bucket,
    dataKeyArns,
  };
  for (const principal of ['key-admin', 'restorer'] as const) {
    const PolicyDocument = JSON.stringify(vaultRolePolicy(principal, account));
    const RoleName = vaultRoleName('eu', principal);
    await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'both-keys', PolicyDocument }));
  }
  iam.destroy();
}

beforeAll(async () => {
  world = await openWorld();
  const customer = await world.customer('222222222251');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, customer);
  const job = await world.backUp(tenant, connection.id, customer.instanceId);
  expect(job).toMatchObject({ state: 'COMPLETED' });
  tenantId = tenant.tenantId;
  volumes = customer.volumeIds.toSorted();
  const credentials = await world.control.account(CELL_ACCOUNT);
  kms = new KMSClient({ endpoint: world.sandbox.url, region: 'eu-central-1', credentials });
  newKeyArn = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
  await allowBothKeys();
  const session = await keyAdminSession(world, tenantId, [newKeyArn]);
  const { accessKeyId, secretAccessKey, sessionToken = '' } = await session.credentials();
  session.close();
  admin = {
    AWS_ENDPOINT_URL: world.sandbox.url,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  };
});
afterAll(async () => {
  vi.unstubAllEnvs();
  kms.destroy();
  await world.close();
});

/** Runs one command of `vault` with these credentials, as a shell's environment holds them. */
async function vault(args: readonly string[], aws = admin, change: Partial<Context> = {}) {
  for (const [name, value] of Object.entries(aws)) vi.stubEnv(name, value); // The SDK reads them by itself.
  const place = ['--bucket', world.resources.bucket, '--tenant', tenantId];
  return runHere(['vault', ...args, ...place], cwd, { environment: { aws }, ...change });
}
/** Who reads the vault with both keys, and what is wrong with each point: null when it opens. */
async function problems(): Promise<Record<string, string | null>> {
  const { stdout } = await vault(['ls', '--json'], await environmentOf(world, 'restorer', tenantId, [newKeyArn]));
  const { items } = JSON.parse(stdout);
  return Object.fromEntries(items.map(({ volumeId, problem }: Json) => [volumeId, problem]));
}
const everyVolume = (problem: string | null) => Object.fromEntries(volumes.map((volumeId) => [volumeId, problem]));

describe('vault rekey', () => {
  const change = () => ['rekey', '--from', world.resources.dataKeyArn, '--to', newKeyArn];

  test('a dry run names every key object, and changes none', async () => {
    for (let again = 0; again < 2; again += 1) {
      const { code, stdout } = await vault([...change(), '--dry-run']);
      const { items } = JSON.parse(stdout);
      expect(code).toBe(0);
      expect(
        items.map(({ volumeId, objects, done, left, result }: Json) => [volumeId, objects.length, done, left, result]),
      ).toEqual(volumes.map((volumeId) => [volumeId, 2, 0, [], null]));
    }
  });

  test('wraps all keys for the new key: with the old one disabled every point opens', async () => {
    const { code, stdout } = await vault(change());
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/WRAPPED/) });
    await kms.send(new DisableKeyCommand({ KeyId: world.resources.dataKeyArn }));
    expect(await problems()).toEqual(everyVolume(null));
    const { items } = JSON.parse((await vault([...change(), '--dry-run'])).stdout);
    expect(items.map(({ objects, done }: Json) => [objects.length, done])).toEqual(volumes.map(() => [0, 2]));
  });

  test('adds the tenant’s own key, with which the vault is read from then on', async () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 3_072 });
    writeFileSync(join(cwd, 'key.pub.pem'), pair.publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(join(cwd, 'key.pem'), pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const restorer = await environmentOf(world, 'restorer', tenantId);
    const read = () => vault(['ls', '--json', '--recovery-key', 'key.pem'], restorer);
    expect((await read()).code).toBe(1);
    const { code } = await vault(['rekey', '--from', newKeyArn, '--add-recipient', 'key.pub.pem']);
    expect([code, (await read()).code]).toEqual([0, 0]);
    expect((await vault(['rekey', '--from', newKeyArn, '--add-recipient', 'key.pem'])).code).toBe(2);
  });

  test('says what is left, with exit code 1, when neither key opens it', async () => {
    const third = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
    const { code, stderr } = await vault(['rekey', '--from', third, '--to', third.replace(/.$/, 'x'), '--dry-run']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('4 key objects are as they were')]);
  });

  test('is nobody’s but the key admin’s', async () => {
    const restorer = await environmentOf(world, 'restorer', tenantId, [newKeyArn]);
    const pem = ['--add-key', world.resources.dataKeyArn];
    const { code, stderr } = await vault(['rekey', '--from', newKeyArn, ...pem], restorer);
    expect([code, stderr]).toEqual([expect.any(Number), expect.stringMatching(/not authorized|cannot be used/)]);
    expect(code).not.toBe(0);
  });
});

describe('vault shred', () => {
  const [of, typed] = [
    (volumeId: string | undefined) => ['shred', '--volume', volumeId ?? ''],
    (text: string): Partial<Context> => ({ askSecret: async () => text }),
  ];

  test('a dry run names every version, without asking, and destroys none', async () => {
    const { code, stdout } = await vault([...of(volumes[0]), '--dry-run']);
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      {
        tenantId,
        volumeIds: [volumes[0]],
        keyObjects: 2,
        versions: expect.arrayContaining([expect.objectContaining({ deleteMarker: false })]),
        alsoLost: [],
      },
    ]);
    expect(JSON.parse(stdout).versions).toHaveLength(6); // Twice wrapped anew.
    expect(await problems()).toEqual(everyVolume(null));
  });

  test('destroys nothing until its name is typed', async () => {
    for (const change of [{}, typed(''), typed(volumes[1] ?? '')]) {
      const { code } = await vault(of(volumes[0]), admin, change);
      expect(code).toBe(2);
    }
    expect((await vault(['shred'])).code).toBe(2);
    expect((await vault([...of(volumes[0]), '--all', '--yes'])).code).toBe(2);
    expect(await problems()).toEqual(everyVolume(null));
  });

  test('of a tenant whose volumes share blocks is refused to who cannot say which other points are lost', async () => {
    await inVault(world.worker, { principal: 'writer', tenantId }, ({ store }) =>
      store.putNew(`v1/shared/keys/dedup/${'0'.repeat(32)}/index`, new Uint8Array(3)),
    );
    expect(JSON.parse((await vault([...of(volumes[0]), '--dry-run'])).stdout)).toMatchObject({ alsoLost: null });
    const { code, stderr } = await vault([...of(volumes[0]), '--yes']);
    expect([code, stderr]).toEqual([5, expect.stringContaining('--even-shared')]);
    expect(await problems()).toEqual(everyVolume(null));
  });

  test('destroys the keys of one volume for good, says how many, and leaves the other', async () => {
    const { code, stdout } = await vault(
      [...of(volumes[0]), '--json', '--even-shared'],
      admin,
      typed(volumes[0] ?? ''),
    );
    expect([code, JSON.parse(stdout)]).toMatchObject([
      0,
      {
        tenantId,
        volumeIds: [volumes[0]],
        keyObjects: 2,
        versions: 6,
        namesSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
    expect(await problems()).toEqual({ ...everyVolume(null), [volumes[0] ?? '']: 'object_missing' });
  });

  test('of a whole tenant leaves no key of any volume', async () => {
    const { code, stdout } = await vault(['shred', '--all', '--yes', '--json']);
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { volumeIds: ['shared', volumes[1]], keyObjects: 3 }]);
    expect(await problems()).toEqual(everyVolume('object_missing'));
  });
});
