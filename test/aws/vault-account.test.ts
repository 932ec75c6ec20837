import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { GetBucketPolicyCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toAwsFault } from '../../src/aws/faults.ts';
import { vaultDocuments } from '../../src/aws/policies/vault-account.ts';
import {
  type ServicePrincipal,
  type VaultPrincipal,
  vaultRoleArn,
  vaultRoleName,
} from '../../src/aws/policies/vault-principals.ts';
import { openKeyObjectStore } from '../../src/aws/s3-key-store.ts';
import { openBlobStore } from '../../src/aws/s3-store.ts';
import { vaultSession } from '../../src/aws/sessions.ts';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import type { TenantVault } from '../../src/cell/jobs/worker.ts';
import type { ObjectVersion } from '../../src/vault/key-store.ts';
import { actionsOn, type Attempt, OURS } from './vault-actions.ts';
import { AWS_REGION, CELL, EVERYTHING, openVaultAccount, type VaultWorld } from './vault-account.ts';

let vault: VaultWorld;
let on: ReturnType<typeof actionsOn>;
const dir = mkdtempSync(join(tmpdir(), 'vault-'));
beforeAll(async () => {
  vault = await openVaultAccount(dir);
  on = actionsOn(vault);
});
afterAll(async () => {
  await vault.close();
  rmSync(dir, { recursive: true, force: true });
});

const as = <T>(principal: ServicePrincipal, work: (vault: TenantVault) => Promise<T>) =>
  inVault(vault.worker, { principal, tenantId: OURS }, work);
const text = (value: string) => new TextEncoder().encode(value);
const refused = async (call: Promise<unknown>) => {
  const fault = await call.then(
    () => null,
    (error: unknown) => toAwsFault(error, 'try', AWS_REGION),
  );
  expect(fault?.code).toBe('missing_permission');
};

describe('a bucket of a vault', () => {
  /** A principal whose role may do everything, without a session's policy that would narrow it. */
  async function unbounded(principal: VaultPrincipal, attempts: readonly Attempt[]) {
    const { operator, tiers, account, clientsOf } = vault;
    const grant = { RoleName: vaultRoleName(CELL, principal), PolicyName: 'all' };
    await operator.iam.send(new PutRolePolicyCommand({ ...grant, PolicyDocument: EVERYTHING }));
    const { sts } = principal === 'key-admin' ? tiers.admin : tiers.connector;
    const policy = JSON.parse(EVERYTHING);
    const options = { name: 'unbounded', policy, awsRegion: AWS_REGION };
    const clients = clientsOf(vaultSession(sts, vaultRoleArn(account, principal), options));
    await on.read('pack')(clients);
    for (const attempt of attempts) await refused(attempt(clients));
    await operator.iam.send(new DeleteRolePolicyCommand(grant));
  }

  test('takes new objects only, from a principal too that IAM allows everything', () =>
    unbounded('writer', [on.create('pack', OURS, {}), on.replace('pack', true), on.replace('pack key', true)]));

  test('lets the key admin replace key objects, whatever else IAM allows it', () =>
    unbounded('key-admin', [on.create('pack', OURS, {}), on.replace('pack', true), on.replace('root', false)]));
});

test('the key admin replaces and destroys key objects, and is told which are gone', async () => {
  const { account, as: caller } = vault;
  const key = 'v1/vol-1/keys/run-1/gone/index';
  const place = { ...account, expectedBucketOwner: account.awsAccountId, prefix: `t/${OURS}/`, awsRegion: AWS_REGION };
  const store = openKeyObjectStore(caller('key-admin', OURS).s3, place);
  await as('writer', (tenant) => tenant.store.putNew(key, text('wrapped')));
  const { version } = await store.get(key);
  expect(await store.replace(key, text('wrapped anew'), version)).toBe('replaced');
  const versions: ObjectVersion[] = [];
  for await (const one of store.listVersions(key)) versions.push(one);
  expect(versions).toHaveLength(2);
  await store.deleteVersions(versions);
  await expect(store.get(key)).rejects.toMatchObject({ code: 'object_missing' });
  expect(await store.replace(key, text('back'), version)).toBe('changed');
});

