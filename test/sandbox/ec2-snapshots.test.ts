import { ListChangedBlocksCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  CopySnapshotCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DescribeLockedSnapshotsCommand,
  DescribeSnapshotsCommand,
  type EC2Client,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
  LockSnapshotCommand,
  type LockSnapshotCommandInput,
  UnlockSnapshotCommand,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DisableKeyCommand, type KMSClient } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { createSandbox } from '../../src/sandbox/server.ts';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, type Aws, blockOf, clientsOf, listAll, newVolume, openAws, REGION } from './world.ts';

const OTHER = 'eu-west-1';
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const arn = (region: string, id: string) => `arn:aws:ec2:${region}::snapshot/${id}`;
const tagged = (Value: string) => [{ ResourceType: 'snapshot' as const, Tags: [{ Key: 'owner', Value }] }];

async function newKey(kms: KMSClient): Promise<string> {
  return (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
}

async function newSnapshot(aws: Aws): Promise<string> {
  return aws.snapshot(await newVolume(aws.ec2));
}

async function encryptedSnapshot(aws: Aws) {
  const KmsKeyId = await newKey(aws.kms);
  const { VolumeId = '' } = await aws.ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, Size: 1, Encrypted: true, KmsKeyId }),
  );
  return { KmsKeyId, SnapshotId: await aws.snapshot(VolumeId) };
}

async function copy(ec2: EC2Client, SourceSnapshotId: string, more: object = {}): Promise<string> {
  const input = { SourceSnapshotId, SourceRegion: REGION, ...more };
  return (await ec2.send(new CopySnapshotCommand(input))).SnapshotId ?? '';
}

async function seen(ec2: EC2Client, SnapshotId: string) {
  return (await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }))).Snapshots?.[0];
}

