import {
  AttachVolumeCommand,
  CopySnapshotCommand,
  CreateSnapshotCommand,
  CreateSnapshotsCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  LockSnapshotCommand,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  UnlockSnapshotCommand,
} from '@aws-sdk/client-ec2';
import { agrees, type Case, refuses } from '../case.ts';
import { allow, type Lab, policyOf } from '../lab.ts';

const ERRORS = 'EC2 developer guide, "Error codes for the Amazon EC2 API"';
const DRY = 'EC2 API reference, RunInstances, DryRun';
const RIGHTS = 'Service authorization reference, Amazon EC2';
const LOCK = 'EBS guide, "Amazon EBS snapshot lock"';
const VOLUME = 'EC2 API reference, CreateVolume';
const SETS = 'EC2 API reference, CreateSnapshots';
const IMAGE = 'EC2 API reference, RegisterImage';
const NO_SNAPSHOT = 'snap-0123456789abcdef0';
const NO_VOLUME = 'vol-0123456789abcdef0';
const TAGGED_SNAPSHOT = [{ ResourceType: 'snapshot' as const, Tags: [{ Key: 'backup', Value: 'yes' }] }];

const zone = (lab: Lab) => `${lab.place.awsRegion}a`;
const volumeLike = async (lab: Lab, more: object) => {
  const answer = await lab.ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone(lab), Size: 1, ...more }));
  lab.removeVolume(answer.VolumeId);
  return answer;
};
const launch = (lab: Lab, more: Partial<RunInstancesCommandInput>) =>
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
const spare = (lab: Lab) => lab.once('spare volume', () => lab.volume());
const attached = (lab: Lab) =>
  lab.once('attached', async () => {
    const { instanceId: InstanceId } = await lab.sharedInstance();
    const VolumeId = await lab.volume();
    const answer = await lab.ec2.send(new AttachVolumeCommand({ InstanceId, VolumeId, Device: '/dev/sdf' }));
    lab.onEnd(() => lab.ec2.send(new DetachVolumeCommand({ VolumeId, Force: true })).catch(() => {}));
    return { VolumeId, answer };
  });
const lockedSnapshot = (lab: Lab) =>
  lab.once('locked snapshot', async () => {
    const SnapshotId = await lab.snapshot(['l']);
    await lab.ec2.send(new LockSnapshotCommand({ SnapshotId, LockMode: 'governance', LockDuration: 1 }));
    lab.onEnd(() => lab.ec2.send(new UnlockSnapshotCommand({ SnapshotId })));
    return SnapshotId;
  });
const register = async (lab: Lab, more: Partial<RegisterImageCommandInput> = {}) => {
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
const image = (lab: Lab) => lab.once('image', () => register(lab));
const describedImage = async (lab: Lab) => {
  const ImageIds = [await image(lab)];
  const { Images } = await lab.soon(() => lab.ec2.send(new DescribeImagesCommand({ ImageIds })));
  return Images?.[0];
};
const set = (lab: Lab) =>
  lab.once('snapshot set', async () => {
    const { instanceId: InstanceId } = await lab.sharedInstance();
    const answer = await lab.ec2.send(
      new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId }, TagSpecifications: TAGGED_SNAPSHOT }),
    );
    for (const { SnapshotId } of answer.Snapshots ?? []) lab.removeSnapshot(SnapshotId);
    return answer;
  });

