import { ListSnapshotBlocksCommand } from '@aws-sdk/client-ebs';
import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateSnapshotsCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
  paginateDescribeInstances,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateAliasCommand, CreateKeyCommand, DisableKeyCommand } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, type Aws, blockOf, clientsOf, launch, newVolume, openAws, policyOf, REGION } from './world.ts';

const OURS = { 'managed-by': 'domicile', 'domicile:tenant': 'ten_eu_1' };
const specOf = (tags: Record<string, string>, ResourceType: 'snapshot' | 'volume' = 'snapshot') => [
  { ResourceType, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
];
const zone = { AvailabilityZone: `${REGION}a` };

async function stateOf({ ec2 }: Pick<Aws, 'ec2'>, SnapshotId: string) {
  const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
  return Snapshots?.[0];
}

/** An encrypted volume, its snapshot, and the key of both. */
async function encrypted(aws: Aws) {
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
  const KmsKeyId = KeyMetadata?.Arn ?? '';
  const { VolumeId = '' } = await aws.ec2.send(
    new CreateVolumeCommand({ ...zone, Size: 1, Encrypted: true, KmsKeyId }),
  );
  return { KmsKeyId, VolumeId, SnapshotId: await aws.snapshot(VolumeId) };
}

describe('instances', () => {
  test('are found by tag, state, network and id, and by nothing that does not match', async () => {
    const { ec2 } = await openAws();
    const [wanted, other] = [await launch(ec2, [], { backup: 'true' }), await launch(ec2, [], { backup: 'false' })];
    const idsWhere = async (Name: string, ...Values: string[]) => {
      const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters: [{ Name, Values }] }));
      return Reservations.flatMap((it) => it.Instances ?? []).map((it) => it.InstanceId);
    };
    const both = [wanted.instanceId, other.instanceId];
    expect(await idsWhere('tag:backup', 'true')).toEqual([wanted.instanceId]);
    expect(await idsWhere('tag:backup', 'tr*', 'f?lse')).toEqual(both);
    expect(await idsWhere('tag-key', 'backup')).toEqual(both);
    expect(await idsWhere('instance-state-name', 'stopped')).toEqual([]);
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [wanted.instanceId] }));
    expect(await idsWhere('vpc-id', Reservations?.[0]?.Instances?.[0]?.VpcId ?? '')).toEqual(both);
    expect(await idsWhere('vpc-id', 'vpc-0none')).toEqual([]);
  });

  test('come in pages that together hold each one once', async () => {
    const { ec2 } = await openAws();
    await ec2.send(new RunInstancesCommand({ ImageId: 'ami-0d0111c11e0000001', MinCount: 12, MaxCount: 12 }));
    const sizes: number[] = [];
    const ids = new Set<string | undefined>();
    for await (const { Reservations = [] } of paginateDescribeInstances({ client: ec2, pageSize: 5 }, {})) {
      sizes.push(Reservations.length);
      for (const { Instances } of Reservations) ids.add(Instances?.[0]?.InstanceId);
    }
    expect(sizes).toEqual([5, 5, 2]);
    expect(ids.size).toBe(12);
  });

  test('launched together have volumes whose tags do not follow each other', async () => {
    const { ec2 } = await openAws();
    const { Instances = [] } = await ec2.send(
      new RunInstancesCommand({
        ImageId: 'ami-0d0111c11e0000001',
        MinCount: 2,
        MaxCount: 2,
        TagSpecifications: specOf({ name: 'same' }, 'volume'),
      }),
    );
    const [first = '', second = ''] = Instances.map((it) => it.BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? '');
    await ec2.send(new CreateTagsCommand({ Resources: [first], Tags: [{ Key: 'name', Value: 'changed' }] }));
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [second] }));
    expect(Volumes?.[0]?.Tags).toEqual([{ Key: 'name', Value: 'same' }]);
  });
});

