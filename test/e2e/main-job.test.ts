import {
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { DeleteRoleCommand, DeleteRolePolicyCommand, IAMClient } from '@aws-sdk/client-iam';
import { DisableKeyCommand, EnableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyRetention } from '../../src/cell/jobs/retention.ts';
import { createRole } from '../../src/stranger/customer-account.ts';
import { hashSnapshot, hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { Json, Tenant } from '../cell/harness.ts';
import { openWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

let accounts = 0;
/** A tenant with a connected customer of its own. */
async function onboarded() {
  accounts += 1;
  const who = await world.customer(`2222222222${10 + accounts}`);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  expect(connection).toMatchObject({ state: 'CONNECTED', missing: [] });
  const config = { endpoint: world.sandbox.url, region: 'eu-central-1', credentials: who.access.credentials };
  const [ec2, iam, kms] = [new EC2Client(config), new IAMClient(config), new KMSClient(config)];
  return {
    ...who,
    tenant,
    connection,
    ec2,
    iam,
    kms,
    backUp: (retention?: object) => world.backUp(tenant, connection.id, who.instanceId, retention),
  };
}
const pointOf = async (tenant: Tenant, job: Json) =>
  (await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json;

async function ourSnapshots(ec2: EC2Client): Promise<string[]> {
  const { Snapshots } = await ec2.send(
    new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters: [{ Name: 'tag:managed-by', Values: ['domicile'] }] }),
  );
  return (Snapshots ?? []).map((snapshot) => snapshot.SnapshotId ?? '').toSorted();
}

async function deleteRole(iam: IAMClient, RoleName: string) {
  for (const PolicyName of ['backup', 'restore']) await iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName }));
  await iam.send(new DeleteRoleCommand({ RoleName }));
}

test('a full and an incremental point both give back the same bytes, encrypted and tagged as before', async () => {
  const { tenant, connection, access, volumeIds, kmsKeyArn, write, ec2, backUp } = await onboarded();
  const sources: Map<string, string>[] = [];
  const points: Json[] = [];
  for (const kind of ['full', 'incremental']) {
    const job = await backUp();
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    const point = await pointOf(tenant, job);
    expect(point.kind).toBe(kind);
    points.push(point);
    const hashes = new Map<string, string>();
    for (const volume of point.volumes)
      hashes.set(volume.volumeId, (await hashSnapshot(access, volume.snapshotId)).sha256);
    sources.push(hashes);
    // Nothing of ours is left over but the base of each volume.
    expect(await ourSnapshots(ec2)).toEqual(point.volumes.map((volume: Json) => volume.snapshotId).toSorted());
    for (const volumeId of volumeIds) await write(volumeId, 1_000_000, 700_000);
  }
  for (const [n, point] of points.entries()) {
    const job = await world.restore(tenant, point.id, { connectionId: connection.id, awsRegion: 'eu-central-1' });
    expect(job).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    for (const restored of job.volumes) {
      expect((await hashVolume(access, restored.volumeId)).sha256).toBe(sources[n]?.get(restored.sourceVolumeId));
      const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [restored.volumeId] }));
      expect(Volumes?.[0]).toMatchObject({ Encrypted: true, VolumeType: 'gp3' });
      if (restored.sourceVolumeId === volumeIds[1]) expect(Volumes?.[0]?.KmsKeyId).toBe(kmsKeyArn);
      expect(Volumes?.[0]?.Tags).toContainEqual({ Key: 'Name', Value: 'db' });
    }
  }
  expect(await ourSnapshots(ec2)).toHaveLength(2);
});