describe('CopySnapshot', () => {
  test('copies every block into another region, with its own tags and lineage', async () => {
    const aws = await openAws();
    const there = clientsOf(aws.endpoint, aws.owner, OTHER);
    const volumeId = await newVolume(aws.ec2);
    await aws.write(volumeId, 0, blockOf('first'));
    const { SnapshotId: source = '' } = await aws.ec2.send(
      new CreateSnapshotCommand({ VolumeId: volumeId, TagSpecifications: tagged('source') }),
    );
    aws.tick(1_000);
    const id = await copy(there.ec2, source, { Description: 'far away', TagSpecifications: tagged('copy') });
    expect(await seen(there.ec2, id)).toMatchObject({ State: 'pending', Description: 'far away', VolumeSize: 1 });
    aws.tick(1_000);
    const done = await seen(there.ec2, id);
    expect(done).toMatchObject({ State: 'completed', Encrypted: false, Tags: [{ Key: 'owner', Value: 'copy' }] });
    expect(done?.VolumeId).not.toBe(volumeId);
    expect((await listAll(there.ebs, id)).blocks.map(({ BlockIndex }) => BlockIndex)).toEqual([0]);
    await aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId: source }));
    expect((await listAll(there.ebs, id)).blocks).toHaveLength(1);
    expect(await errorOf(aws.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] })))).toBe(
      'InvalidSnapshot.NotFound',
    );
  });

  test('has a lineage of its own in the same region too', async () => {
    const aws = await openAws();
    const source = await newSnapshot(aws);
    const id = await copy(aws.ec2, source);
    aws.tick(1_000);
    const call = aws.ebs.send(new ListChangedBlocksCommand({ FirstSnapshotId: source, SecondSnapshotId: id }));
    expect(await errorOf(call)).toBe('ValidationException');
  });

  // Source: EC2 API reference, CopySnapshot: Encrypted, KmsKeyId; EBS guide, "Encryption outcomes".
  test('is never less encrypted than its source', async () => {
    const aws = await openAws();
    const there = clientsOf(aws.endpoint, aws.owner, OTHER);
    const { KmsKeyId, SnapshotId } = await encryptedSnapshot(aws);
    const { KmsKeyId: byDefault = '' } = await there.ec2.send(new GetEbsDefaultKmsKeyIdCommand({}));
    const own = await newKey(there.kms);
    expect(await seen(there.ec2, await copy(there.ec2, SnapshotId))).toMatchObject({
      Encrypted: true,
      KmsKeyId: byDefault,
    });
    const rekeyed = await copy(there.ec2, SnapshotId, { Encrypted: true, KmsKeyId: own });
    expect(await seen(there.ec2, rekeyed)).toMatchObject({ Encrypted: true, KmsKeyId: own, State: 'pending' });
    expect(await seen(aws.ec2, await copy(aws.ec2, SnapshotId))).not.toMatchObject({ KmsKeyId });
    const plain = await newSnapshot(aws);
    expect(await seen(aws.ec2, await copy(aws.ec2, plain))).toMatchObject({ Encrypted: false });
    await aws.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    expect(await seen(aws.ec2, await copy(aws.ec2, plain))).toMatchObject({ Encrypted: true });
  });

  test.each([
    ['Encrypted set to false', { Encrypted: false }, 'InvalidParameterValue'],
    ['a key without Encrypted', { KmsKeyId: 'alias/aws/ebs' }, 'InvalidParameterDependency'],
    ['a snapshot of no region', { SourceRegion: OTHER }, 'InvalidSnapshot.NotFound'],
    ['a dry run that would succeed', { DryRun: true }, 'DryRunOperation'],
  ])('refuses %s', async (_, more, code) => {
    const aws = await openAws();
    const { SnapshotId } = await encryptedSnapshot(aws);
    expect(await errorOf(copy(aws.ec2, SnapshotId, more))).toBe(code);
    expect((await aws.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots).toHaveLength(1);
  });

  test('refuses a source that is not completed, and one of another account', async () => {
    const aws = await openAws();
    const { SnapshotId = '' } = await aws.ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
    expect(await errorOf(copy(aws.ec2, SnapshotId))).toBe('IncorrectState');
    const stranger = clientsOf(aws.endpoint, await aws.control.account('333333333333'));
    expect(await errorOf(copy(stranger.ec2, await newSnapshot(aws)))).toBe('InvalidSnapshot.NotFound');
  });

  // Source: EBS guide, "Copy a snapshot": at most 20 in progress in one destination Region.
  test('refuses the twenty-first copy at once, until some are complete', async () => {
    const aws = await openAws();
    const source = await newSnapshot(aws);
    for (let n = 0; n < 20; n += 1) await copy(aws.ec2, source);
    expect(await errorOf(copy(aws.ec2, source))).toBe('ResourceLimitExceeded');
    aws.tick(1_000);
    expect(await errorOf(copy(aws.ec2, source))).toBe(null);
  });

  // Source: service authorization reference, CopySnapshot: source and new snapshot; ec2:CreateTags for tag-on-create.
  test('needs rights on the source, on the copy, and on its tags for exactly this action', async () => {
    const aws = await openAws();
    const source = await newSnapshot(aws);
    const onSource = allow('ec2:CopySnapshot', arn(REGION, source));
    const onCopy = allow('ec2:CopySnapshot', arn(REGION, '*'), { StringEquals: { 'aws:RequestTag/owner': 'us' } });
    const tagging = (action: string) =>
      allow('ec2:CreateTags', arn(REGION, '*'), { StringEquals: { 'ec2:CreateAction': action } });
    const tryAs = async (...statements: object[]) => {
      const { ec2 } = await aws.as(...statements);
      return errorOf(copy(ec2, source, { TagSpecifications: tagged('us') }));
    };
    expect(await tryAs(onSource, tagging('CopySnapshot'))).toBe('UnauthorizedOperation');
    expect(await tryAs(onCopy, tagging('CopySnapshot'))).toBe('UnauthorizedOperation');
    expect(await tryAs(onSource, onCopy)).toBe('UnauthorizedOperation');
    expect(await tryAs(onSource, onCopy, tagging('CreateSnapshot'))).toBe('UnauthorizedOperation');
    expect(await tryAs(onSource, onCopy, tagging('CopySnapshot'))).toBe(null);
  });

  test('is decided by the tags of the source', async () => {
    const aws = await openAws();
    const source = await newSnapshot(aws);
    const ours = allow('ec2:CopySnapshot', '*', { StringEquals: { 'aws:ResourceTag/owner': 'us' } });
    const made = allow('ec2:CopySnapshot', '*', { StringEquals: { 'aws:RequestTag/owner': 'us' } });
    const { ec2 } = await aws.as(ours, made, allow('ec2:CreateTags'));
    const more = { TagSpecifications: tagged('us') };
    expect(await errorOf(copy(ec2, source, more))).toBe('UnauthorizedOperation');
    await aws.ec2.send(new CreateTagsCommand({ Resources: [source], Tags: [{ Key: 'owner', Value: 'us' }] }));
    expect(await errorOf(copy(ec2, source, more))).toBe(null);
  });

  // Source: EC2 API reference, CopySnapshot, KmsKeyId: the key is looked at after the answer.
  test('ends in error when the key of the source or of the copy cannot be used', async () => {
    const aws = await openAws();
    const { KmsKeyId, SnapshotId } = await encryptedSnapshot(aws);
    const failed = { State: 'error', StateMessage: 'Given key ID is not accessible' };
    const missing = await copy(aws.ec2, SnapshotId, { Encrypted: true, KmsKeyId: `${KmsKeyId.slice(0, -4)}0000` });
    expect(await seen(aws.ec2, missing)).toMatchObject(failed);
    const rightsOn = (key: string) => allow('kms:*', key);
    const toKey = await newKey(aws.kms);
    const tryAs = async (...keys: string[]) => {
      const { ec2 } = await aws.as(allow('ec2:CopySnapshot'), ...keys.map(rightsOn));
      return seen(aws.ec2, await copy(ec2, SnapshotId, { Encrypted: true, KmsKeyId: toKey }));
    };
    expect(await tryAs(toKey)).toMatchObject(failed);
    expect(await tryAs(KmsKeyId)).toMatchObject(failed);
    expect(await tryAs(toKey, KmsKeyId)).toMatchObject({ State: 'pending' });
    await aws.kms.send(new DisableKeyCommand({ KeyId: KmsKeyId }));
    expect(await seen(aws.ec2, await copy(aws.ec2, SnapshotId))).toMatchObject(failed);
  });

  test('asks for the key of the source where the source is', async () => {
    const aws = await openAws();
    const there = clientsOf(aws.endpoint, aws.owner, OTHER);
    const { KmsKeyId, SnapshotId } = await encryptedSnapshot(aws);
    const toKey = await newKey(there.kms);
    const { login } = await loginFor(aws, [
      allow('ec2:CopySnapshot'),
      allow('kms:*', toKey),
      allow('kms:*', KmsKeyId, { StringEquals: { 'kms:ViaService': `ec2.${REGION}.amazonaws.com` } }),
    ]);
    const ec2 = clientsOf(aws.endpoint, login, OTHER).ec2;
    const id = await copy(ec2, SnapshotId, { Encrypted: true, KmsKeyId: toKey });
    expect(await seen(there.ec2, id)).toMatchObject({ State: 'pending', KmsKeyId: toKey });
  });
});