const RIGHTS_CASES: readonly Case[] = [
  refuses('ec2-no-right', ['a call without its permission', ERRORS], 'UnauthorizedOperation', async (lab) =>
    (await lab.as(policyOf(allow('s3:*')))).ec2.send(new DescribeVolumesCommand({})),
  ),
  refuses(
    'ec2-dry-run-allowed',
    ['a dry run that would have succeeded ends in an error', DRY],
    'DryRunOperation',
    (lab) => launch(lab, {}),
  ),
  refuses('ec2-dry-run-refused', ['a dry run without the permission', DRY], 'UnauthorizedOperation', async (lab) => {
    const { ec2 } = await lab.as(policyOf(allow('ec2:Describe*')));
    return ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone(lab), Size: 1, DryRun: true }));
  }),
  refuses(
    'ec2-describe-has-no-resource',
    ['a Describe call with a resource in the policy', RIGHTS],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(policyOf(allow('ec2:DescribeInstances', 'arn:aws:ec2:*:*:instance/*')));
      return ec2.send(new DescribeInstancesCommand({}));
    },
  ),
  refuses(
    'ec2-tag-needs-right',
    [
      'tagging while creating, without ec2:CreateTags',
      'EC2 guide, "Grant permission to tag resources during creation"',
    ],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(policyOf(allow('ec2:CreateSnapshot')));
      return ec2.send(new CreateSnapshotCommand({ VolumeId: await spare(lab), TagSpecifications: TAGGED_SNAPSHOT }));
    },
  ),
  refuses(
    'ec2-tag-only-while-creating',
    [
      'tags on what is there, with ec2:CreateAction demanded',
      'EC2 guide, "Grant permission to tag resources during creation"',
    ],
    'UnauthorizedOperation',
    async (lab) => {
      const creating = allow('ec2:CreateTags', '*', { StringEquals: { 'ec2:CreateAction': 'CreateSnapshot' } });
      const { ec2 } = await lab.as(policyOf(creating));
      return ec2.send(new CreateTagsCommand({ Resources: [await spare(lab)], Tags: [{ Key: 'a', Value: 'b' }] }));
    },
  ),
  refuses(
    'ec2-delete-other-tag',
    ['deleting what the tag condition leaves out', RIGHTS],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(
        policyOf(allow('ec2:DeleteSnapshot', '*', { StringEquals: { 'aws:ResourceTag/ours': 'yes' } })),
      );
      return ec2.send(new DeleteSnapshotCommand({ SnapshotId: await lab.sharedSnapshot() }));
    },
  ),
  refuses(
    'ec2-encrypted-demanded',
    ['an unencrypted volume where ec2:Encrypted is demanded', RIGHTS],
    'UnauthorizedOperation',
    async (lab) => {
      const { ec2 } = await lab.as(policyOf(allow('ec2:CreateVolume', '*', { Bool: { 'ec2:Encrypted': 'true' } })));
      return ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone(lab), Size: 1, Encrypted: false }));
    },
  ),
  agrees(
    'ec2-tag-with-right',
    ['tagging while creating, with both permissions', 'EC2 guide, "Grant permission to tag resources during creation"'],
    async (lab) => {
      const creating = allow('ec2:CreateTags', '*', { StringEquals: { 'ec2:CreateAction': 'CreateSnapshot' } });
      const { ec2 } = await lab.as(policyOf(allow('ec2:CreateSnapshot'), creating));
      const answer = await ec2.send(
        new CreateSnapshotCommand({ VolumeId: await spare(lab), TagSpecifications: TAGGED_SNAPSHOT }),
      );
      lab.removeSnapshot(answer.SnapshotId);
      return answer;
    },
    (answer) => answer.Tags?.[0]?.Key === 'backup',
  ),
];

