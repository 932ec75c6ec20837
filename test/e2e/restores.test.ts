import {
  CreateKeyPairCommand,
  DescribeImagesCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  EC2Client,
  type Instance,
  RunInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { Json } from '../cell/harness.ts';
import { openWorld, TAG, type World } from './world.ts';

const REGION = 'eu-central-1';
const LINUX = 'ami-0d0111c11e0000001';
const USER_DATA = Buffer.from('#!/bin/sh\necho password=hunter2\n').toString('base64');

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

let accounts = 30;
const nextAccount = () => `2222222223${(accounts += 1)}`;

const ec2At = (access: { credentials: { accessKeyId: string; secretAccessKey: string } }, region = REGION) =>
  new EC2Client({ endpoint: world.sandbox.url, region, credentials: access.credentials });

async function instanceAt(ec2: EC2Client, instanceId: string): Promise<Instance> {
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
  const instance = Reservations?.[0]?.Instances?.[0];
  if (!instance) throw new Error(`no ${instanceId}`);
  return instance;
}
const devicesOf = (instance: Instance): Map<string, string> =>
  new Map((instance.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) => [DeviceName ?? '', Ebs?.VolumeId ?? '']));
const untilState = (ec2: EC2Client, instanceId: string, state: string) =>
  expect.poll(async () => (await instanceAt(ec2, instanceId)).State?.Name, { timeout: 10_000 }).toBe(state);

/** A customer whose instance has everything that a restore must bring back. */
async function furnished(more: object = {}, imageId = LINUX) {
  const who = await world.customer(nextAccount());
  const ec2 = ec2At(who.access);
  await ec2.send(new CreateKeyPairCommand({ KeyName: 'ops' }));
  const { Subnets } = await ec2.send(new DescribeSubnetsCommand({}));
  const { Instances } = await ec2.send(
    new RunInstancesCommand({
      ImageId: imageId,
      InstanceType: 't3.large',
      MinCount: 1,
      MaxCount: 1,
      SubnetId: Subnets?.[1]?.SubnetId,
      PrivateIpAddress: Subnets?.[1]?.CidrBlock?.replace(/\.0\/.*$/, '.77'),
      KeyName: 'ops',
      UserData: USER_DATA,
      MetadataOptions: { HttpTokens: 'required' },
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { VolumeSize: 1, VolumeType: 'gp3', Iops: 4000, Throughput: 200 } },
        {
          DeviceName: '/dev/sdf',
          Ebs: { VolumeSize: 2, VolumeType: 'gp2', Encrypted: true, KmsKeyId: who.kmsKeyArn },
        },
      ],
      TagSpecifications: [
        {
          ResourceType: 'instance',
          Tags: [
            { Key: TAG.key, Value: TAG.value },
            { Key: 'Name', Value: 'ledger' },
            { Key: 'team', Value: 'payments' },
          ],
        },
        { ResourceType: 'volume', Tags: [{ Key: 'of', Value: 'ledger' }] },
      ],
    }),
  );
  const instanceId = Instances?.[0]?.InstanceId ?? '';
  await untilState(ec2, instanceId, 'running');
  const source = await instanceAt(ec2, instanceId);
  const devices = devicesOf(source);
  for (const volumeId of devices.values()) await who.write(volumeId, 0, 2_500_000);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who, undefined, more);
  expect(connection).toMatchObject({ state: 'CONNECTED', missing: [] });
  const job = await world.backUp(tenant, connection.id, instanceId);
  expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
  const hashes = new Map<string, string>();
  for (const [device, volumeId] of devices) hashes.set(device, (await hashVolume(who.access, volumeId)).sha256);
  return {
    ...who,
    ec2,
    tenant,
    connection,
    instanceId,
    source,
    devices,
    hashes,
    pointId: job.recoveryPointId as string,
  };
}
type Furnished = Awaited<ReturnType<typeof furnished>>;