/** A role's credentials, for clients of another region. */
async function loginFor(aws: Aws, statements: object[]) {
  const { ec2 } = await aws.as(...statements);
  const login = await ec2.config.credentials();
  return { login };
}

const lock = (ec2: EC2Client, input: Omit<LockSnapshotCommandInput, 'LockMode'> & { LockMode?: string }) =>
  ec2.send(new LockSnapshotCommand(input as LockSnapshotCommandInput));
const unlock = (ec2: EC2Client, SnapshotId: string) => ec2.send(new UnlockSnapshotCommand({ SnapshotId }));
const remove = (ec2: EC2Client, SnapshotId: string) => ec2.send(new DeleteSnapshotCommand({ SnapshotId }));

async function lockOf({ ec2 }: Pick<Aws, 'ec2'>, SnapshotId: string) {
  const { Snapshots = [] } = await ec2.send(new DescribeLockedSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
  return Snapshots[0];
}

describe('LockSnapshot', () => {
  test('in governance mode keeps a snapshot until it is unlocked, and can be shortened', async () => {
    const aws = await openAws();
    const SnapshotId = await newSnapshot(aws);
    const answer = await lock(aws.ec2, { SnapshotId, LockMode: 'governance', LockDuration: 30 });
    expect(answer).toMatchObject({ SnapshotId, LockState: 'governance', LockDuration: 30 });
    const { LockExpiresOn, LockDurationStartTime } = answer;
    expect((LockExpiresOn?.getTime() ?? 0) - (LockDurationStartTime?.getTime() ?? 0)).toBe(30 * DAY_MS);
    expect(await errorOf(remove(aws.ec2, SnapshotId))).toBe('SnapshotLocked');
    await lock(aws.ec2, { SnapshotId, LockMode: 'governance', LockDuration: 1 });
    expect(await lockOf(aws, SnapshotId)).toMatchObject({ LockDuration: 1, OwnerId: ACCOUNT });
    await unlock(aws.ec2, SnapshotId);
    expect(await lockOf(aws, SnapshotId)).toBe(undefined);
    expect(await errorOf(remove(aws.ec2, SnapshotId))).toBe(null);
  });

  test('ends by itself: an expired lock is shown as such and holds nothing', async () => {
    const aws = await openAws();
    const SnapshotId = await newSnapshot(aws);
    await lock(aws.ec2, { SnapshotId, LockMode: 'compliance', LockDuration: 1 });
    aws.tick(DAY_MS - 60_000);
    expect(await errorOf(remove(aws.ec2, SnapshotId))).toBe('SnapshotLocked');
    aws.tick(120_000);
    expect(await lockOf(aws, SnapshotId)).toMatchObject({ LockState: 'expired' });
    expect(await errorOf(unlock(aws.ec2, SnapshotId))).toBe('IncorrectState');
    expect(await errorOf(remove(aws.ec2, SnapshotId))).toBe(null);
  });

  // Source: EBS guide, "Update snapshot lock settings".
  test('in compliance mode can be changed and lifted during the cooling-off, and only extended after it', async () => {
    const aws = await openAws();
    const SnapshotId = await newSnapshot(aws);
    const first = await lock(aws.ec2, { SnapshotId, LockMode: 'compliance', LockDuration: 30, CoolOffPeriod: 2 });
    expect(first).toMatchObject({ LockState: 'compliance-cooloff', CoolOffPeriod: 2 });
    expect(await errorOf(remove(aws.ec2, SnapshotId))).toBe('SnapshotLocked');
    await unlock(aws.ec2, SnapshotId);
    await lock(aws.ec2, { SnapshotId, LockMode: 'compliance', LockDuration: 30, CoolOffPeriod: 2 });
    await lock(aws.ec2, { SnapshotId, LockMode: 'compliance', LockDuration: 10, CoolOffPeriod: 1 });
    aws.tick(HOUR_MS + 1_000);
    const before = await lockOf(aws, SnapshotId);
    expect(before).toMatchObject({ LockState: 'compliance', LockDuration: 10 });
    expect(await errorOf(unlock(aws.ec2, SnapshotId))).toBe('SnapshotLocked');
    const change = (more: object) => errorOf(lock(aws.ec2, { SnapshotId, LockMode: 'compliance', ...more }));
    expect(await change({ LockDuration: 9 })).toBe('InvalidParameterValue');
    expect(await change({ ExpirationDate: before?.LockDurationStartTime })).toBe('InvalidParameterValue');
    expect(await change({ LockMode: 'governance', LockDuration: 20 })).toBe('SnapshotLocked');
    expect(await change({ LockDuration: 20, CoolOffPeriod: 1 })).toBe('InvalidParameterCombination');
    expect(await change({ LockDuration: 20 })).toBe(null);
    expect(await lockOf(aws, SnapshotId)).toMatchObject({
      LockState: 'compliance',
      LockDuration: 20,
      LockDurationStartTime: before?.LockDurationStartTime,
    });
  });

  test('of a pending snapshot protects it at once, and runs from its completion', async () => {
    const aws = await openAws();
    const { SnapshotId = '' } = await aws.ec2.send(new CreateSnapshotCommand({ VolumeId: await newVolume(aws.ec2) }));
    const answer = await lock(aws.ec2, { SnapshotId, LockMode: 'governance', LockDuration: 1 });
    expect(answer).toMatchObject({ LockState: 'governance', LockDuration: 1 });
    expect(answer.LockDurationStartTime).toBe(undefined);
    expect(await errorOf(remove(aws.ec2, SnapshotId))).toBe('SnapshotLocked');
    aws.tick(1_000);
    const { CompletionTime } = (await seen(aws.ec2, SnapshotId)) ?? {};
    expect(CompletionTime).toBeInstanceOf(Date);
    expect((await lockOf(aws, SnapshotId))?.LockDurationStartTime).toEqual(CompletionTime);
  });

  // Source of all: EC2 API reference, LockSnapshot, request parameters.
  test.each([
    ['a mode that is not there', { LockMode: 'forever', LockDuration: 1 }, 'InvalidParameterValue'],
    ['neither duration nor date', { LockMode: 'governance' }, 'MissingParameter'],
    [
      'both duration and date',
      { LockMode: 'governance', LockDuration: 1, ExpirationDate: new Date('2090-01-01') },
      'InvalidParameterCombination',
    ],
    [
      'a date that has passed',
      { LockMode: 'governance', ExpirationDate: new Date('2001-01-01') },
      'InvalidParameterValue',
    ],
    ['no day', { LockMode: 'governance', LockDuration: 0 }, 'InvalidParameterValue'],
    ['more than 36,500 days', { LockMode: 'governance', LockDuration: 36_501 }, 'InvalidParameterValue'],
    [
      'a cooling-off in governance mode',
      { LockMode: 'governance', LockDuration: 1, CoolOffPeriod: 1 },
      'InvalidParameterCombination',
    ],
    [
      'a cooling-off of no hour',
      { LockMode: 'compliance', LockDuration: 1, CoolOffPeriod: 0 },
      'InvalidParameterValue',
    ],
    [
      'a cooling-off of 73 hours',
      { LockMode: 'compliance', LockDuration: 9, CoolOffPeriod: 73 },
      'InvalidParameterValue',
    ],
    [
      'a snapshot that is not there',
      { SnapshotId: 'snap-00000000000000000', LockMode: 'governance', LockDuration: 1 },
      'InvalidSnapshot.NotFound',
    ],
    ['a dry run that would succeed', { LockMode: 'compliance', LockDuration: 1, DryRun: true }, 'DryRunOperation'],
  ])('refuses %s', async (_, input, code) => {
    const aws = await openAws();
    const SnapshotId = await newSnapshot(aws);
    expect(await errorOf(lock(aws.ec2, { SnapshotId, ...input }))).toBe(code);
    expect(await lockOf(aws, SnapshotId)).toBe(undefined);
  });

  // Source: service authorization reference, LockSnapshot: ec2:SnapshotLockDuration, ec2:SnapshotCoolOffPeriod.
  test('is allowed by tag and by how long it lasts; unlocking is a right of its own', async () => {
    const aws = await openAws();
    const SnapshotId = await newSnapshot(aws);
    await aws.ec2.send(new CreateTagsCommand({ Resources: [SnapshotId], Tags: [{ Key: 'owner', Value: 'us' }] }));
    const under = (owner: string) =>
      allow('ec2:LockSnapshot', arn(REGION, '*'), {
        StringEquals: { 'aws:ResourceTag/owner': owner },
        NumericLessThanEquals: { 'ec2:SnapshotLockDuration': '7' },
      });
    const [ours, theirs] = [await aws.as(under('us')), await aws.as(under('them'))];
    const input = { SnapshotId, LockMode: 'governance', LockDuration: 7 };
    expect(await errorOf(lock(theirs.ec2, input))).toBe('UnauthorizedOperation');
    expect(await errorOf(lock(ours.ec2, { ...input, LockDuration: 8 }))).toBe('UnauthorizedOperation');
    expect(await errorOf(lock(ours.ec2, input))).toBe(null);
    expect(await errorOf(unlock(ours.ec2, SnapshotId))).toBe('UnauthorizedOperation');
    const reader = await aws.as(allow('ec2:DescribeSnapshots'));
    expect(await errorOf(reader.ec2.send(new DescribeLockedSnapshotsCommand({})))).toBe('UnauthorizedOperation');
  });

  test('is refused for a snapshot that failed; unlocking, for one that is not locked', async () => {
    const aws = await openAws();
    const { KmsKeyId, SnapshotId } = await encryptedSnapshot(aws);
    expect(await errorOf(unlock(aws.ec2, SnapshotId))).toBe('IncorrectState');
    await aws.kms.send(new DisableKeyCommand({ KeyId: KmsKeyId }));
    const failed = await copy(aws.ec2, SnapshotId);
    const call = lock(aws.ec2, { SnapshotId: failed, LockMode: 'governance', LockDuration: 1 });
    expect(await errorOf(call)).toBe('IncorrectState');
  });

  test('is listed by its state, and outlives a restart', async () => {
    const aws = await openAws();
    const [one, two] = [await newSnapshot(aws), await newSnapshot(aws)];
    await newSnapshot(aws);
    await lock(aws.ec2, { SnapshotId: one, LockMode: 'governance', LockDuration: 1 });
    await lock(aws.ec2, { SnapshotId: two, LockMode: 'compliance', LockDuration: 1, CoolOffPeriod: 72 });
    const idsWhere = async (ec2: EC2Client, ...Values: string[]) => {
      const Filters = Values.length > 0 ? [{ Name: 'lock-state', Values }] : [];
      const { Snapshots = [] } = await ec2.send(new DescribeLockedSnapshotsCommand({ Filters }));
      return Snapshots.map((it) => it.SnapshotId);
    };
    expect(await idsWhere(aws.ec2)).toEqual([one, two]);
    expect(await idsWhere(aws.ec2, 'governance')).toEqual([one]);
    expect(await idsWhere(aws.ec2, 'compliance-cooloff')).toEqual([two]);
    await aws.sandbox.close();
    const again = await createSandbox({ dir: aws.dir });
    try {
      const { ec2 } = clientsOf(again.url, aws.owner);
      expect(await idsWhere(ec2)).toEqual([one, two]);
      expect(await errorOf(remove(ec2, two))).toBe('SnapshotLocked');
    } finally {
      await again.close();
    }
  });
});