const VOLUME_CASES: readonly Case[] = [
  refuses('ec2-volume-unknown', ['a volume that does not exist', ERRORS], 'InvalidVolume.NotFound', (lab) =>
    lab.ec2.send(new DescribeVolumesCommand({ VolumeIds: [NO_VOLUME] })),
  ),
  refuses('ec2-volume-in-use', ['deleting an attached volume', ERRORS], 'VolumeInUse', async (lab) =>
    lab.ec2.send(new DeleteVolumeCommand({ VolumeId: (await attached(lab)).VolumeId })),
  ),
  refuses('ec2-attach-attached', ['attaching a volume that is attached', ERRORS], 'VolumeInUse', async (lab) => {
    const { instanceId: InstanceId } = await lab.sharedInstance();
    return lab.ec2.send(
      new AttachVolumeCommand({ InstanceId, VolumeId: (await attached(lab)).VolumeId, Device: '/dev/sdg' }),
    );
  }),
  refuses(
    'ec2-attach-device-taken',
    ['attaching at a device that is taken', ERRORS],
    'InvalidParameterValue',
    async (lab) => {
      const { instanceId: InstanceId } = await lab.sharedInstance();
      await attached(lab);
      return lab.ec2.send(new AttachVolumeCommand({ InstanceId, VolumeId: await spare(lab), Device: '/dev/sdf' }));
    },
  ),
  refuses('ec2-attach-other-zone', ['attaching across zones', ERRORS], 'InvalidVolume.ZoneMismatch', async (lab) => {
    const { instanceId: InstanceId } = await lab.sharedInstance();
    return lab.ec2.send(
      new AttachVolumeCommand({ InstanceId, VolumeId: await lab.volume(undefined, 'b'), Device: '/dev/sdh' }),
    );
  }),
  refuses(
    'ec2-detach-available',
    ['detaching a volume that is not attached', ERRORS],
    ['IncorrectState', 'InvalidAttachment.NotFound'],
    async (lab) => lab.ec2.send(new DetachVolumeCommand({ VolumeId: await spare(lab) })),
  ),
  refuses('ec2-volume-no-size', ['a volume of neither size nor snapshot', ERRORS], 'MissingParameter', (lab) =>
    volumeLike(lab, { Size: undefined }),
  ),
  refuses('ec2-volume-zone', ['a zone that does not exist', ERRORS], 'InvalidZone.NotFound', (lab) =>
    volumeLike(lab, { AvailabilityZone: `${lab.place.awsRegion}z` }),
  ),
  refuses(
    'ec2-volume-smaller',
    ['a volume smaller than its snapshot', ERRORS],
    ['InvalidParameterValue', 'InvalidBlockDeviceMapping'],
    async (lab) => volumeLike(lab, { SnapshotId: await lab.snapshot(['a'], { VolumeSize: 2 }) }),
  ),
  refuses('ec2-volume-key-alone', ['a key without Encrypted', ERRORS], 'InvalidParameterDependency', async (lab) =>
    volumeLike(lab, { KmsKeyId: await lab.sharedKey() }),
  ),
  refuses(
    'ec2-volume-iops-gp2',
    ['IOPS on a gp2 volume', VOLUME],
    ['InvalidParameterCombination', 'InvalidParameterValue'],
    (lab) => volumeLike(lab, { VolumeType: 'gp2', Iops: 3_000 }),
  ),
  refuses('ec2-volume-io2-bare', ['an io2 volume without IOPS', VOLUME], 'MissingParameter', (lab) =>
    volumeLike(lab, { VolumeType: 'io2', Size: 4 }),
  ),
  agrees(
    'ec2-volume-default',
    ['the default volume is gp2 and, in a new account, not encrypted', VOLUME],
    (lab) => volumeLike(lab, {}),
    (answer) => answer.VolumeType === 'gp2' && answer.Encrypted === false,
  ),
  agrees(
    'ec2-volume-from-snapshot',
    ['a volume takes the size of its snapshot', VOLUME],
    async (lab) => volumeLike(lab, { Size: undefined, SnapshotId: await lab.sharedSnapshot() }),
    (answer) => answer.Size === 1,
  ),
  agrees(
    'ec2-volume-larger',
    ['a volume may be larger than its snapshot', VOLUME],
    async (lab) => volumeLike(lab, { Size: 2, SnapshotId: await lab.sharedSnapshot() }),
    (answer) => answer.Size === 2,
  ),
  agrees(
    'ec2-volume-gp3',
    ['a gp3 volume with IOPS and throughput of its own', VOLUME],
    (lab) => volumeLike(lab, { Size: 10, VolumeType: 'gp3', Iops: 4_000, Throughput: 200 }),
    (answer) => answer.Iops === 4_000 && answer.Throughput === 200,
  ),
  agrees(
    'ec2-volume-encrypted',
    ['a volume encrypted by a named key', VOLUME],
    async (lab) => {
      const KmsKeyId = await lab.sharedKey();
      return { KmsKeyId, answer: await volumeLike(lab, { Encrypted: true, KmsKeyId }) };
    },
    ({ KmsKeyId, answer }) => answer.Encrypted === true && answer.KmsKeyId === KmsKeyId,
  ),
  agrees(
    'ec2-volume-encrypts-snapshot',
    ['an unencrypted snapshot gives an encrypted volume on demand', 'EBS guide, "Amazon EBS encryption"'],
    async (lab) =>
      volumeLike(lab, { SnapshotId: await lab.sharedSnapshot(), Encrypted: true, KmsKeyId: await lab.sharedKey() }),
    (answer) => answer.Encrypted === true,
  ),
  agrees(
    'ec2-attach',
    ['a volume attaches to an instance in its zone', 'EC2 API reference, AttachVolume'],
    attached,
    ({ answer }) => answer.Device === '/dev/sdf',
  ),
];

