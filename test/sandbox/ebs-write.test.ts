import { CompleteSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DescribeSnapshotsCommand,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DisableKeyCommand } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { get, list, readAll, start, stateOf } from './ebs-calls.ts';
import { allow, type Aws, blockOf, clientsOf, complete, failureOf, newVolume, openAws, put, sha256 } from './world.ts';

const MINUTE_MS = 60_000;

describe('StartSnapshot, PutSnapshotBlock, CompleteSnapshot', () => {
  test('make a snapshot that reads back the same, and is pending until completed', async () => {
    const aws = await openAws();
    const SnapshotId = await start(aws.ebs, { Tags: [{ Key: 'a', Value: 'b' }], Description: 'restored' });
    const blocks = [blockOf('0'), blockOf('2047')];
    await put(aws.ebs, { id: SnapshotId, index: 2_047 }, blockOf('2047'));
    await put(aws.ebs, { id: SnapshotId, index: 0 }, blockOf('0'));
    expect(await failureOf(list(aws.ebs, SnapshotId))).toBe('ValidationException INVALID_SNAPSHOT_ID');
    const answer = await complete(aws.ebs, SnapshotId, blocks);
    expect(answer).toMatchObject({ Status: 'pending', $metadata: { httpStatusCode: 202 } });
    expect(await stateOf(aws, SnapshotId)).toBe('pending');
    aws.tick(1_000);
    expect(await stateOf(aws, SnapshotId)).toBe('completed');
    const contents = await readAll(aws.ebs, SnapshotId);
    expect([...contents.keys()]).toEqual([0, 2_047]);
    expect(contents.get(2_047)?.equals(blockOf('2047'))).toBe(true);
  });

  test('refuse a block with a wrong checksum, length or index', async () => {
    const { ebs } = await openAws();
    const id = await start(ebs);
    const block = blockOf('x');
    const refused = 'ValidationException INVALID_BLOCK';
    expect(await failureOf(put(ebs, { id, index: 0 }, block, { Checksum: sha256(blockOf('y')) }))).toBe(refused);
    expect(
      await failureOf(put(ebs, { id, index: 0 }, block.subarray(1), { Checksum: sha256(block.subarray(1)) })),
    ).toBe(refused);
    expect(await failureOf(put(ebs, { id, index: 0 }, block, { DataLength: 4_096 }))).toBe(refused);
    expect(await failureOf(put(ebs, { id, index: 2_048 }, block))).toBe(refused);
    expect(await failureOf(put(ebs, { id, index: -1 }, block))).toBe(refused);
    expect(await failureOf(put(ebs, { id: 'snap-0123456789abcdef0', index: 0 }, block))).toBe(
      'ResourceNotFoundException SNAPSHOT_NOT_FOUND',
    );
    expect(await failureOf(complete(ebs, id, []))).toBe('no failure');
  });

  test('count a block that was put twice once, with its last content', async () => {
    const aws = await openAws();
    const id = await start(aws.ebs);
    await put(aws.ebs, { id, index: 5 }, blockOf('first'));
    await put(aws.ebs, { id, index: 5 }, blockOf('last'));
    expect(await failureOf(complete(aws.ebs, id, [blockOf('first'), blockOf('last')]))).toContain(
      'ValidationException',
    );
    await complete(aws.ebs, id, [blockOf('last')]);
    aws.tick(1_000);
    expect((await readAll(aws.ebs, id)).get(5)?.equals(blockOf('last'))).toBe(true);
  });

  test('refuse a wrong count, a wrong checksum, and digests in another order', async () => {
    const { ebs } = await openAws();
    const id = await start(ebs);
    const [a, b] = [blockOf('a'), blockOf('b')];
    await put(ebs, { id, index: 1 }, a);
    await put(ebs, { id, index: 2 }, b);
    const refused = 'ValidationException INVALID_PARAMETER_VALUE';
    expect(await failureOf(complete(ebs, id, [a, b], { ChangedBlocksCount: 3 }))).toBe(refused);
    expect(await failureOf(complete(ebs, id, [a, b], { Checksum: sha256(a) }))).toBe(refused);
    expect(await failureOf(complete(ebs, id, [b, a]))).toBe(refused);
    expect(await failureOf(complete(ebs, id, [a, b], { ChecksumAggregationMethod: undefined }))).toBe(refused);
    expect(await failureOf(complete(ebs, id, [a, b]))).toBe('no failure');
  });

  test('take nothing more once completed', async () => {
    const { ebs, tick, snapshot, ec2 } = await openAws();
    const id = await start(ebs);
    await ebs.send(new CompleteSnapshotCommand({ SnapshotId: id, ChangedBlocksCount: 0 }));
    const refused = 'ValidationException INVALID_SNAPSHOT_ID';
    expect(await failureOf(put(ebs, { id, index: 0 }, blockOf('late')))).toBe(refused);
    tick(1_000);
    expect(await failureOf(put(ebs, { id, index: 0 }, blockOf('late')))).toBe(refused);
    expect(await failureOf(put(ebs, { id: await snapshot(await newVolume(ec2)), index: 0 }, blockOf('late')))).toBe(
      refused,
    );
  });

  test('end in error when idle for longer than the time-out, counted from the last block', async () => {
    const aws = await openAws();
    const id = await start(aws.ebs, { Timeout: 10 });
    aws.tick(9 * MINUTE_MS);
    await put(aws.ebs, { id, index: 0 }, blockOf('a'));
    aws.tick(9 * MINUTE_MS);
    expect(await stateOf(aws, id)).toBe('pending');
    aws.tick(2 * MINUTE_MS);
    expect(await stateOf(aws, id)).toBe('error');
    expect(await failureOf(complete(aws.ebs, id, [blockOf('a')]))).toBe('ValidationException INVALID_SNAPSHOT_ID');
  });

  test('give the same snapshot for the same client token, and a conflict for another request', async () => {
    const aws = await openAws();
    const id = await start(aws.ebs, { ClientToken: 'once' });
    expect(await start(aws.ebs, { ClientToken: 'once' })).toBe(id);
    await expect(start(aws.ebs, { ClientToken: 'once', VolumeSize: 2 })).rejects.toMatchObject({
      name: 'ConflictException',
      $metadata: { httpStatusCode: 409 },
    });
    expect(await start(aws.ebs, { ClientToken: 'twice' })).not.toBe(id);
  });

  test('stop at 100 pending snapshots of an account in a region', async () => {
    const { ebs, sandbox, endpoint, owner } = await openAws();
    const ids = await Promise.all(Array.from({ length: 100 }, () => start(ebs)));
    expect(await failureOf(start(ebs))).toBe('ConcurrentLimitExceededException');
    expect(await failureOf(start(clientsOf(endpoint, owner, 'eu-west-1').ebs))).toBe('no failure');
    await complete(ebs, ids[0] ?? '', []);
    sandbox.clock.move(1_000);
    expect(await failureOf(start(ebs))).toBe('no failure');
  });

  test('refuse sizes and time-outs out of bounds', async () => {
    const { ebs } = await openAws();
    expect(await failureOf(start(ebs, { VolumeSize: 0 }))).toBe('ValidationException INVALID_VOLUME_SIZE');
    expect(await failureOf(start(ebs, { VolumeSize: 65_537 }))).toBe('ValidationException INVALID_VOLUME_SIZE');
    expect(await failureOf(start(ebs, { Timeout: 9 }))).toBe('ValidationException INVALID_PARAMETER_VALUE');
    expect(await failureOf(start(ebs, { Timeout: 4_321 }))).toBe('ValidationException INVALID_PARAMETER_VALUE');
  });
});