const restore = (from: Furnished, more: object, target: object = {}) =>
  world.restore(from.tenant, from.pointId, { connectionId: from.connection.id, awsRegion: REGION, ...target }, more);

async function expectSameBytes(from: Furnished, instance: Instance, access = from.access) {
  for (const [device, volumeId] of devicesOf(instance))
    expect([device, (await hashVolume(access, volumeId)).sha256]).toEqual([device, from.hashes.get(device)]);
}

/** What restores made and what is ours: all that carries our tag. */
async function ours(ec2: EC2Client, jobId: string) {
  const Filters = [{ Name: 'tag:domicile:job', Values: [jobId] }];
  const [snapshots, images, volumes] = await Promise.all([
    ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters })),
    ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters })),
    ec2.send(new DescribeVolumesCommand({ Filters })),
  ]);
  return {
    snapshots: (snapshots.Snapshots ?? []).map(({ SnapshotId }) => SnapshotId ?? ''),
    images: (images.Images ?? []).map(({ ImageId }) => ImageId ?? ''),
    volumes: (volumes.Volumes ?? []).map(({ VolumeId }) => VolumeId ?? ''),
  };
}

describe('an instance', () => {
  test('comes back with its configuration, tags, and every volume at its device', async () => {
    const from = await furnished();
    const { ec2, source } = from;
    const job = await restore(from, { type: 'instance' });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null, leftovers: [] });
    const made = await instanceAt(ec2, job.instance.instanceId);
    expect(made.InstanceId).not.toBe(source.InstanceId);
    for (const field of [
      'InstanceType',
      'SubnetId',
      'KeyName',
      'Architecture',
      'RootDeviceName',
      'PlatformDetails',
    ] as const)
      expect([field, made[field]]).toEqual([field, source[field]]);
    expect(made.SecurityGroups?.map(({ GroupId }) => GroupId)).toEqual(
      source.SecurityGroups?.map(({ GroupId }) => GroupId),
    );
    expect(made.MetadataOptions?.HttpTokens).toBe('required');
    for (const tag of source.Tags ?? []) expect(made.Tags).toContainEqual(tag);
    const { UserData } = await ec2.send(
      new DescribeInstanceAttributeCommand({ InstanceId: made.InstanceId, Attribute: 'userData' }),
    );
    expect(UserData?.Value).toBe(USER_DATA);
    expect([...devicesOf(made).keys()]).toEqual([...from.devices.keys()]);
    await expectSameBytes(from, made);
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [...devicesOf(made).values()] }));
    expect(Volumes?.every(({ Encrypted }) => Encrypted)).toBe(true);
    expect(Volumes?.find(({ Size }) => Size === 1)).toMatchObject({ VolumeType: 'gp3', Iops: 4000, Throughput: 200 });
    expect(Volumes?.find(({ Size }) => Size === 2)).toMatchObject({ VolumeType: 'gp2', KmsKeyId: from.kmsKeyArn });
    for (const { Tags } of Volumes ?? []) expect(Tags).toContainEqual({ Key: 'of', Value: 'ledger' });
    // The source still has its address, so that AWS gave another: the job says so.
    expect(made.PrivateIpAddress).not.toBe(source.PrivateIpAddress);
    expect(job.checks).toContainEqual(expect.objectContaining({ check: 'private address' }));
    // What was made on the way is gone again.
    expect(await ours(ec2, job.id)).toMatchObject({ snapshots: [], images: [] });
  });

  test('keeps its user data sealed in the database', async () => {
    const from = await furnished();
    const one = sql`select instance::text as text from recovery_points where id = ${from.pointId}`;
    const { rows } = await inTenant(world.cell.database.worker, from.tenant.tenantId, (tx) =>
      tx.execute<{ text: string }>(one),
    );
    const text = rows.map((row) => row.text).join();
    expect(text).toContain('wrappedKey');
    expect(text).not.toContain(USER_DATA);
    expect(text).not.toContain('hunter2');
  });

  test('takes other choices than the source had', async () => {
    const from = await furnished();
    const { Subnets } = await from.ec2.send(new DescribeSubnetsCommand({}));
    const instance = {
      instanceType: 't3.small',
      subnetId: Subnets?.[2]?.SubnetId,
      keyName: null,
      userData: null,
      requireImdsV2: false,
      tags: { Name: 'ledger-copy', [TAG.key]: 'no' },
    };
    const volumes = [{ sourceVolumeId: from.devices.get('/dev/sdf'), volumeType: 'gp3', iops: 5000, sizeGiB: 3 }];
    const job = await restore(from, { type: 'instance', instance, volumes });
    expect(job).toMatchObject({ state: 'COMPLETED' });
    const made = await instanceAt(from.ec2, job.instance.instanceId);
    expect(made).toMatchObject({ InstanceType: 't3.small', SubnetId: instance.subnetId });
    expect(made.KeyName ?? null).toBeNull();
    expect(made.MetadataOptions?.HttpTokens).toBe('optional');
    expect(made.Tags).toContainEqual({ Key: 'Name', Value: 'ledger-copy' });
    const { Volumes } = await from.ec2.send(
      new DescribeVolumesCommand({ VolumeIds: [devicesOf(made).get('/dev/sdf') ?? ''] }),
    );
    expect(Volumes?.[0]).toMatchObject({ Size: 3, VolumeType: 'gp3', Iops: 5000 });
  });

  test('goes on where it stopped when a right is given back, and makes nothing twice', async () => {
    const from = await furnished();
    const iam = new IAMClient({ endpoint: world.sandbox.url, region: REGION, credentials: from.access.credentials });
    const put = (text: string) =>
      iam.send(
        new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument: text }),
      );
    const whole = JSON.stringify(from.connection.restorePolicy);
    await put(whole.replaceAll('"ec2:RegisterImage"', '"ec2:Nothing"'));
    const stopped = await restore(from, { type: 'instance' });
    expect(stopped).toMatchObject({
      state: 'PENDING',
      blocked: { reason: 'role', detail: expect.stringContaining('ec2:RegisterImage') },
    });
    const before = await ours(from.ec2, stopped.id);
    expect(before.snapshots).toHaveLength(2);
    await put(whole);
    await world.run({ kind: 'restore', tenantId: from.tenant.tenantId, jobId: stopped.id });
    const job = (await from.tenant.call('GET', `/v1/restore-jobs/${stopped.id}`)).json;
    expect(job).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    expect(job.volumes.every((volume: Json) => volume.blocksWritten > 0)).toBe(true);
    await expectSameBytes(from, await instanceAt(from.ec2, job.instance.instanceId));
  });

  test('without a clean-up role names exactly what is left', async () => {
    const from = await furnished({ cleanUp: false });
    const job = await restore(from, { type: 'instance' });
    expect(job.state).toBe('COMPLETED');
    const left = await ours(from.ec2, job.id);
    expect(left.images).toHaveLength(1);
    expect(job.leftovers.toSorted()).toEqual([...left.snapshots, ...left.images].toSorted());
  });

  test('goes to another account of the tenant', async () => {
    const from = await furnished();
    const other = await world.customer(nextAccount());
    const target = await world.connect(from.tenant, other);
    const elsewhere = ec2At(other.access);
    const { Subnets } = await elsewhere.send(new DescribeSubnetsCommand({}));
    const place = { connectionId: target.id, kmsKeyArn: other.kmsKeyArn };
    const without = await restore(from, { type: 'instance' }, place);
    expect(without).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/instance/subnetId' }] });
    const instance = { subnetId: Subnets?.[0]?.SubnetId };
    const job = await restore(from, { type: 'instance', instance }, place);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    await expectSameBytes(from, await instanceAt(elsewhere, job.instance.instanceId), other.access);
  });
});