const SNAPSHOT_CASES: readonly Case[] = [
  refuses('ec2-snapshot-unknown', ['a snapshot that does not exist', ERRORS], 'InvalidSnapshot.NotFound', (lab) =>
    lab.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [NO_SNAPSHOT] })),
  ),
  refuses(
    'ec2-snapshot-of-nothing',
    ['a snapshot of a volume that does not exist', ERRORS],
    'InvalidVolume.NotFound',
    (lab) => lab.ec2.send(new CreateSnapshotCommand({ VolumeId: NO_VOLUME })),
  ),
  refuses(
    'ec2-delete-unknown',
    ['deleting a snapshot that does not exist', ERRORS],
    'InvalidSnapshot.NotFound',
    (lab) => lab.ec2.send(new DeleteSnapshotCommand({ SnapshotId: NO_SNAPSHOT })),
  ),
  refuses(
    'ec2-delete-of-image',
    ['deleting a snapshot that an image uses', ERRORS],
    'InvalidSnapshot.InUse',
    async (lab) => {
      await image(lab);
      return lab.ec2.send(new DeleteSnapshotCommand({ SnapshotId: await lab.sharedSnapshot() }));
    },
  ),
  refuses('ec2-volume-of-pending', ['a volume of a pending snapshot', ERRORS], 'IncorrectState', async (lab) =>
    volumeLike(lab, { SnapshotId: await lab.start() }),
  ),
  refuses(
    'ec2-lock-delete',
    ['deleting a locked snapshot', LOCK, 'the guide says that it is refused, and not by which code'],
    'SnapshotLocked',
    async (lab) => lab.ec2.send(new DeleteSnapshotCommand({ SnapshotId: await lockedSnapshot(lab) })),
  ),
  refuses(
    'ec2-lock-both',
    ['a lock with both a duration and an end', 'EC2 API reference, LockSnapshot'],
    'InvalidParameterCombination',
    async (lab) =>
      lab.ec2.send(
        new LockSnapshotCommand({
          SnapshotId: await lab.sharedSnapshot(),
          LockMode: 'governance',
          LockDuration: 1,
          ExpirationDate: new Date(Date.now() + 9e7),
        }),
      ),
  ),
  refuses(
    'ec2-lock-cool-off-governance',
    ['a cooling-off period in governance mode', 'EC2 API reference, LockSnapshot'],
    'InvalidParameterCombination',
    async (lab) =>
      lab.ec2.send(
        new LockSnapshotCommand({
          SnapshotId: await lab.sharedSnapshot(),
          LockMode: 'governance',
          LockDuration: 1,
          CoolOffPeriod: 1,
        }),
      ),
  ),
  refuses(
    'ec2-unlock-unlocked',
    ['unlocking what is not locked', 'EC2 API reference, UnlockSnapshot', 'no page names the code'],
    ['IncorrectState', 'SnapshotNotLocked', 'InvalidParameterValue'],
    async (lab) => lab.ec2.send(new UnlockSnapshotCommand({ SnapshotId: await lab.sharedSnapshot() })),
  ),
  refuses('ec2-copy-unknown', ['a copy of a snapshot that does not exist', ERRORS], 'InvalidSnapshot.NotFound', (lab) =>
    lab.ec2.send(new CopySnapshotCommand({ SourceRegion: lab.place.awsRegion, SourceSnapshotId: NO_SNAPSHOT })),
  ),
  refuses(
    'ec2-set-unknown',
    ['snapshots of an instance that does not exist', ERRORS],
    'InvalidInstanceID.NotFound',
    (lab) => lab.ec2.send(new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: 'i-0123456789abcdef0' } })),
  ),
  refuses(
    'ec2-set-exclude-root-by-id',
    ['the root volume excluded as if it were data', SETS, 'the page says data volumes, and not what happens to others'],
    ['InvalidParameterValue', 'InvalidParameterCombination'],
    async (lab) => {
      const { instanceId: InstanceId, rootVolumeId } = await lab.sharedInstance();
      return lab.ec2.send(
        new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId, ExcludeDataVolumeIds: [rootVolumeId] } }),
      );
    },
  ),
  agrees(
    'ec2-set',
    ['snapshots of all volumes of an instance at once', SETS],
    set,
    (answer) =>
      (answer.Snapshots?.length ?? 0) >= 1 &&
      answer.Snapshots?.every(({ Tags }) => Tags?.some(({ Key }) => Key === 'backup')) === true,
  ),
  agrees(
    'ec2-snapshot',
    ['a snapshot names its volume and size', 'EC2 API reference, CreateSnapshot'],
    async (lab) => {
      const VolumeId = await spare(lab);
      const answer = await lab.ec2.send(new CreateSnapshotCommand({ VolumeId }));
      lab.removeSnapshot(answer.SnapshotId);
      return { VolumeId, answer };
    },
    ({ VolumeId, answer }) => answer.VolumeId === VolumeId && answer.VolumeSize === 1,
  ),
  agrees(
    'ec2-lock',
    ['a governance lock lasts the days asked for', LOCK],
    async (lab) => lab.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [await lockedSnapshot(lab)] })),
    (answer) => answer.Snapshots?.length === 1,
  ),
  agrees(
    'ec2-unlock',
    ['a governance lock can be lifted, and the snapshot then deleted', LOCK],
    async (lab) => {
      const SnapshotId = await lab.snapshot(['u']);
      await lab.ec2.send(new LockSnapshotCommand({ SnapshotId, LockMode: 'governance', LockDuration: 1 }));
      await lab.ec2.send(new UnlockSnapshotCommand({ SnapshotId }));
      return lab.ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
    },
    (answer) => answer.$metadata.httpStatusCode === 200,
  ),
  agrees(
    'ec2-copy',
    ['a copy of a snapshot is another snapshot', 'EC2 API reference, CopySnapshot'],
    async (lab) => {
      const source = await lab.sharedSnapshot();
      const { SnapshotId } = await lab.ec2.send(
        new CopySnapshotCommand({ SourceRegion: lab.place.awsRegion, SourceSnapshotId: source }),
      );
      lab.removeSnapshot(SnapshotId);
      return { source, SnapshotId };
    },
    ({ source, SnapshotId }) => SnapshotId !== undefined && SnapshotId !== source,
  ),
  agrees(
    'ec2-copy-encrypts',
    ['a copy may be encrypted', 'EC2 API reference, CopySnapshot'],
    async (lab) => {
      const input = {
        SourceRegion: lab.place.awsRegion,
        SourceSnapshotId: await lab.sharedSnapshot(),
        Encrypted: true,
      };
      const { SnapshotId = '' } = await lab.ec2.send(
        new CopySnapshotCommand({ ...input, KmsKeyId: await lab.sharedKey() }),
      );
      lab.removeSnapshot(SnapshotId);
      await lab.untilCompleted(SnapshotId);
      return lab.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
    },
    (answer) => answer.Snapshots?.[0]?.Encrypted === true,
  ),
];

const LAUNCH_CASES: readonly Case[] = [
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

export const EC2_CASES: readonly Case[] = [...RIGHTS_CASES, ...VOLUME_CASES, ...SNAPSHOT_CASES, ...LAUNCH_CASES];