describe('CreateSnapshots', () => {
  test('takes every volume at one instant and completes later', async () => {
    const aws = await openAws();
    const { instanceId, volumeIds } = await launch(aws.ec2, [1, 2]);
    const { Snapshots = [] } = await aws.ec2.send(
      new CreateSnapshotsCommand({
        InstanceSpecification: { InstanceId: instanceId },
        TagSpecifications: specOf(OURS),
      }),
    );
    expect(Snapshots.map((it) => it.VolumeId)).toEqual(volumeIds);
    expect(new Set(Snapshots.map((it) => it.StartTime?.getTime())).size).toBe(1);
    expect(Snapshots.map((it) => it.State)).toEqual(['pending', 'pending', 'pending']);
    const first = Snapshots[0]?.SnapshotId ?? '';
    expect((await stateOf(aws, first))?.State).toBe('pending');
    aws.tick(1_000);
    expect(await stateOf(aws, first)).toMatchObject({
      State: 'completed',
      Progress: '100%',
      Tags: [
        { Key: 'managed-by', Value: 'domicile' },
        { Key: 'domicile:tenant', Value: 'ten_eu_1' },
      ],
    });
  });

  test('leaves out what is excluded, and refuses to exclude the root volume by its id', async () => {
    const { ec2 } = await openAws();
    const { instanceId, volumeIds } = await launch(ec2, [1, 1]);
    const [root = '', first = '', second = ''] = volumeIds;
    const take = async (spec: { ExcludeBootVolume?: boolean; ExcludeDataVolumeIds?: string[] }) => {
      const InstanceSpecification = { InstanceId: instanceId, ...spec };
      const { Snapshots = [] } = await ec2.send(new CreateSnapshotsCommand({ InstanceSpecification }));
      return Snapshots.map((it) => it.VolumeId);
    };
    expect(await take({ ExcludeBootVolume: true })).toEqual([first, second]);
    expect(await take({ ExcludeDataVolumeIds: [first] })).toEqual([root, second]);
    expect(await errorOf(take({ ExcludeDataVolumeIds: [root] }))).toBe('InvalidParameterValue');
    expect(await errorOf(take({ ExcludeBootVolume: true, ExcludeDataVolumeIds: [first, second] }))).toBe(
      'InvalidParameterValue',
    );
  });

  test('is refused for a terminated instance', async () => {
    const { ec2 } = await openAws();
    const { instanceId } = await launch(ec2);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    const call = ec2.send(new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId } }));
    expect(await errorOf(call)).toBe('IncorrectInstanceState');
  });

  test('with tags needs ec2:CreateTags for exactly this action', async () => {
    const { ec2, as } = await openAws();
    const { instanceId } = await launch(ec2);
    const input = { InstanceSpecification: { InstanceId: instanceId }, TagSpecifications: specOf(OURS) };
    const tagging = (action: string) => allow('ec2:CreateTags', '*', { StringEquals: { 'ec2:CreateAction': action } });
    const without = await as(allow('ec2:CreateSnapshots'));
    expect(await errorOf(without.ec2.send(new CreateSnapshotsCommand(input)))).toBe('UnauthorizedOperation');
    expect(
      await errorOf(
        without.ec2.send(new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId } })),
      ),
    ).toBeNull();
    const other = await as(allow('ec2:CreateSnapshots'), tagging('CreateVolume'));
    expect(await errorOf(other.ec2.send(new CreateSnapshotsCommand(input)))).toBe('UnauthorizedOperation');
    const right = await as(allow('ec2:CreateSnapshots'), tagging('CreateSnapshots'));
    const { Snapshots = [] } = await right.ec2.send(new CreateSnapshotsCommand(input));
    const later = new CreateTagsCommand({
      Resources: [Snapshots[0]?.SnapshotId ?? ''],
      Tags: [{ Key: 'a', Value: 'b' }],
    });
    expect(await errorOf(right.ec2.send(later))).toBe('UnauthorizedOperation');
  });

  test('obeys the tags of the instance and those of the request', async () => {
    const { ec2, as } = await openAws();
    const [chosen, other] = [await launch(ec2, [], { 'domicile:backup': 'true' }), await launch(ec2)];
    const limited = await as(
      allow('ec2:CreateSnapshots', `arn:aws:ec2:${REGION}:${ACCOUNT}:instance/*`, {
        StringEquals: { 'aws:ResourceTag/domicile:backup': 'true' },
      }),
      allow('ec2:CreateSnapshots', `arn:aws:ec2:${REGION}:${ACCOUNT}:volume/*`),
      allow(['ec2:CreateSnapshots', 'ec2:CreateTags'], `arn:aws:ec2:${REGION}::snapshot/*`, {
        StringEquals: { 'aws:RequestTag/managed-by': 'domicile' },
        'ForAllValues:StringEquals': { 'aws:TagKeys': Object.keys(OURS) },
      }),
    );
    const take = (InstanceId: string, tags: Record<string, string>) =>
      errorOf(
        limited.ec2.send(
          new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId }, TagSpecifications: specOf(tags) }),
        ),
      );
    expect(await take(chosen.instanceId, OURS)).toBeNull();
    expect(await take(other.instanceId, OURS)).toBe('UnauthorizedOperation');
    expect(await take(chosen.instanceId, { ...OURS, more: 'x' })).toBe('UnauthorizedOperation');
    expect(await take(chosen.instanceId, {})).toBe('UnauthorizedOperation');
  });

  test('of a volume whose key is disabled puts the whole set in error', async () => {
    const aws = await openAws();
    const { KmsKeyId, VolumeId } = await encrypted(aws);
    const { instanceId } = await launch(aws.ec2);
    await aws.ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId: instanceId, Device: '/dev/sdf' }));
    await aws.kms.send(new DisableKeyCommand({ KeyId: KmsKeyId }));
    const { Snapshots = [] } = await aws.ec2.send(
      new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId } }),
    );
    aws.tick(1_000);
    const states = await Promise.all(Snapshots.map((it) => stateOf(aws, it.SnapshotId ?? '')));
    expect(states.map((it) => it?.State)).toEqual(['error', 'error']);
    expect(states[0]?.StateMessage).toContain('not accessible');
  });
});

