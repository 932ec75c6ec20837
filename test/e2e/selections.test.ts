import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RoleDocuments } from '../../src/stranger/customer-account.ts';
import { hashSnapshot, hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { Json, Tenant } from '../cell/harness.ts';
import { openWorld, TAG, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

let accounts = 0;
/** A tenant whose customer has an instance of a root volume and a data volume. */
async function onboarded(change?: (documents: RoleDocuments) => RoleDocuments, more: object = {}) {
  accounts += 1;
  const who = await world.customer(`2222222224${10 + accounts}`);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who, change, more);
  const ec2 = new EC2Client({
    endpoint: world.sandbox.url,
    region: 'eu-central-1',
    credentials: who.access.credentials,
  });
  const [root = '', data = ''] = who.volumeIds;
  return { ...who, tenant, connection, ec2, root, data };
}

async function planned(tenant: Tenant, selection: object): Promise<Json> {
  const rules = [{ name: 'often', cron: '* * * * *', timeZone: 'UTC', retention: { keepLast: 5 } }];
  const body = { name: 'often', rules, selections: [selection] };
  return (await tenant.call('POST', '/v1/backup-plans', { body })).json;
}
const points = async (tenant: Tenant): Promise<Json[]> => (await tenant.call('GET', '/v1/recovery-points')).json.items;
const jobs = async (tenant: Tenant): Promise<Json[]> => (await tenant.call('GET', '/v1/backup-jobs')).json.items;
const explained = async (tenant: Tenant): Promise<Json> => {
  const [instance] = (await tenant.call('GET', '/v1/instances')).json.items;
  return (await tenant.call('GET', `/v1/instances/${instance.id}/explain`)).json;
};
const ids = (volumes: Json[]) => volumes.map(({ volumeId }) => volumeId);

test('a volume that is excluded is in no snapshot; the point says by which rule, and gives back the others', async () => {
  const { tenant, connection, access, ec2, root, data } = await onboarded();
  await ec2.send(new CreateTagsCommand({ Resources: [data], Tags: [{ Key: 'purpose', Value: 'scratch-1' }] }));
  const rule = { tag: { key: 'purpose', value: 'scratch-*' } };
  const { selections } = await planned(tenant, { match: { tag: TAG }, excludeVolumes: [rule] });
  await world.scheduled(tenant);

  const [point] = await points(tenant);
  expect(point).toMatchObject({ state: 'COMPLETED', volumes: [{ volumeId: root }] });
  expect(point.excludedVolumes).toEqual([
    {
      volumeId: data,
      deviceName: '/dev/sdf',
      selectionId: selections[0].id,
      pointer: '/excludeVolumes/0',
      detail: 'tag purpose is "scratch-1"',
    },
  ]);
  const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  expect(Snapshots?.map(({ VolumeId }) => VolumeId)).toEqual([root]);

  const source = await hashSnapshot(access, point.volumes[0].snapshotId);
  const job = await world.restore(tenant, point.id, { connectionId: connection.id, awsRegion: 'eu-central-1' });
  expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ sourceVolumeId: root }] });
  expect((await hashVolume(access, job.volumes[0].volumeId)).sha256).toBe(source.sha256);
});

test('the root volume can be left out, by name too, and what is explained is what happens', async () => {
  for (const rule of ['root', 'volumeId'] as const) {
    const { tenant, root, data } = await onboarded();
    const value = { root: true, volumeId: root }[rule];
    await planned(tenant, { match: { tag: TAG }, excludeVolumes: [{ [rule]: value }] });
    const { plans } = await explained(tenant);
    await world.scheduled(tenant);
    const [point] = await points(tenant);
    expect(ids(point.volumes)).toEqual([data]);
    expect(ids(point.excludedVolumes)).toEqual([root]);
    expect(plans[0].includedVolumeIds).toEqual(ids(point.volumes));
    expect(plans[0].excludedVolumes).toEqual(point.excludedVolumes);
  }
});

test('an instance is not restored from a point that leaves out its root volume; its other volumes are', async () => {
  const { tenant, connection, data } = await onboarded();
  await planned(tenant, { match: { tag: TAG }, excludeVolumes: [{ root: true }] });
  await world.scheduled(tenant);
  const [point] = await points(tenant);
  const target = { connectionId: connection.id, awsRegion: 'eu-central-1' };
  expect(await world.restore(tenant, point.id, target, { type: 'instance' })).toMatchObject({
    code: 'invalid_request',
    errors: [{ pointer: '/recoveryPointId', detail: expect.stringContaining('root volume') }],
  });
  expect(await world.restore(tenant, point.id, target)).toMatchObject({
    state: 'COMPLETED',
    volumes: [{ sourceVolumeId: data }],
  });
});