describe('encryption of a started snapshot', () => {
  const keyOf = async ({ kms }: Aws) => (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';

  test('is by the key named, by the default key, or none', async () => {
    const aws = await openAws();
    const KmsKeyArn = await keyOf(aws);
    const made = async (input: object) => {
      const { Snapshots } = await aws.ec2.send(
        new DescribeSnapshotsCommand({ SnapshotIds: [await start(aws.ebs, input)] }),
      );
      return Snapshots?.[0]?.Encrypted ? Snapshots[0].KmsKeyId : null;
    };
    const defaultKey = (await aws.ec2.send(new GetEbsDefaultKmsKeyIdCommand({}))).KmsKeyId;
    expect(await made({ Encrypted: true, KmsKeyArn })).toBe(KmsKeyArn);
    expect(await made({ Encrypted: true })).toBe(defaultKey);
    expect(await made({})).toBeNull();
    await aws.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    expect(await made({})).toBe(defaultKey);
    expect(await failureOf(start(aws.ebs, { KmsKeyArn }))).toBe('ValidationException INVALID_PARAMETER_VALUE');
    expect(await failureOf(start(aws.ebs, { Encrypted: true, KmsKeyArn: 'alias/disks' }))).toBe(
      'ValidationException INVALID_CUSTOMER_KEY',
    );
  });

  test('comes from the parent, and cannot be asked for beside one', async () => {
    const aws = await openAws();
    const KmsKeyArn = await keyOf(aws);
    const finished = async (input: object) => {
      const id = await start(aws.ebs, input);
      await complete(aws.ebs, id, []);
      aws.tick(1_000);
      return id;
    };
    const parent = await finished({ Encrypted: true, KmsKeyArn });
    const plain = await finished({});
    for (const more of [{ Encrypted: true }, { Encrypted: true, KmsKeyArn }])
      expect(await failureOf(start(aws.ebs, { ParentSnapshotId: parent, ...more }))).toBe(
        'ValidationException INVALID_PARAMETER_VALUE',
      );
    const child = await start(aws.ebs, { ParentSnapshotId: parent });
    const { Snapshots } = await aws.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [child] }));
    expect(Snapshots?.[0]).toMatchObject({ Encrypted: true, KmsKeyId: KmsKeyArn });
    await aws.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    expect(await failureOf(start(aws.ebs, { ParentSnapshotId: plain }))).toContain('ValidationException');
  });

  test('by a key that refuses is denied by the dependency: to read, to write and to start', async () => {
    const aws = await openAws();
    const KmsKeyArn = await keyOf(aws);
    const id = await start(aws.ebs, { Encrypted: true, KmsKeyArn });
    await put(aws.ebs, { id, index: 0 }, blockOf('a'));
    const open = await start(aws.ebs, { Encrypted: true, KmsKeyArn });
    await complete(aws.ebs, id, [blockOf('a')]);
    aws.tick(1_000);
    const token = (await list(aws.ebs, id)).Blocks?.[0]?.BlockToken;
    const refused = 'AccessDeniedException DEPENDENCY_ACCESS_DENIED';
    const keyless = await aws.as(allow('ebs:*'));
    expect(await failureOf(get(keyless.ebs, id, 0, token))).toBe(refused);
    expect(await failureOf(start(keyless.ebs, { Encrypted: true, KmsKeyArn }))).toBe(refused);
    await aws.kms.send(new DisableKeyCommand({ KeyId: KmsKeyArn }));
    expect(await failureOf(get(aws.ebs, id, 0, token))).toBe(refused);
    expect(await failureOf(list(aws.ebs, id))).toBe(refused);
    expect(await failureOf(put(aws.ebs, { id: open, index: 0 }, blockOf('a')))).toBe(refused);
    expect(await failureOf(start(aws.ebs, { Encrypted: true, KmsKeyArn }))).toBe(refused);
  });
});
