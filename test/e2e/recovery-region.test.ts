import { createHash } from 'node:crypto';
import { IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKeyService } from '../../src/aws/kms-keys.ts';
import { vaultRoleName, vaultRolePolicy } from '../../src/aws/policies/vault-principals.ts';
import { backupKind } from '../../src/cell/jobs/backup.ts';
import { runJob } from '../../src/cell/jobs/runner.ts';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { createMemorySink, createMemoryStore } from '../../src/vault/memory.ts';
import { BLOCK_BYTES, type KeyOpener } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { copyVault } from './copied-vault.ts';
import { openWorld, type World } from './world.ts';

const VOLUME_BYTES = 2 ** 30;
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const clientConfig = async (region: string) => ({
  endpoint: world.sandbox.url,
  region,
  credentials: await world.control.account(world.worker.vault.bucketOwner),
});

/** A worker whose cell has a recovery region, with the rights that this takes. */
async function withRecoveryKey(awsRegion: string) {
  const kms = new KMSClient(await clientConfig(awsRegion));
  const iam = new IAMClient(await clientConfig('us-east-1'));
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
  const recoveryKeyArn = KeyMetadata?.Arn ?? '';
  const { vault, region } = world.worker;
  const { bucket, bucketOwner: awsAccountId, dataKeyArn } = vault;
  const account = { ...region, awsAccountId, bucket, dataKeyArns: [dataKeyArn], recoveryKeyArn };
  const policy = { RoleName: vaultRoleName('eu', 'writer'), PolicyName: 'vault' };
  const PolicyDocument = JSON.stringify(vaultRolePolicy('writer', account));
  await iam.send(new PutRolePolicyCommand({ ...policy, PolicyDocument }));
  iam.destroy();
  return { kms, recoveryKeyArn, worker: { ...world.worker, vault: { ...vault, recoveryKeyArn } } };
}

test('with the home region’s key gone, a copy opens with the recovery region’s key alone', async () => {
  const { kms, recoveryKeyArn, worker } = await withRecoveryKey('eu-west-1');
  const who = await world.customer('222222222261');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const body = { connectionId: connection.id, instanceId: who.instanceId };
  const { json: job } = await tenant.call('POST', '/v1/backup-jobs', { body });
  await runJob(worker, backupKind, { tenantId: tenant.tenantId, jobId: job.id });
  const after = (await tenant.call('GET', `/v1/backup-jobs/${job.id}`)).json;
  expect(after).toMatchObject({ state: 'COMPLETED', problem: null });
  const [volumeId = ''] = who.volumeIds;
  const { sha256 } = await hashVolume(who.access, volumeId);

  const store = createMemoryStore();
  for (const [name, bytes] of await copyVault(world, tenant.tenantId)) store.objects.set(name, bytes);
  const home = new KMSClient(await clientConfig('eu-central-1'));
  await home.send(new DisableKeyCommand({ KeyId: world.resources.dataKeyArn }));
  home.destroy();
  const restore = async (keys: KeyOpener) => {
    const sink = createMemorySink({ blockBytes: BLOCK_BYTES, volumeBytes: VOLUME_BYTES });
    const input = { cell: 'eu', tenantId: tenant.tenantId, volumeId, manifestKey: rootKey(volumeId, job.id) };
    await restoreVolume({ store, keys }, input, sink);
    const hash = createHash('sha256');
    const zeros = Buffer.alloc(BLOCK_BYTES);
    for (let n = 0; n < VOLUME_BYTES / BLOCK_BYTES; n += 1) hash.update(sink.image.get(n) ?? zeros);
    return hash.digest('hex');
  };
  expect(await restore(openKeyService(kms, recoveryKeyArn, 'eu-west-1'))).toBe(sha256);
  // Another key of that region is not the one, and a copy of another tenant's would not open: the context is the same as at home.
  const other = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
  await expect(restore(openKeyService(kms, other, 'eu-west-1'))).rejects.toMatchObject({ code: 'wrong_key' });
  kms.destroy();
});

test('a key outside the jurisdiction is never asked to wrap anything', async () => {
  const recoveryKeyArn = 'arn:aws:kms:us-east-1:111111111112:key/00000000-0000-0000-0000-000000000000';
  const worker = { ...world.worker, vault: { ...world.worker.vault, recoveryKeyArn } };
  const work = inVault(worker, { principal: 'writer', tenantId: 'ten_eu_x' }, async () => 'begun');
  await expect(work).rejects.toMatchObject({ code: 'residency_violation' });
  const calls = await world.control.callSummary();
  expect(calls.filter(({ service, awsRegion }) => service === 'kms' && awsRegion === 'us-east-1')).toEqual([]);
});
