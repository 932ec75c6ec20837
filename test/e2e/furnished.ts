import {
  CreateKeyPairCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  EC2Client,
  type Instance,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { IAMClient } from '@aws-sdk/client-iam';
import { expect } from 'vitest';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import { openWorld, TAG } from './world.ts';

export const REGION = 'eu-central-1';
export const LINUX = 'ami-0d0111c11e0000001';
export const USER_DATA = Buffer.from('#!/bin/sh\necho password=hunter2\n').toString('base64');

/** An instance as EC2 tells of it now. */
export async function instanceAt(ec2: EC2Client, instanceId: string): Promise<Instance> {
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
  const instance = Reservations?.[0]?.Instances?.[0];
  if (!instance) throw new Error(`no ${instanceId}`);
  return instance;
}
/** Volume ids by device. */
export const devicesOf = (instance: Instance): Map<string, string> =>
  new Map((instance.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) => [DeviceName ?? '', Ebs?.VolumeId ?? '']));
export const untilState = (ec2: EC2Client, instanceId: string, state: string) =>
  expect
    .poll(async () => (await instanceAt(ec2, instanceId)).State?.Name, { timeout: 20_000 })
    .toMatch(new RegExp(`^(${state})$`));

/** What restores made and what is ours: all that carries our tag. */
export async function ours(ec2: EC2Client, jobId: string) {
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

/** A world in which tenants have instances worth restoring. */
export async function openRestores() {
  const world = await openWorld();
  let accounts = 30;
  const nextAccount = () => `2222222223${(accounts += 1)}`;
  const ec2At = (access: { credentials: { accessKeyId: string; secretAccessKey: string } }, region = REGION) =>
    new EC2Client({ endpoint: world.sandbox.url, region, credentials: access.credentials });
  const iamOf = (access: { credentials: { accessKeyId: string; secretAccessKey: string } }) =>
    new IAMClient({ endpoint: world.sandbox.url, region: REGION, credentials: access.credentials });

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
            Ebs: { VolumeSize: 1, VolumeType: 'gp2', Encrypted: true, KmsKeyId: who.kmsKeyArn },
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

  return { world, nextAccount, ec2At, iamOf, furnished, restore, expectSameBytes };
}

export type Restores = Awaited<ReturnType<typeof openRestores>>;