test('with account storage, too, what is excluded gets no snapshot', async () => {
  const { tenant, ec2, root, data } = await onboarded(undefined, { storage: 'account' });
  await planned(tenant, { match: { tag: TAG }, excludeVolumes: [{ deviceName: '/dev/sd*' }] });
  await world.scheduled(tenant);
  const [point] = await points(tenant);
  expect(point).toMatchObject({ state: 'COMPLETED', storage: 'account' });
  expect([ids(point.volumes), ids(point.excludedVolumes)]).toEqual([[root], [data]]);
  const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  expect(Snapshots?.map(({ VolumeId }) => VolumeId)).toEqual([root]);
});

test('volumes are judged as they are at the backup: a tag that came since counts', async () => {
  const { tenant, ec2, root, data } = await onboarded();
  await planned(tenant, { match: { tag: TAG }, excludeVolumes: [{ tag: { key: 'backup', value: 'no' } }] });
  await world.scheduled(tenant);
  expect(ids((await points(tenant))[0].volumes).length).toBe(2);
  await ec2.send(new CreateTagsCommand({ Resources: [data], Tags: [{ Key: 'backup', Value: 'no' }] }));
  await world.scheduled(tenant);
  expect(ids((await points(tenant))[0].volumes)).toEqual([root]);
  // Both, and nothing is left to back up: the job says so, and AWS is asked for nothing.
  await ec2.send(new CreateTagsCommand({ Resources: [root], Tags: [{ Key: 'backup', Value: 'no' }] }));
  await world.scheduled(tenant);
  expect((await jobs(tenant))[0]).toMatchObject({
    state: 'FAILED',
    problem: { detail: expect.stringContaining('exclude each of the 2 volumes') },
  });
});

test('a job that is tried again says of its snapshots what was true when they were taken', async () => {
  const unreadable = (documents: RoleDocuments): RoleDocuments => ({
    ...documents,
    backupPolicy: JSON.parse(JSON.stringify(documents.backupPolicy).replace('"ebs:GetSnapshotBlock"', '"ebs:None"')),
  });
  const { tenant, connection, access, ec2, root, data } = await onboarded(unreadable);
  await planned(tenant, { match: { tag: TAG }, excludeVolumes: [{ tag: { key: 'backup', value: 'no' } }] });
  await world.scheduled(tenant);
  const [job] = await jobs(tenant);
  expect(job).toMatchObject({ state: 'PENDING', blocked: { reason: 'role' } });
  await ec2.send(new CreateTagsCommand({ Resources: [data], Tags: [{ Key: 'backup', Value: 'no' }] }));
  const iam = new IAMClient({
    endpoint: world.sandbox.url,
    region: 'eu-central-1',
    credentials: access.credentials,
  });
  await iam.send(
    new PutRolePolicyCommand({
      RoleName: connection.roleName,
      PolicyName: 'backup',
      PolicyDocument: JSON.stringify(connection.backupPolicy),
    }),
  );
  await world.run({ kind: 'backup', tenantId: tenant.tenantId, jobId: job.id });
  const [point] = await points(tenant);
  expect(new Set(ids(point.volumes))).toEqual(new Set([root, data]));
  expect(point.excludedVolumes).toEqual([]);
});

test('an instance that loses its tag is gone for us, one that is terminated is terminated, and both say so', async () => {
  const { tenant, connection, ec2, instanceId } = await onboarded();
  await planned(tenant, { connectionId: connection.id });
  expect((await explained(tenant)).protected).toBe(true);
  await ec2.send(new DeleteTagsCommand({ Resources: [instanceId], Tags: [{ Key: TAG.key }] }));
  await world.verify(tenant, connection.id);
  expect(await explained(tenant)).toMatchObject({
    state: 'gone',
    protected: false,
    obstacles: [{ code: 'instance_not_found', detail: expect.stringContaining(`tag ${TAG.key}=${TAG.value}`) }],
  });
  await world.scheduled(tenant);
  expect(await jobs(tenant)).toEqual([]);
  expect(await world.backUp(tenant, connection.id, instanceId)).toMatchObject({ code: 'instance_not_found' });

  await ec2.send(new CreateTagsCommand({ Resources: [instanceId], Tags: [{ Key: TAG.key, Value: TAG.value }] }));
  await world.verify(tenant, connection.id);
  expect((await explained(tenant)).protected).toBe(true);
  await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
  await expect
    .poll(
      async () => {
        await world.verify(tenant, connection.id);
        return (await explained(tenant)).state;
      },
      { timeout: 10_000, interval: 200 },
    )
    .toBe('terminated');
  expect((await explained(tenant)).obstacles).toMatchObject([{ code: 'instance_terminated' }]);
});