describe('a role', () => {
  test('that works without the External ID is INSECURE and never used', async () => {
    const who = await world.customer('222222222301');
    const tenant = await world.cell.newTenant();
    const open = (documents: Json) => ({
      ...documents,
      trustPolicy: JSON.parse(
        JSON.stringify(documents.trustPolicy).replace(/"StringEquals":\{"sts:ExternalId":"[^"]+"\},?/, ''),
      ),
    });
    const connection = await world.connect(tenant, who, open);
    expect(connection.state).toBe('INSECURE');
    expect(await world.backUp(tenant, connection.id, who.instanceId)).toMatchObject({ code: 'connection_not_usable' });
    expect(
      await ourSnapshots(
        new EC2Client({ endpoint: world.sandbox.url, region: 'eu-central-1', credentials: who.access.credentials }),
      ),
    ).toEqual([]);
  });

  test('with another External ID in its trust policy is not connected', async () => {
    const who = await world.customer('222222222302');
    const tenant = await world.cell.newTenant();
    const other = (documents: Json) => ({
      ...documents,
      trustPolicy: JSON.parse(
        JSON.stringify(documents.trustPolicy).replace(documents.externalId, 'ffffffff-ffff-4fff-8fff-ffffffffffff'),
      ),
    });
    expect(await world.connect(tenant, who, other)).toMatchObject({
      state: 'PENDING',
      stateDetail: expect.stringContaining('trust policy'),
    });
  });

  test('that is deleted blocks the job, which resumes by itself when it is back', async () => {
    const { tenant, connection, iam, access, backUp } = await onboarded();
    expect((await backUp()).state).toBe('COMPLETED');
    await deleteRole(iam, connection.roleName);
    const job = await backUp();
    expect(job).toMatchObject({ state: 'PENDING', blocked: { reason: 'role' } });
    await createRole(access, connection);
    await world.run({ kind: 'backup', tenantId: tenant.tenantId, jobId: job.id });
    expect((await tenant.call('GET', `/v1/backup-jobs/${job.id}`)).json).toMatchObject({
      state: 'COMPLETED',
      blocked: null,
    });
  });

  test('that lacks one right blocks the job, which names the right', async () => {
    const who = await world.customer('222222222303');
    const tenant = await world.cell.newTenant();
    const without = (documents: Json) => ({
      ...documents,
      backupPolicy: JSON.parse(
        JSON.stringify(documents.backupPolicy).replace('"ebs:GetSnapshotBlock"', '"ebs:Nothing"'),
      ),
    });
    const connection = await world.connect(tenant, who, without);
    const job = await world.backUp(tenant, connection.id, who.instanceId);
    expect(job).toMatchObject({
      state: 'PENDING',
      blocked: { reason: 'role', detail: expect.stringContaining('ebs:GetSnapshotBlock') },
    });
  });

  test('that was deleted is noticed by the next verification', async () => {
    const { tenant, connection, iam } = await onboarded();
    await deleteRole(iam, connection.roleName);
    await world.verify(tenant, connection.id);
    expect((await tenant.call('GET', `/v1/connections/${connection.id}`)).json.state).toBe('DISCONNECTED');
  });
});

describe('a backup', () => {
  test('is full again, and says why, when the customer deleted the base', async () => {
    const { tenant, ec2, backUp } = await onboarded();
    const first = await pointOf(tenant, await backUp());
    for (const { snapshotId } of first.volumes) await ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
    const second = await pointOf(tenant, await backUp());
    expect(second.kind).toBe('full');
    expect(second.volumes.map((volume: Json) => volume.reason)).toEqual(['lineage_lost', 'lineage_lost']);
  });

  test('of a terminated instance says so and leaves nothing behind', async () => {
    const { instanceId, ec2, backUp } = await onboarded();
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    expect(await backUp()).toMatchObject({
      state: 'FAILED',
      problem: { code: expect.stringMatching(/^instance_(terminated|not_found)$/) },
    });
    expect(await ourSnapshots(ec2)).toEqual([]);
  });

  test('under a disabled key fails with the reason, and works when the key is back', async () => {
    const { tenant, kms, kmsKeyArn, ec2, backUp } = await onboarded();
    await kms.send(new DisableKeyCommand({ KeyId: kmsKeyArn }));
    const job = await backUp();
    expect(['snapshot_failed', 'key_access_denied']).toContain(
      job.problem?.code ?? (job.blocked?.reason === 'key' ? 'key_access_denied' : 'snapshot_failed'),
    );
    expect(['PENDING', 'FAILED']).toContain(job.state);
    await kms.send(new EnableKeyCommand({ KeyId: kmsKeyArn }));
    for (const snapshotId of await ourSnapshots(ec2))
      await ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
    expect((await backUp()).state).toBe('COMPLETED');
    expect((await tenant.call('GET', '/v1/recovery-points')).json.items).toHaveLength(1);
  });

  test('keeps what retention says, and the bucket with it', async () => {
    const { tenant, connection, instanceId, write, volumeIds, backUp } = await onboarded();
    const s3 = new S3Client({
      endpoint: world.sandbox.url,
      region: 'eu-central-1',
      forcePathStyle: true,
      credentials: await world.control.account('111111111112'),
    });
    const objects = async () =>
      (await s3.send(new ListObjectsV2Command({ Bucket: world.resources.bucket, Prefix: `t/${tenant.tenantId}/` })))
        .Contents ?? [];
    const plan = await tenant.call('POST', '/v1/backup-plans', {
      body: {
        name: 'p',
        rules: [{ name: 'r', cron: '0 0 * * *', timeZone: 'UTC', retention: { keepLast: 2 } }],
        selections: [{ connectionId: connection.id }],
      },
    });
    expect(plan.status).toBe(201);
    const job = await backUp({ deleteAfterDays: 1 });
    expect(job.state).toBe('COMPLETED');
    const before = (await objects()).length;
    expect(before).toBeGreaterThan(0);
    for (const volumeId of volumeIds) await write(volumeId, 0, 2_000_000);
    expect((await backUp({ deleteAfterDays: 1 })).state).toBe('COMPLETED');
    const later = { ...world.worker.clock, now: () => new Date(Date.now() + 2 * 86_400_000) };
    await applyRetention(
      { ...world.worker, clock: later },
      { tenantId: tenant.tenantId, connectionId: connection.id, instanceId },
    );
    expect((await tenant.call('GET', '/v1/recovery-points')).json.items).toEqual([]);
    // What is left belongs to the base of the next incremental.
    expect((await backUp()).state).toBe('COMPLETED');
  });
});

describe('outside the jurisdiction', () => {
  test('a target is refused before any call to AWS', async () => {
    const { tenant, connection, backUp } = await onboarded();
    const point = await pointOf(tenant, await backUp());
    const calls = async () => (await world.control.callSummary()).reduce((sum, call) => sum + call.count, 0);
    const before = await calls();
    expect(
      await world.restore(tenant, point.id, { connectionId: connection.id, awsRegion: 'eu-west-2' }),
    ).toMatchObject({ code: 'residency_violation', status: 422 });
    expect(await calls()).toBe(before);
  });
});

test('a dry run makes nothing and says what it would need', async () => {
  const { tenant, connection, ec2, backUp } = await onboarded();
  const point = await pointOf(tenant, await backUp());
  const before = (await ec2.send(new DescribeVolumesCommand({}))).Volumes?.length;
  const job = await world.restore(
    tenant,
    point.id,
    { connectionId: connection.id, awsRegion: 'eu-central-1' },
    { dryRun: true },
  );
  expect(job).toMatchObject({ state: 'COMPLETED', volumes: [] });
  expect(job.checks.every((check: Json) => check.ok)).toBe(true);
  expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes).toHaveLength(before ?? -1);
  expect(await ourSnapshots(ec2)).toHaveLength(2);
});