describe('DeleteSnapshot', () => {
  test('obeys the tags that the snapshot has', async () => {
    const { ec2, as } = await openAws();
    const VolumeId = await newVolume(ec2);
    const take = async (tags: Record<string, string>) =>
      (await ec2.send(new CreateSnapshotCommand({ VolumeId, TagSpecifications: specOf(tags) }))).SnapshotId ?? '';
    const [ours, theirs] = [await take(OURS), await take({ 'managed-by': 'someone' })];
    const limited = await as(
      allow('ec2:DeleteSnapshot', `arn:aws:ec2:${REGION}::snapshot/*`, {
        StringEquals: { 'aws:ResourceTag/managed-by': 'domicile' },
      }),
    );
    const drop = (SnapshotId: string) => errorOf(limited.ec2.send(new DeleteSnapshotCommand({ SnapshotId })));
    expect(await drop(theirs)).toBe('UnauthorizedOperation');
    expect(await drop(ours)).toBeNull();
    expect(await errorOf(ec2.send(new DeleteSnapshotCommand({ SnapshotId: ours })))).toBe('InvalidSnapshot.NotFound');
  });
});

describe('CreateVolume', () => {
  test('holds what its snapshot holds, and goes its own way from there', async () => {
    const { ec2, control, owner, write, snapshot } = await openAws();
    const source = await newVolume(ec2);
    const [before, after] = [blockOf('before'), blockOf('after')];
    await write(source, 0, before);
    const SnapshotId = await snapshot(source);
    await write(source, 0, after);
    const { VolumeId = '' } = await ec2.send(new CreateVolumeCommand({ ...zone, SnapshotId, Size: 3 }));
    expect(before.equals(await control.readDisk(owner, VolumeId, 0, before.length))).toBe(true);
    await write(VolumeId, 100, Buffer.from('hello'));
    expect(after.equals(await control.readDisk(owner, source, 0, after.length))).toBe(true);
    expect(Buffer.from(await control.readDisk(owner, VolumeId, 99, 7)).toString('latin1')).toBe(
      `${String.fromCharCode(before[99] ?? 0)}hello${String.fromCharCode(before[105] ?? 0)}`,
    );
  });

  test('refuses a size below its snapshot, none at all, too large, and a zone that does not exist', async () => {
    const { ec2, snapshot } = await openAws();
    const SnapshotId = await snapshot(await newVolume(ec2, 4));
    const failure = (input: CreateVolumeCommand['input']) => errorOf(ec2.send(new CreateVolumeCommand(input)));
    expect(await failure({ ...zone, SnapshotId, Size: 3 })).toBe('InvalidParameterValue');
    expect(await failure({ ...zone })).toBe('MissingParameter');
    expect(await failure({ ...zone, Size: 16_385, VolumeType: 'gp2' })).toBe('InvalidParameterValue');
    expect(await failure({ AvailabilityZone: 'eu-central-1z', Size: 1 })).toBe('InvalidZone.NotFound');
    expect(await failure({ AvailabilityZone: 'us-east-1a', Size: 1 })).toBe('InvalidZone.NotFound');
    expect(await failure({ ...zone, SnapshotId: 'snap-0123456789abcdef0' })).toBe('InvalidSnapshot.NotFound');
  });

  test('refuses a snapshot that is not complete', async () => {
    const { ec2 } = await openAws();
    const { SnapshotId } = await ec2.send(new CreateSnapshotCommand({ VolumeId: await newVolume(ec2) }));
    expect(await errorOf(ec2.send(new CreateVolumeCommand({ ...zone, SnapshotId })))).toBe('IncorrectState');
  });

  test('is never less encrypted than its snapshot', async () => {
    const aws = await openAws();
    const { KmsKeyId, SnapshotId } = await encrypted(aws);
    const made = await aws.ec2.send(new CreateVolumeCommand({ ...zone, SnapshotId, Encrypted: false }));
    expect(made).toMatchObject({ Encrypted: true, KmsKeyId });
  });

  test('takes the default key when none is named, and by the account’s default', async () => {
    const { ec2 } = await openAws();
    const { KmsKeyId } = await ec2.send(new GetEbsDefaultKmsKeyIdCommand({}));
    expect(await ec2.send(new CreateVolumeCommand({ ...zone, Size: 1, Encrypted: true }))).toMatchObject({ KmsKeyId });
    await ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    expect(await ec2.send(new CreateVolumeCommand({ ...zone, Size: 1 }))).toMatchObject({ Encrypted: true, KmsKeyId });
  });

  test('names its key by ARN whichever way the key was named', async () => {
    const { ec2, kms } = await openAws();
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    await kms.send(new CreateAliasCommand({ AliasName: 'alias/disks', TargetKeyId: KeyMetadata?.KeyId }));
    for (const KmsKeyId of [KeyMetadata?.KeyId, 'alias/disks', KeyMetadata?.Arn]) {
      const made = await ec2.send(new CreateVolumeCommand({ ...zone, Size: 1, Encrypted: true, KmsKeyId }));
      expect(made.KmsKeyId).toBe(KeyMetadata?.Arn);
    }
  });

  test('refuses a key without Encrypted, and a disabled key of its snapshot even when another key is named', async () => {
    const aws = await openAws();
    const { KmsKeyId, SnapshotId } = await encrypted(aws);
    expect(await errorOf(aws.ec2.send(new CreateVolumeCommand({ ...zone, Size: 1, KmsKeyId })))).toBe(
      'InvalidParameterDependency',
    );
    await aws.kms.send(new DisableKeyCommand({ KeyId: KmsKeyId }));
    const other = (await aws.kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn;
    const call = aws.ec2.send(new CreateVolumeCommand({ ...zone, SnapshotId, Encrypted: true, KmsKeyId: other }));
    expect(await errorOf(call)).toBe('DisabledException');
  });

  test('with the same token gives the same volume, and refuses another request under it', async () => {
    const { ec2 } = await openAws();
    const input = { ...zone, Size: 1, ClientToken: 'once' };
    const first = await ec2.send(new CreateVolumeCommand(input));
    expect((await ec2.send(new CreateVolumeCommand(input))).VolumeId).toBe(first.VolumeId);
    expect(await errorOf(ec2.send(new CreateVolumeCommand({ ...input, Size: 2 })))).toBe('IdempotentParameterMismatch');
    expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes).toHaveLength(1);
  });
});

