import {
  AttachVolumeCommand,
  CreateSnapshotsCommand,
  CreateVolumeCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DetachVolumeCommand,
  LockSnapshotCommand,
  type LockSnapshotCommandInput,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  UnlockSnapshotCommand,
} from '@aws-sdk/client-ec2';
import { type Lab } from '../lab.ts';

export const ERRORS = 'EC2 developer guide, "Error codes for the Amazon EC2 API"';
export const DRY = 'EC2 API reference, RunInstances, DryRun';
export const RIGHTS = 'Service authorization reference, Amazon EC2';
export const LOCK = 'EBS guide, "Amazon EBS snapshot lock"';
export const VOLUME = 'EC2 API reference, CreateVolume';
export const SETS = 'EC2 API reference, CreateSnapshots';
export const IMAGE = 'EC2 API reference, RegisterImage';
export const NO_SNAPSHOT = 'snap-0123456789abcdef0';
export const NO_VOLUME = 'vol-0123456789abcdef0';
export const TAGGED_SNAPSHOT = [{ ResourceType: 'snapshot' as const, Tags: [{ Key: 'backup', Value: 'yes' }] }];

export const zone = (lab: Lab) => `${lab.place.awsRegion}a`;
export const volumeLike = async (lab: Lab, more: object) => {
  const answer = await lab.ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone(lab), Size: 1, ...more }));
  lab.removeVolume(answer.VolumeId);
  return answer;
};
export const launch = (lab: Lab, more: Partial<RunInstancesCommandInput>) =>
  lab.ec2.send(
    new RunInstancesCommand({
      ImageId: lab.place.imageId,
      InstanceType: 't3.micro',
      MinCount: 1,
      MaxCount: 1,
      DryRun: true,
      ...more,
    }),
  );
/** A volume beside the shared instance, in its zone. */
export const spare = (lab: Lab) => lab.once('spare volume', () => lab.volume());
export const attached = (lab: Lab) =>
  lab.once('attached', async () => {
    const { instanceId: InstanceId } = await lab.sharedInstance();
    const VolumeId = await lab.volume();
    const answer = await lab.ec2.send(new AttachVolumeCommand({ InstanceId, VolumeId, Device: '/dev/sdf' }));
    lab.onEnd(() => lab.ec2.send(new DetachVolumeCommand({ VolumeId, Force: true })).catch(() => {}));
    return { VolumeId, answer };
  });
/** A lock in governance mode for a day, or as `more` says. */
export const lock = (lab: Lab, SnapshotId: string, more: Partial<LockSnapshotCommandInput> = {}) =>
  lab.ec2.send(new LockSnapshotCommand({ SnapshotId, LockMode: 'governance', LockDuration: 1, ...more }));
/** A snapshot under such a lock, and what AWS answered to it. */
export const locked = (lab: Lab) =>
  lab.once('locked snapshot', async () => {
    const SnapshotId = await lab.snapshot(['l']);
    const answer = await lock(lab, SnapshotId);
    lab.onEnd(() => lab.ec2.send(new UnlockSnapshotCommand({ SnapshotId })));
    return { SnapshotId, answer };
  });
export const register = async (lab: Lab, more: Partial<RegisterImageCommandInput> = {}) => {
  const SnapshotId = await lab.sharedSnapshot();
  const { ImageId } = await lab.ec2.send(
    new RegisterImageCommand({
      Name: lab.name('image'),
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId, VolumeType: 'gp3' } }],
      ...more,
    }),
  );
  lab.onEnd(() => lab.ec2.send(new DeregisterImageCommand({ ImageId })));
  return ImageId ?? '';
};
export const image = (lab: Lab) => lab.once('image', () => register(lab));
export const describedImage = async (lab: Lab) => {
  const ImageIds = [await image(lab)];
  const { Images } = await lab.soon(() => lab.ec2.send(new DescribeImagesCommand({ ImageIds })));
  return Images?.[0];
};
export const set = (lab: Lab) =>
  lab.once('snapshot set', async () => {
    const { instanceId: InstanceId } = await lab.sharedInstance();
    const answer = await lab.ec2.send(
      new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId }, TagSpecifications: TAGGED_SNAPSHOT }),
    );
    for (const { SnapshotId } of answer.Snapshots ?? []) lab.removeSnapshot(SnapshotId);
    return answer;
  });
