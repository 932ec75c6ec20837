import { DescribeInstancesCommand, DescribeInstanceTypesCommand } from '@aws-sdk/client-ec2';
import { agrees, type Case, refuses } from '../case.ts';
import { ERRORS, IMAGE, launch, register, describedImage } from './ec2-things.ts';

export const LAUNCH_CASES: readonly Case[] = [
  refuses('ec2-instance-unknown', ['an instance that does not exist', ERRORS], 'InvalidInstanceID.NotFound', (lab) =>
    lab.ec2.send(new DescribeInstancesCommand({ InstanceIds: ['i-0123456789abcdef0'] })),
  ),
  refuses('ec2-instance-malformed', ['an instance id that is none', ERRORS], 'InvalidInstanceID.Malformed', (lab) =>
    lab.ec2.send(new DescribeInstancesCommand({ InstanceIds: ['nonsense'] })),
  ),
  refuses('ec2-launch-image-unknown', ['an image that does not exist', ERRORS], 'InvalidAMIID.NotFound', (lab) =>
    launch(lab, { ImageId: 'ami-0123456789abcdef0' }),
  ),
  refuses('ec2-launch-image-malformed', ['an image id that is none', ERRORS], 'InvalidAMIID.Malformed', (lab) =>
    launch(lab, { ImageId: 'nonsense' }),
  ),
  refuses('ec2-launch-subnet-unknown', ['a subnet that does not exist', ERRORS], 'InvalidSubnetID.NotFound', (lab) =>
    launch(lab, { SubnetId: 'subnet-0123456789abcdef0', DryRun: false }),
  ),
  refuses('ec2-launch-key-pair-unknown', ['a key pair that does not exist', ERRORS], 'InvalidKeyPair.NotFound', (lab) =>
    launch(lab, { KeyName: lab.name('no-key'), DryRun: false }),
  ),
  refuses(
    'ec2-launch-user-data',
    ['more than 16 KiB of user data', 'EC2 API reference, RunInstances, UserData'],
    'InvalidParameterValue',
    (lab) => launch(lab, { UserData: Buffer.alloc(16_385, 'x').toString('base64'), DryRun: false }),
  ),
  refuses('ec2-type-unknown', ['a type that does not exist', ERRORS], 'InvalidInstanceType', (lab) =>
    lab.ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['t3.nonsense' as 't3.micro'] })),
  ),
  refuses('ec2-image-twice', ['two images of one name', ERRORS], 'InvalidAMIName.Duplicate', async (lab) =>
    register(lab, { Name: (await describedImage(lab))?.Name }),
  ),
  refuses(
    'ec2-image-no-root',
    ['an image whose root device is not mapped', IMAGE, 'the page demands the mapping, and no page names the code'],
    ['InvalidBlockDeviceMapping', 'InvalidParameterValue', 'MissingParameter'],
    (lab) => register(lab, { RootDeviceName: '/dev/sda1' }),
  ),
  agrees(
    'ec2-image-devices',
    ['an image keeps its block devices', IMAGE],
    async (lab) => ({
      snapshotId: await lab.sharedSnapshot(),
      found: await describedImage(lab),
    }),
    ({ snapshotId, found }) =>
      found?.RootDeviceName === '/dev/xvda' && found.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId === snapshotId,
  ),
  agrees(
    'ec2-image-linux',
    ['an image of a bare snapshot is billed as Linux', IMAGE],
    describedImage,
    (found) => found?.PlatformDetails === 'Linux/UNIX',
  ),
  agrees(
    'ec2-instance-imdsv2',
    ['an instance can be asked to demand IMDSv2', 'EC2 API reference, RunInstances, MetadataOptions'],
    async (lab) => {
      const { instanceId } = await lab.sharedInstance();
      return lab.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
    },
    (answer) => answer.Reservations?.[0]?.Instances?.[0]?.MetadataOptions?.HttpTokens === 'required',
  ),
  agrees(
    'ec2-instance-devices',
    ['an instance names the volume at each device', 'EC2 API reference, DescribeInstances'],
    async (lab) => {
      const { instanceId, rootVolumeId } = await lab.sharedInstance();
      const answer = await lab.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
      return { rootVolumeId, instance: answer.Reservations?.[0]?.Instances?.[0] };
    },
    ({ rootVolumeId, instance }) =>
      instance?.BlockDeviceMappings?.some(
        ({ DeviceName, Ebs }) => DeviceName === instance.RootDeviceName && Ebs?.VolumeId === rootVolumeId,
      ) === true,
  ),
  agrees(
    'ec2-type',
    ['a type tells its architectures', 'EC2 API reference, DescribeInstanceTypes'],
    (lab) => lab.ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['t3.micro'] })),
    (answer) => answer.InstanceTypes?.[0]?.ProcessorInfo?.SupportedArchitectures?.includes('x86_64') === true,
  ),
];