describe('in place', () => {
  test('the root volume of a running instance is replaced, and the one taken off is kept', async () => {
    const from = await furnished();
    const root = from.devices.get('/dev/xvda') ?? '';
    await from.write(root, 0, 1_000_000);
    const job = await restore(from, { type: 'volume', mode: 'inPlace', volumeIds: [root] });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null, instance: { instanceId: from.instanceId } });
    expect(job.volumes).toMatchObject([{ sourceVolumeId: root, previousVolumeId: root }]);
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(devicesOf(now).get('/dev/xvda')).toBe(job.volumes[0].volumeId);
    await expectSameBytes(from, now);
    const { Volumes } = await from.ec2.send(new DescribeVolumesCommand({ VolumeIds: [root] }));
    expect(Volumes?.[0]?.State).toBe('available');
  });

  test('all volumes are swapped while it is stopped, and it runs again', async () => {
    const from = await furnished();
    for (const volumeId of from.devices.values()) await from.write(volumeId, 0, 1_000_000);
    const job = await restore(from, { type: 'instance', mode: 'inPlace' });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(now.State?.Name).toBe('running');
    await expectSameBytes(from, now);
    expect(job.volumes.map((volume: Json) => volume.previousVolumeId).toSorted()).toEqual(
      [...from.devices.values()].toSorted(),
    );
  });

  test('a stopped instance stays stopped', async () => {
    const from = await furnished();
    await from.ec2.send(new StopInstancesCommand({ InstanceIds: [from.instanceId] }));
    await untilState(from.ec2, from.instanceId, 'stopped');
    const data = from.devices.get('/dev/sdf');
    const job = await restore(from, { type: 'volume', mode: 'inPlace', volumeIds: [data] });
    expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ previousVolumeId: data }] });
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(now.State?.Name).toBe('stopped');
    expect(devicesOf(now).get('/dev/sdf')).toBe(job.volumes[0].volumeId);
  });

  test('needs a connection that was made for it', async () => {
    const from = await furnished({ restoreInPlace: false });
    expect(await restore(from, { type: 'instance', mode: 'inPlace' })).toMatchObject({
      code: 'restore_not_enabled',
      facts: { lacking: 'restoreInPlace' },
    });
  });
});