test('an account as an earlier version left it is brought up to date, and again', async () => {
  const { operator, resources, account, prepare, as: caller } = vault;
  const [KeyId, Bucket] = [resources.dataKeyArn, account.bucket];
  const only = (Action: string[], Resource: string) => ({
    Sid: 'OnlyTheWorker',
    Effect: 'Deny',
    Principal: '*',
    Action,
    Resource,
    Condition: { ArnNotEquals: { 'aws:PrincipalArn': resources.connectorRoleArn } },
  });
  const everybody = {
    Effect: 'Allow',
    Principal: { AWS: 'arn:aws:iam::111111111112:root' },
    Action: 'kms:*',
    Resource: '*',
  };
  const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
  const older = {
    key: document(everybody, only(['kms:Decrypt', 'kms:ReEncryptFrom'], '*')),
    bucket: document(only(['s3:GetObject', 's3:PutObject', 's3:DeleteObject'], `arn:aws:s3:::${Bucket}/*`)),
  };
  const RoleName = resources.connectorRoleName;
  await operator.iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'tier', PolicyDocument: EVERYTHING }));
  const readsAsItself = on.read('root');
  const opensAsItself = on.openKey('index');
  const key = 'v1/vol-1/roots/run-older';
  const place = {
    bucket: Bucket,
    expectedBucketOwner: account.awsAccountId,
    prefix: `t/${OURS}/`,
    awsRegion: AWS_REGION,
  };
  await operator.kms.send(new PutKeyPolicyCommand({ KeyId, Policy: older.key }));
  await operator.s3.send(new PutBucketPolicyCommand({ Bucket, Policy: older.bucket }));
  await openBlobStore(caller('connector', OURS), place).putNew(key, text('of an older version'));

  for (const turn of ['upgraded', 'and again']) {
    expect(await prepare(), turn).toEqual(resources);
    const { bucketPolicy, dataKeyPolicy } = vaultDocuments(account, resources.connectorRoleArn);
    const { Policy: ofBucket = '' } = await operator.s3.send(new GetBucketPolicyCommand({ Bucket }));
    const { Policy: ofKey = '' } = await operator.kms.send(new GetKeyPolicyCommand({ KeyId }));
    expect([JSON.parse(ofBucket), JSON.parse(ofKey)], turn).toEqual([bucketPolicy, dataKeyPolicy]);
    await refused(readsAsItself(caller('connector', OURS)));
    await refused(opensAsItself(caller('connector', OURS)));
    expect(await as('restorer', ({ store }) => store.get(key)), turn).toEqual(text('of an older version'));
  }
});

test('a step that takes longer than a session goes on with a new one, by the SDK and by the lean client', async () => {
  const context = { cell: CELL, tenant: OURS, volume: 'vol-1', run: 'run-1', purpose: 'index' as const };
  const named = (name: string) => `v1/vol-1/roots/${name}`;
  // Its sessions have two minutes left by our clock, which is as good as over: the SDK asks for new ones before each call.
  vault.sandbox.clock.move(-58 * 60_000);
  await as('writer', async ({ store, keys, credentials, place }) => {
    expect(await store.putNew(named('run-early'), text('early'))).toBe('created');
    const first = await credentials();
    vault.sandbox.clock.move(6 * 60_000);
    expect(await store.putNew(named('run-late'), text('late'))).toBe('created');
    expect(await store.get(named('run-early'))).toEqual(text('early'));
    const found: string[] = [];
    for await (const { key } of store.list(named('run-late'))) found.push(key);
    expect(found).toEqual([named('run-late')]);
    expect((await keys.generate(context)).key).toHaveLength(32);
    const second = await credentials();
    expect(second.accessKeyId).not.toBe(first.accessKeyId);
    const { expiration: _, ...lasting } = first;
    const over = openBlobStore(vault.clientsOf(lasting), place).get(named('run-early'));
    await expect(over).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});
