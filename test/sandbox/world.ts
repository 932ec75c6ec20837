import { createHash } from 'node:crypto';
import {
  CompleteSnapshotCommand,
  EBSClient,
  type ListSnapshotBlocksCommandOutput,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
} from '@aws-sdk/client-ebs';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  EC2Client,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { expect } from 'vitest';
import type { Credentials } from '../../src/stranger/sandbox-control.ts';
import { openSandbox } from './support.ts';

export const REGION = 'eu-central-1';
export const ACCOUNT = '222222222222';
export const BLOCK_BYTES = 524_288;

/** Credentials of anyone: an account's own, or a session's. */
export type Login = Credentials & { sessionToken?: string };

/** Clients of every service for one login in one region. */
export function clientsOf(endpoint: string, credentials: Login, region = REGION) {
  // A copy: the SDK marks the object that it is given.
  const config = { endpoint, region, credentials: { ...credentials } };
  return {
    ec2: new EC2Client(config),
    ebs: new EBSClient(config),
    s3: new S3Client({ ...config, forcePathStyle: true, followRegionRedirects: false }),
    kms: new KMSClient(config),
    iam: new IAMClient(config),
    sts: new STSClient(config),
  };
}

export const policyOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
export const allow = (Action: string | string[], Resource: string | string[] = '*', Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});

/** An account of its own in a sandbox of its own, driven with real clients. */
export async function openAws() {
  const { sandbox, control, dir, endpoint } = await openSandbox();
  const owner = await control.account(ACCOUNT);
  const aws = clientsOf(endpoint, owner);
  let offsetMs = 0;
  let roles = 0;

  /** Moves the sandbox's clock on; the clients follow its Date header. */
  const tick = (ms: number) => {
    offsetMs += ms;
    sandbox.clock.move(offsetMs);
  };

  /** Credentials of a new role with this policy, as a task has them. */
  const role = async (policy: string, trust?: string): Promise<{ arn: string; login: () => Promise<Login> }> => {
    roles += 1;
    const RoleName = `role-${roles}`;
    const ecs = {
      Effect: 'Allow',
      Principal: { Service: 'ecs-tasks.amazonaws.com' },
      Action: 'sts:AssumeRole',
    };
    await aws.iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust ?? policyOf(ecs) }));
    await aws.iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'p', PolicyDocument: policy }));
    const login = async () => {
      const response = await fetch(control.taskCredentialsUri(ACCOUNT, RoleName), {
        headers: { authorization: sandbox.adminToken },
      });
      const task = (await response.json()) as { AccessKeyId: string; SecretAccessKey: string; Token: string };
      return { accessKeyId: task.AccessKeyId, secretAccessKey: task.SecretAccessKey, sessionToken: task.Token };
    };
    return { arn: `arn:aws:iam::${ACCOUNT}:role/${RoleName}`, login };
  };

  /** Clients of a role with this policy. */
  const as = async (...statements: object[]) => {
    const { login } = await role(policyOf(...statements));
    return clientsOf(endpoint, await login());
  };

  /** Clients of a session of such a role, cut by a session policy. */
  const asSession = async (policy: string, sessionPolicy: string) => {
    const worker = await as(allow('sts:AssumeRole'));
    const trust = policyOf({
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
      Action: 'sts:AssumeRole',
    });
    const { arn } = await role(policy, trust);
    const { Credentials: session } = await worker.sts.send(
      new AssumeRoleCommand({ RoleArn: arn, RoleSessionName: 'job', Policy: sessionPolicy }),
    );
    return clientsOf(endpoint, {
      accessKeyId: session?.AccessKeyId ?? '',
      secretAccessKey: session?.SecretAccessKey ?? '',
      sessionToken: session?.SessionToken ?? '',
    });
  };

  const write = (volumeId: string, offset: number, bytes: Uint8Array) =>
    control.writeDisk(owner, volumeId, offset, oneChunk(bytes));
  const snapshot = async (VolumeId: string): Promise<string> => {
    const { SnapshotId = '' } = await aws.ec2.send(new CreateSnapshotCommand({ VolumeId }));
    tick(1_000);
    return SnapshotId;
  };
  return { sandbox, control, dir, endpoint, owner, ...aws, tick, as, asSession, write, snapshot };
}