describe('a volume', () => {
  test('is attached to a chosen instance', async () => {
    const from = await furnished();
    const sourceVolumeId = from.devices.get('/dev/sdf');
    const attach = { instanceId: from.instanceId, deviceName: '/dev/sdg' };
    const target = { availabilityZone: from.source.Placement?.AvailabilityZone };
    const volumes = [{ sourceVolumeId, attach }];
    const job = await restore(from, { type: 'volume', volumeIds: [sourceVolumeId], volumes }, target);
    expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ attachedTo: attach }] });
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(devicesOf(now).get('/dev/sdg')).toBe(job.volumes[0].volumeId);
  });

  test('goes to another region of the jurisdiction, under a key of that region', async () => {
    const from = await furnished({ awsRegions: [REGION, 'eu-west-1'] });
    const target = { awsRegion: 'eu-west-1', availabilityZone: 'eu-west-1a' };
    const data = from.devices.get('/dev/sdf');
    expect(await restore(from, { type: 'volume', volumeIds: [data] }, target)).toMatchObject({
      code: 'less_encrypted_than_source',
    });
    const plain = from.devices.get('/dev/xvda');
    const job = await restore(from, { type: 'volume', volumeIds: [plain] }, target);
    expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ encrypted: true }] });
    const there = { ...from.access, awsRegion: 'eu-west-1' };
    expect((await hashVolume(there, job.volumes[0].volumeId)).sha256).toBe(from.hashes.get('/dev/xvda'));
  });

  test('that is aborted leaves nothing behind', async () => {
    const from = await furnished();
    const iam = new IAMClient({ endpoint: world.sandbox.url, region: REGION, credentials: from.access.credentials });
    const whole = JSON.stringify(from.connection.restorePolicy);
    const PolicyDocument = whole.replaceAll('"ec2:CreateVolume"', '"ec2:Nothing"');
    await iam.send(
      new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument }),
    );
    const job = await restore(from, { type: 'volume' });
    expect(job.state).toBe('PENDING');
    expect((await ours(from.ec2, job.id)).snapshots).toHaveLength(2);
    await from.tenant.call('POST', `/v1/restore-jobs/${job.id}/abort`);
    await world.run({ kind: 'restore', tenantId: from.tenant.tenantId, jobId: job.id });
    expect((await from.tenant.call('GET', `/v1/restore-jobs/${job.id}`)).json).toMatchObject({
      state: 'ABORTED',
      leftovers: [],
    });
    expect((await ours(from.ec2, job.id)).snapshots).toEqual([]);
  });
});