describe('a volume', () => {
  test('is in use while attached, available after, and deleted only then', async () => {
    const { ec2 } = await openAws();
    const { instanceId: InstanceId } = await launch(ec2);
    const VolumeId = await newVolume(ec2);
    const state = async () =>
      (await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }))).Volumes?.[0]?.State;
    const attach = (Device: string) => errorOf(ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device })));
    expect(await errorOf(ec2.send(new DetachVolumeCommand({ VolumeId })))).toBe('IncorrectState');
    expect(await attach('/dev/xvda')).toBe('InvalidParameterValue');
    expect(await attach('/dev/sdf')).toBeNull();
    expect(await state()).toBe('in-use');
    expect(await attach('/dev/sdg')).toBe('VolumeInUse');
    expect(await errorOf(ec2.send(new DeleteVolumeCommand({ VolumeId })))).toBe('VolumeInUse');
    await ec2.send(new DetachVolumeCommand({ VolumeId }));
    expect(await state()).toBe('available');
    await ec2.send(new DeleteVolumeCommand({ VolumeId }));
    expect(await errorOf(state())).toBe('InvalidVolume.NotFound');
  });

  test('of another zone cannot be attached', async () => {
    const { ec2 } = await openAws();
    const { instanceId: InstanceId } = await launch(ec2);
    const { VolumeId } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${REGION}b`, Size: 1 }));
    const call = ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device: '/dev/sdf' }));
    expect(await errorOf(call)).toBe('InvalidVolume.ZoneMismatch');
  });
});

describe('a dry run', () => {
  test('says whether the call would be allowed, and does nothing', async () => {
    const { ec2, as } = await openAws();
    const { instanceId } = await launch(ec2);
    const command = () =>
      new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId }, DryRun: true });
    await expect(ec2.send(command())).rejects.toMatchObject({
      name: 'DryRunOperation',
      $metadata: { httpStatusCode: 412 },
    });
    const nobody = await as(allow('ec2:DescribeInstances'));
    await expect(nobody.ec2.send(command())).rejects.toMatchObject({
      name: 'UnauthorizedOperation',
      $metadata: { httpStatusCode: 403 },
    });
    expect((await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots).toEqual([]);
  });
});

describe('what belongs to another account or region', () => {
  test('does not exist', async () => {
    const { ec2, control, endpoint, owner, snapshot } = await openAws();
    const { instanceId, volumeIds } = await launch(ec2);
    const [VolumeId = ''] = volumeIds;
    const SnapshotId = await snapshot(VolumeId);
    const stranger = clientsOf(endpoint, await control.account('333333333333'));
    for (const other of [stranger, clientsOf(endpoint, owner, 'eu-west-1')]) {
      const calls = [
        other.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] })),
        other.ec2.send(new CreateSnapshotCommand({ VolumeId })),
        other.ec2.send(new DeleteVolumeCommand({ VolumeId })),
        other.ec2.send(new DeleteSnapshotCommand({ SnapshotId })),
        other.ebs.send(new ListSnapshotBlocksCommand({ SnapshotId })),
      ];
      expect(await Promise.all(calls.map(errorOf))).toEqual([
        'InvalidInstanceID.NotFound',
        'InvalidVolume.NotFound',
        'InvalidVolume.NotFound',
        'InvalidSnapshot.NotFound',
        'ResourceNotFoundException',
      ]);
      expect((await other.ec2.send(new DescribeSnapshotsCommand({}))).Snapshots).toEqual([]);
    }
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['333333333333'] }));
    expect(Snapshots).toEqual([]);
  });

  test('cannot be reached with a policy for another region', async () => {
    const { as, endpoint } = await openAws();
    const limited = await as(allow('ec2:Describe*', '*', { StringEquals: { 'aws:RequestedRegion': REGION } }));
    expect(await errorOf(limited.ec2.send(new DescribeInstancesCommand({})))).toBeNull();
    const elsewhere = clientsOf(endpoint, await limited.ec2.config.credentials(), 'eu-west-1');
    expect(await errorOf(elsewhere.ec2.send(new DescribeInstancesCommand({})))).toBe('UnauthorizedOperation');
  });

  test('cannot be done by a session whose policy leaves it out', async () => {
    const { asSession } = await openAws();
    const session = await asSession(policyOf(allow('ec2:*')), policyOf(allow('ec2:DescribeInstances')));
    expect(await errorOf(session.ec2.send(new DescribeInstancesCommand({})))).toBeNull();
    expect(await errorOf(session.ec2.send(new DescribeVolumesCommand({})))).toBe('UnauthorizedOperation');
  });
});
