import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSubnetsCommand,
  type EC2Client,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { type Aws, blockOf, launch, newVolume } from './world.ts';

export const LINUX = 'ami-0d0111c11e0000001';
export const WINDOWS = 'ami-0d0111c11e0000003';
export const MARKETPLACE = 'ami-0d0111c11e0000006';

export const tagsOf = (ResourceType: 'image' | 'instance' | 'volume' | 'network-interface') => [
  { ResourceType, Tags: [{ Key: 'owner', Value: 'us' }] },
];

/** A completed snapshot of a new volume with one block. */
export async function newSnapshot(aws: Aws, seed = 'root'): Promise<string> {
  const volumeId = await newVolume(aws.ec2);
  await aws.write(volumeId, 0, blockOf(seed));
  return aws.snapshot(volumeId);
}

export type ImageChanges = Partial<RegisterImageCommandInput>;
export async function register(ec2: EC2Client, SnapshotId: string, changes: ImageChanges = {}): Promise<string> {
  const { ImageId = '' } = await ec2.send(
    new RegisterImageCommand({
      Name: 'restored',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
      ...changes,
    }),
  );
  return ImageId;
}

export type Launch = Partial<RunInstancesCommandInput>;
export const run = async (ec2: EC2Client, changes: Launch = {}) => {
  const input = { ImageId: LINUX, InstanceType: 't3.small' as const, MinCount: 1, MaxCount: 1, ...changes };
  return (await ec2.send(new RunInstancesCommand(input))).Instances?.[0];
};

export async function instance(ec2: EC2Client, id: string) {
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0];
}

export async function firstSubnet(ec2: EC2Client) {
  const { Subnets = [] } = await ec2.send(new DescribeSubnetsCommand({}));
  return Subnets[0];
}

export const image = async (ec2: EC2Client, id: string) =>
  (await ec2.send(new DescribeImagesCommand({ ImageIds: [id] }))).Images?.[0];

/** A running instance, and its volumes. */
export async function running(aws: Aws, dataGiB: readonly number[] = []) {
  const { instanceId, volumeIds } = await launch(aws.ec2, dataGiB);
  return { instanceId, root: volumeIds[0] ?? '', data: volumeIds[1] ?? '' };
}
