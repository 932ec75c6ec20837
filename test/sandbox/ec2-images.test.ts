import { StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test } from 'vitest';
import { MARKETPLACE, WINDOWS, image, newSnapshot, register, run, tagsOf, type ImageChanges } from './ec2-calls.ts';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, blockOf, complete, openAws, put, REGION } from './world.ts';

describe('RegisterImage', () => {
  test('keeps what it was told, and its snapshots from being deleted until it goes', async () => {
    const aws = await openAws();
    const [root, data] = [await newSnapshot(aws), await newSnapshot(aws, 'data')];
    const id = await register(aws.ec2, root, {
      BootMode: 'uefi',
      ImdsSupport: 'v2.0',
      EnaSupport: true,
      TagSpecifications: tagsOf('image'),
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { SnapshotId: root, VolumeType: 'gp3', Iops: 4_000, Throughput: 200 } },
        { DeviceName: '/dev/sdf', Ebs: { SnapshotId: data, VolumeSize: 3, DeleteOnTermination: false } },
      ],
    });
    expect(await image(aws.ec2, id)).toMatchObject({
      Architecture: 'x86_64',
      BootMode: 'uefi',
      ImdsSupport: 'v2.0',
      OwnerId: ACCOUNT,
      PlatformDetails: 'Linux/UNIX',
      Tags: [{ Key: 'owner', Value: 'us' }],
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { SnapshotId: root, VolumeSize: 1, Iops: 4_000, Throughput: 200 } },
        { DeviceName: '/dev/sdf', Ebs: { SnapshotId: data, VolumeSize: 3, DeleteOnTermination: false } },
      ],
    });
    const remove = () => errorOf(aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId: data })));
    // Source: EC2 API reference, error codes: InvalidSnapshot.InUse.
    expect(await remove()).toBe('InvalidSnapshot.InUse');
    await aws.ec2.send(new DeregisterImageCommand({ ImageId: id }));
    expect(await remove()).toBe(null);
  });

  // Source: EC2 API reference, DescribeImages: results for a deregistered image; error codes: InvalidAMIID.Unavailable.
  test('leaves an image that is unavailable while an instance of it is left, and unknown afterwards', async () => {
    const aws = await openAws();
    const id = await register(aws.ec2, await newSnapshot(aws));
    const { InstanceId = '' } = (await run(aws.ec2, { ImageId: id })) ?? {};
    const deregister = () => errorOf(aws.ec2.send(new DeregisterImageCommand({ ImageId: id })));
    expect(await deregister()).toBe(null);
    expect(await image(aws.ec2, id)).toBeUndefined();
    expect(await deregister()).toBe('InvalidAMIID.Unavailable');
    expect(await errorOf(run(aws.ec2, { ImageId: id }))).toBe('InvalidAMIID.Unavailable');
    await aws.ec2.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId] }));
    await expect.poll(() => errorOf(image(aws.ec2, id))).toBe('InvalidAMIID.NotFound');
  });

  // Source: EC2 API reference, RegisterImage: the defaults of Architecture and VirtualizationType.
  test('takes i386 and paravirtual when they are not named, and such an image does not launch today', async () => {
    const aws = await openAws();
    const snapshotId = await newSnapshot(aws);
    const id = await register(aws.ec2, snapshotId, { Architecture: undefined, VirtualizationType: undefined });
    expect(await image(aws.ec2, id)).toMatchObject({ Architecture: 'i386', VirtualizationType: 'paravirtual' });
    expect(await errorOf(run(aws.ec2, { ImageId: id }))).toBe('InvalidParameterValue');
    const pv = await register(aws.ec2, snapshotId, { Name: 'paravirtual', VirtualizationType: undefined });
    expect(await errorOf(run(aws.ec2, { ImageId: pv }))).toBe('InvalidParameterCombination');
  });

  // Source: EC2 API reference, RegisterImage and error codes.
  const mapped = (Ebs: object, DeviceName = '/dev/xvda') => ({ BlockDeviceMappings: [{ DeviceName, Ebs }] });
  const refusals: [string, (snapshotId: string) => ImageChanges, string][] = [
    ['a name of two characters', () => ({ Name: 'ab' }), 'InvalidAMIName.Malformed'],
    ['a name of 129 characters', () => ({ Name: 'a'.repeat(129) }), 'InvalidAMIName.Malformed'],
    [
      'Encrypted beside a snapshot',
      (SnapshotId) => mapped({ SnapshotId, Encrypted: true }),
      'InvalidParameterCombination',
    ],
    ['a root device that is not mapped', () => ({ RootDeviceName: '/dev/sda1' }), 'InvalidBlockDeviceMapping'],
    [
      'a snapshot that is not there',
      () => mapped({ SnapshotId: 'snap-00000000000000000' }),
      'InvalidSnapshot.NotFound',
    ],
    ['an architecture that is not there', () => ({ Architecture: 'mips' as 'i386' }), 'InvalidParameterValue'],
    ['a boot mode that is not there', () => ({ BootMode: 'bios' as 'uefi' }), 'InvalidParameterValue'],
    ['a dry run that would succeed', () => ({ DryRun: true }), 'DryRunOperation'],
  ];
  test.each(refusals)('refuses %s', async (_, changes, code) => {
    const aws = await openAws();
    const snapshotId = await newSnapshot(aws);
    expect(await errorOf(register(aws.ec2, snapshotId, changes(snapshotId)))).toBe(code);
    expect((await aws.ec2.send(new DescribeImagesCommand({ Owners: ['self'] }))).Images ?? []).toEqual([]);
  });

  test('refuses a name that is taken, and a snapshot that is not complete', async () => {
    const aws = await openAws();
    const snapshotId = await newSnapshot(aws);
    await register(aws.ec2, snapshotId);
    expect(await errorOf(register(aws.ec2, snapshotId))).toBe('InvalidAMIName.Duplicate');
    const { SnapshotId = '' } = await aws.ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
    expect(await errorOf(register(aws.ec2, SnapshotId, { Name: 'early' }))).toBe('IncorrectState');
  });

  // Source: service authorization reference, RegisterImage: image*, snapshot; ec2:CreateTags for tag-on-create.
  test('needs rights on the image, on its snapshots, and on its tags for exactly this action', async () => {
    const aws = await openAws();
    const snapshotId = await newSnapshot(aws);
    const onImage = allow('ec2:RegisterImage', `arn:aws:ec2:${REGION}::image/*`);
    const onSnapshot = allow('ec2:RegisterImage', `arn:aws:ec2:${REGION}::snapshot/${snapshotId}`);
    const tagging = allow('ec2:CreateTags', '*', { StringEquals: { 'ec2:CreateAction': 'RegisterImage' } });
    const tryAs = async (...statements: object[]) =>
      errorOf(register((await aws.as(...statements)).ec2, snapshotId, { TagSpecifications: tagsOf('image') }));
    expect(await tryAs(onImage, tagging)).toBe('UnauthorizedOperation');
    expect(await tryAs(onSnapshot, tagging)).toBe('UnauthorizedOperation');
    expect(await tryAs(onImage, onSnapshot)).toBe('UnauthorizedOperation');
    expect(await tryAs(onImage, onSnapshot, tagging)).toBe(null);
  });

  // Source: EC2 guide, "Create an AMI from a snapshot": billing data comes with the snapshot's metadata.
  test('bills for Windows from a snapshot of its root volume, and not from one that was written', async () => {
    const aws = await openAws();
    const { BlockDeviceMappings } = (await run(aws.ec2, { ImageId: WINDOWS })) ?? {};
    const taken = await aws.snapshot(BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? '');
    expect(await image(aws.ec2, await register(aws.ec2, taken))).toMatchObject({
      PlatformDetails: 'Windows',
      Platform: 'windows',
    });
    const { SnapshotId: written = '' } = await aws.ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
    const block = blockOf('windows');
    await put(aws.ebs, { id: written, index: 0 }, block);
    await complete(aws.ebs, written, [block]);
    aws.tick(1_000);
    expect(await image(aws.ec2, await register(aws.ec2, written, { Name: 'written' }))).toMatchObject({
      PlatformDetails: 'Linux/UNIX',
      ProductCodes: [],
    });
    expect(await run(aws.ec2, { ImageId: MARKETPLACE })).toMatchObject({
      ProductCodes: [{ ProductCodeType: 'marketplace' }],
    });
  });
});
