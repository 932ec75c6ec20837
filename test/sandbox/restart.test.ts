import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateSnapshotCommand,
  DeleteSnapshotCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
} from '@aws-sdk/client-ec2';
import { StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { CreateRoleCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, DecryptCommand, EncryptCommand } from '@aws-sdk/client-kms';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BlockStore } from '../../src/sandbox/blocks/block-store.ts';
import { createSandbox, type Sandbox } from '../../src/sandbox/server.ts';
import { createSandboxControl } from '../../src/stranger/sandbox-control.ts';
import { errorOf } from './support.ts';
import {
  ACCOUNT,
  BLOCK_BYTES,
  blockOf,
  clientsOf,
  complete,
  launch,
  listAll,
  newVolume,
  policyOf,
  put,
  REGION,
} from './world.ts';

const directory = () => {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-restart-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

/** A sandbox that a test can stop and start again on its folder. */
async function restartable() {
  const dir = directory();
  let sandbox: Sandbox | null = null;
  const up = async () => {
    sandbox = await createSandbox({ dir });
    const control = createSandboxControl(sandbox.url, sandbox.adminToken);
    const owner = await control.account(ACCOUNT);
    return { ...clientsOf(sandbox.url, owner), sandbox, control, owner };
  };
  const down = async () => {
    await sandbox?.close();
    sandbox = null;
  };
  onTestFinished(down);
  return { dir, up, down };
}

describe('a sandbox that was stopped and started again', () => {
  test('has its credentials, instances, disks, keys and objects as before', async () => {
    const { up, down } = await restartable();
    const before = await up();
    const { instanceId, volumeIds } = await launch(before.ec2, [1], { backup: 'true' });
    const [VolumeId = ''] = volumeIds;
    await before.control.writeDisk(
      before.owner,
      VolumeId,
      5 * BLOCK_BYTES,
      (async function* () {
        yield blockOf('kept');
      })(),
    );
    const { KeyMetadata } = await before.kms.send(new CreateKeyCommand({}));
    const { CiphertextBlob } = await before.kms.send(
      new EncryptCommand({ KeyId: KeyMetadata?.KeyId, Plaintext: Buffer.from('secret') }),
    );
    const statement = { Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' };
    await before.iam.send(new CreateRoleCommand({ RoleName: 'worker', AssumeRolePolicyDocument: policyOf(statement) }));
    const Bucket = 'kept-bucket';
    await before.s3.send(
      new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint: REGION } }),
    );
    await before.s3.send(new PutObjectCommand({ Bucket, Key: 'ünï', Body: 'object' }));
    const Policy = policyOf({
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:PutObject',
      Resource: `arn:aws:s3:::${Bucket}/*`,
    });
    await before.s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    await down();

    const after = await up();
    expect(after.owner).toEqual(before.owner);
    expect(after.sandbox.adminToken).toBe(before.sandbox.adminToken);
    const { Reservations } = await after.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
    expect(Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings?.map((it) => it.Ebs?.VolumeId)).toEqual(volumeIds);
    const disk = await after.control.readDisk(after.owner, VolumeId, 5 * BLOCK_BYTES, BLOCK_BYTES);
    expect(blockOf('kept').equals(disk)).toBe(true);
    const { Plaintext = [] } = await after.kms.send(new DecryptCommand({ CiphertextBlob }));
    expect(Buffer.from(Plaintext).toString()).toBe('secret');
    const object = await after.s3.send(new GetObjectCommand({ Bucket, Key: 'ünï' }));
    expect(await object.Body?.transformToString()).toBe('object');
    expect(await errorOf(after.s3.send(new PutObjectCommand({ Bucket, Key: 'b', Body: 'x' })))).toBe('AccessDenied');
    const task = await fetch(after.control.taskCredentialsUri(ACCOUNT, 'worker'), {
      headers: { authorization: after.sandbox.adminToken },
    });
    expect(task.status).toBe(200);
  });

  test('lets a snapshot that was being written be written on and completed', async () => {
    const { up, down } = await restartable();
    const before = await up();
    const input = { VolumeSize: 1, ClientToken: 'once' };
    const { SnapshotId = '' } = await before.ebs.send(new StartSnapshotCommand(input));
    await put(before.ebs, { id: SnapshotId, index: 1 }, blockOf('early'));
    await down();
    const after = await up();
    expect((await after.ebs.send(new StartSnapshotCommand(input))).SnapshotId).toBe(SnapshotId);
    await put(after.ebs, { id: SnapshotId, index: 2 }, blockOf('late'));
    await complete(after.ebs, SnapshotId, [blockOf('early'), blockOf('late')]);
    after.sandbox.clock.move(1_000);
    expect((await listAll(after.ebs, SnapshotId)).blocks.map((it) => it.BlockIndex)).toEqual([1, 2]);
  });

  test('completes the snapshots that were pending', async () => {
    const { up, down } = await restartable();
    const before = await up();
    const { SnapshotId = '' } = await before.ec2.send(
      new CreateSnapshotCommand({ VolumeId: await newVolume(before.ec2) }),
    );
    await down();
    const after = await up();
    after.sandbox.clock.move(1_000);
    const { Snapshots } = await after.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
    expect(Snapshots?.[0]?.State).toBe('completed');
  });

  test('has the versions and locks of objects, and lets an upload in parts go on', async () => {
    const { up, down } = await restartable();
    const Bucket = 'kept-bucket';
    const before = await up();
    await before.s3.send(
      new CreateBucketCommand({
        Bucket,
        CreateBucketConfiguration: { LocationConstraint: REGION },
        ObjectLockEnabledForBucket: true,
      }),
    );
    const { VersionId } = await before.s3.send(
      new PutObjectCommand({
        Bucket,
        Key: 'a',
        Body: 'one',
        ObjectLockMode: 'COMPLIANCE',
        ObjectLockRetainUntilDate: new Date(Date.now() + 86_400_000),
      }),
    );
    await before.s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'two' }));
    const upload = { Bucket, Key: 'parts' };
    const { UploadId } = await before.s3.send(new CreateMultipartUploadCommand(upload));
    const part = { ...upload, UploadId, PartNumber: 1, Body: 'part' };
    const { ETag } = await before.s3.send(new UploadPartCommand(part));
    await down();

    const { s3 } = await up();
    const read = async (Key: string, id?: string) =>
      (await s3.send(new GetObjectCommand({ Bucket, Key, VersionId: id }))).Body?.transformToString();
    expect([await read('a'), await read('a', VersionId)]).toEqual(['two', 'one']);
    expect(await errorOf(s3.send(new DeleteObjectCommand({ Bucket, Key: 'a', VersionId })))).toBe('AccessDenied');
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await s3.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload }));
    expect(await read('parts')).toBe('part');
  });

  test('has used the room of deleted blocks again: its file does not grow with the rounds', async () => {
    const { dir, up, down } = await restartable();
    const perRound = 8;
    let VolumeId = '';
    for (let round = 0; round < 6; round += 1) {
      const { ec2, control, owner } = await up();
      if (round === 0) VolumeId = await newVolume(ec2);
      const blocks = Array.from({ length: perRound }, (_, i) => blockOf(`round ${round} block ${i}`));
      await control.writeDisk(
        owner,
        VolumeId,
        0,
        (async function* () {
          yield* blocks;
        })(),
      );
      const { SnapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
      await ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
      const disk = await control.readDisk(owner, VolumeId, 0, perRound * BLOCK_BYTES);
      expect(Buffer.concat(blocks).equals(disk)).toBe(true);
      await down();
    }
    const blocksInFile = statSync(join(dir, 'ec2', 'blocks', 'blocks.dat')).size / BLOCK_BYTES;
    expect(blocksInFile).toBeLessThanOrEqual(2 * perRound);
  });
});

describe('the block store', () => {
  test('gives a freed slot to nobody before the state that frees it is saved', async () => {
    const store = new BlockStore(directory(), []);
    onTestFinished(() => store.close());
    const first = await store.put(blockOf('a'));
    store.release(first);
    expect(await store.put(blockOf('b'))).not.toBe(first);
    const saving = store.save();
    saving.write();
    expect(await store.put(blockOf('c'))).not.toBe(first);
    saving.saved();
    expect(await store.put(blockOf('d'))).toBe(first);
  });

  test('keeps equal blocks once, until the last of them is released', async () => {
    const store = new BlockStore(directory(), []);
    onTestFinished(() => store.close());
    const [one, two] = await Promise.all([store.put(blockOf('a')), store.put(blockOf('a'))]);
    expect(one).toBe(two);
    store.release(one);
    expect(blockOf('a').equals(await store.get(two))).toBe(true);
    store.release(two);
    expect(store.sha256(two)).toBe('');
  });
});