describe('a licence that AWS bills', () => {
  const windows = async (ec2: EC2Client) => {
    const Filters = [{ Name: 'platform', Values: ['windows'] }];
    const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'], Filters }));
    return Images?.[0]?.ImageId ?? '';
  };

  test('is named by the dry run, refused without a vendor image, and kept with one', async () => {
    const image = await windows(ec2At((await world.customer(nextAccount())).access));
    const from = await furnished({}, image);
    expect(from.source.PlatformDetails).toBe('Windows');
    const dry = await restore(from, { type: 'instance', dryRun: true });
    expect(dry.checks).toContainEqual(
      expect.objectContaining({ check: 'licence', ok: false, detail: expect.stringContaining('vendorImageId') }),
    );
    expect(await restore(from, { type: 'instance' })).toMatchObject({ code: 'licence_not_portable', status: 422 });
    const job = await restore(from, { type: 'instance', instance: { vendorImageId: image } });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null, leftovers: [] });
    const made = await instanceAt(from.ec2, job.instance.instanceId);
    expect(made).toMatchObject({ PlatformDetails: 'Windows', ImageId: image });
    await expectSameBytes(from, made);
  });
});

describe('a dry run', () => {
  test('of an instance finds nothing wrong, says what it costs, and makes nothing', async () => {
    const from = await furnished();
    const job = await restore(from, { type: 'instance', dryRun: true });
    expect(job.checks.filter((check: Json) => !check.ok)).toEqual([]);
    expect(job.cost).toMatchObject({ currency: 'USD', basis: expect.stringContaining('blocks') });
    expect(await ours(from.ec2, job.id)).toEqual({ snapshots: [], images: [], volumes: [] });
  });

  test('names everything that is wrong at once', async () => {
    const from = await furnished();
    const instance = {
      privateIpAddress: from.source.PrivateIpAddress,
      keyName: 'nobody',
      securityGroupIds: ['sg-00000000000000000'],
      instanceType: 't4g.small',
    };
    const { checks } = await restore(from, { type: 'instance', dryRun: true, instance });
    const bad = checks.filter((check: Json) => !check.ok).map((check: Json) => check.check);
    expect(bad.toSorted()).toEqual(['instance type', 'key pair', 'private address', 'security group']);
  });

  test('names a permission that is missing, and a key that is not allowed', async () => {
    const from = await furnished();
    const iam = new IAMClient({ endpoint: world.sandbox.url, region: REGION, credentials: from.access.credentials });
    const whole = JSON.stringify(from.connection.restorePolicy);
    const PolicyDocument = whole
      .replaceAll('"ec2:RegisterImage"', '"ec2:Nothing"')
      .replaceAll('"kms:GenerateDataKeyWithoutPlaintext"', '"kms:Nothing"');
    await iam.send(
      new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument }),
    );
    const { checks } = await restore(from, { type: 'instance', dryRun: true });
    const bad = checks.filter((check: Json) => !check.ok).map((check: Json) => check.check);
    expect(bad).toContain('ec2:RegisterImage');
    expect(bad).toContain(`key for ${from.devices.get('/dev/sdf')}`);
  });
});
