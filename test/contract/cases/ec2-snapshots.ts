import {
  CopySnapshotCommand,
  CreateSnapshotCommand,
  CreateSnapshotsCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  UnlockSnapshotCommand,
} from '@aws-sdk/client-ec2';
import { agrees, type Case, refuses } from '../case.ts';
import {
  ERRORS,
  LOCK,
  SETS,
  NO_SNAPSHOT,
  NO_VOLUME,
  volumeLike,
  spare,
  locked,
  lock,
  image,
  set,
} from './ec2-things.ts';

export const SNAPSHOT_CASES: readonly Case[] = [
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
    async (lab) => lab.ec2.send(new DeleteSnapshotCommand({ SnapshotId: (await locked(lab)).SnapshotId })),
  ),
  refuses(
    'ec2-lock-both',
    ['a lock with both a duration and an end', 'EC2 API reference, LockSnapshot'],
    'InvalidParameterCombination',
    async (lab) => lock(lab, await lab.sharedSnapshot(), { ExpirationDate: new Date(Date.now() + 9e7) }),
  ),
  refuses(
    'ec2-lock-cool-off-governance',
    ['a cooling-off period in governance mode', 'EC2 API reference, LockSnapshot'],
    'InvalidParameterCombination',
    async (lab) => lock(lab, await lab.sharedSnapshot(), { CoolOffPeriod: 1 }),
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
  agrees('ec2-lock', ['a governance lock lasts the days asked for', LOCK], locked, ({ answer }) => {
    const days = ((answer.LockExpiresOn?.getTime() ?? 0) - (answer.LockDurationStartTime?.getTime() ?? 0)) / 86_400_000;
    return answer.LockState === 'governance' && answer.LockDuration === 1 && days === 1;
  }),
  agrees(
    'ec2-unlock',
    ['a governance lock can be lifted, and the snapshot then deleted', LOCK],
    async (lab) => {
      const SnapshotId = await lab.snapshot(['u']);
      await lock(lab, SnapshotId);
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
