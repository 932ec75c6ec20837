import {
  AttachVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
} from '@aws-sdk/client-ec2';
import { agrees, type Case, refuses } from '../case.ts';
import { ERRORS, VOLUME, NO_VOLUME, volumeLike, spare, attached } from './ec2-things.ts';

export const VOLUME_CASES: readonly Case[] = [
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