export type Aws = Awaited<ReturnType<typeof openAws>>;

async function* oneChunk(bytes: Uint8Array) {
  yield bytes;
}

/** A running instance with a root volume and one data volume for each size given. */
export async function launch(ec2: EC2Client, dataGiB: readonly number[] = [], tags: Record<string, string> = {}) {
  const { Instances = [] } = await ec2.send(
    new RunInstancesCommand({
      ImageId: 'ami-0d0111c11e0000001',
      InstanceType: 't3.small',
      MinCount: 1,
      MaxCount: 1,
      BlockDeviceMappings: [1, ...dataGiB].map((VolumeSize, i) => ({
        DeviceName: i === 0 ? '/dev/xvda' : `/dev/sd${'abcdefgh'[i]}`,
        Ebs: { VolumeSize },
      })),
      TagSpecifications: [
        { ResourceType: 'instance', Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
      ],
    }),
  );
  const instance = Instances[0];
  const InstanceIds = [instance?.InstanceId ?? ''];
  const state = async () =>
    (await ec2.send(new DescribeInstancesCommand({ InstanceIds }))).Reservations?.[0]?.Instances?.[0]?.State?.Name;
  await expect.poll(state).toBe('running');
  return {
    instanceId: instance?.InstanceId ?? '',
    volumeIds: (instance?.BlockDeviceMappings ?? []).map((mapping) => mapping.Ebs?.VolumeId ?? ''),
  };
}

/** A new, empty volume. */
export async function newVolume(ec2: EC2Client, Size = 1): Promise<string> {
  const { VolumeId = '' } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, Size }));
  return VolumeId;
}

/** A block whose content nobody else has: the seed fills it, by way of a hash. */
export function blockOf(seed: string): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 4_096) createHash('sha256').update(`${seed}/${at}`).digest().copy(bytes, at);
  return bytes;
}

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64');

/** All pages of a listing. */
export async function listAll(ebs: EBSClient, SnapshotId: string) {
  const pages: ListSnapshotBlocksCommandOutput[] = [];
  let NextToken: string | undefined;
  do {
    const page = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId, NextToken, MaxResults: 100 }));
    pages.push(page);
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return { pages, blocks: pages.flatMap((page) => page.Blocks ?? []) };
}

export const put = (ebs: EBSClient, at: { id: string; index: number }, bytes: Buffer, changes = {}) =>
  ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId: at.id,
      BlockIndex: at.index,
      BlockData: bytes,
      DataLength: BLOCK_BYTES,
      Checksum: sha256(bytes),
      ChecksumAlgorithm: 'SHA256',
      ...changes,
    }),
  );

/** The checksum of checksums that CompleteSnapshot takes: over the raw digests, in ascending order of the indexes. */
export const linear = (blocks: readonly Buffer[]) =>
  createHash('sha256')
    .update(Buffer.concat(blocks.map((bytes) => createHash('sha256').update(bytes).digest())))
    .digest('base64');

export const complete = (ebs: EBSClient, SnapshotId: string, blocks: readonly Buffer[], changes = {}) =>
  ebs.send(
    new CompleteSnapshotCommand({
      SnapshotId,
      ChangedBlocksCount: blocks.length,
      Checksum: linear(blocks),
      ChecksumAlgorithm: 'SHA256',
      ChecksumAggregationMethod: 'LINEAR',
      ...changes,
    }),
  );

/** How a call fails: the code and, where the service gives one, the reason. */
export async function failureOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'no failure';
  } catch (error) {
    const { name, Reason } = error as { name: string; Reason?: string };
    return Reason === undefined ? name : `${name} ${Reason}`;
  }
}
