import { createHash, randomUUID } from 'node:crypto';
import {
  CompleteSnapshotCommand,
  EBSClient,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
  type StartSnapshotRequest,
} from '@aws-sdk/client-ebs';
import {
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {
  AssumeRoleCommand,
  type AssumeRoleCommandInput,
  GetCallerIdentityCommand,
  STSClient,
} from '@aws-sdk/client-sts';

export const BLOCK_BYTES = 524_288;
const SOON_ATTEMPTS = 40;
const SOON_WAIT_MS = 1_500;

/** Whether AWS says that a thing is not there, or is leaving already. */
const isGone = (error: unknown) =>
  error instanceof Error && /NotFound|NoSuch|KMSInvalidState|IncorrectState/.test(error.name);
/** Removes what the case itself may have removed before. */
const unlessGone = (removed: Promise<unknown>) =>
  removed.catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });

export type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
/** Where the table is put to: the sandbox by its address, or AWS itself. */
export type Place = { endpoint?: string; awsRegion: string; credentials: Credentials; imageId: string };

export const policyOf = (...Statement: object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });
export const allow = (Action: string | string[], Resource: string | string[] = '*', Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});
export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
export const blockOf = (seed: string): Buffer => Buffer.alloc(BLOCK_BYTES, seed);
/** SHA-256 over the raw digests of blocks in order. Source: CompleteSnapshot, LINEAR. */
export const linear = (...blocks: Uint8Array[]): string =>
  sha256(Buffer.concat(blocks.map((block) => sha256(block)))).toString('base64');

/** Clients of one login. */
export function clientsOf({ endpoint, awsRegion }: Place, credentials: Credentials) {
  const config = {
    region: awsRegion,
    credentials: { ...credentials },
    ...(endpoint === undefined ? {} : { endpoint }),
    maxAttempts: 2,
  };
  return {
    ebs: new EBSClient(config),
    ec2: new EC2Client(config),
    iam: new IAMClient(config),
    kms: new KMSClient(config),
    s3: new S3Client({ ...config, forcePathStyle: endpoint !== undefined, followRegionRedirects: false }),
    sts: new STSClient(config),
  };
}

/** What the cases of the table need, made when first asked for and removed at the end. */
export function openLab(place: Place) {
  const aws = clientsOf(place, place.credentials);
  const removals: (() => Promise<unknown>)[] = [];
  const made = new Map<string, Promise<unknown>>();
  const once = <T>(name: string, make: () => Promise<T>): Promise<T> => {
    const known = made.get(name) ?? make();
    made.set(name, known);
    return known as Promise<T>;
  };
  const pause = () => new Promise((resolve) => setTimeout(resolve, place.endpoint === undefined ? SOON_WAIT_MS : 50));

  /** Asks again until AWS, which is eventually consistent, has seen what was just made. */
  async function soon<T>(ask: () => Promise<T>, done: (answer: T) => boolean = () => true): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await ask();
        if (done(answer)) return answer;
      } catch (error) {
        if (attempt === SOON_ATTEMPTS) throw error;
      }
      if (attempt === SOON_ATTEMPTS) throw new Error('AWS did not come to it');
      await pause();
    }
  }

  const name = (what: string) => `contract-${what}-${randomUUID().slice(0, 8)}`;
  const account = () =>
    once('account', async () => (await aws.sts.send(new GetCallerIdentityCommand({}))).Account ?? '');

  /** A role with this policy that anyone in the account may assume, or as the trust policy says. */
  async function role(policy: string, trust?: string): Promise<string> {
    const RoleName = name('role');
    const root = { Effect: 'Allow', Principal: { AWS: await account() }, Action: 'sts:AssumeRole' };
    const { Role } = await aws.iam.send(
      new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust ?? policyOf(root) }),
    );
    removals.push(async () => {
      await aws.iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: 'p' })).catch(() => {});
      await aws.iam.send(new DeleteRoleCommand({ RoleName }));
    });
    await aws.iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'p', PolicyDocument: policy }));
    return Role?.Arn ?? '';
  }

  /** A principal of the account that may assume roles: the root user may not. */
  const worker = () =>
    once('worker', async () => {
      const {
        CreateAccessKeyCommand,
        CreateUserCommand,
        DeleteAccessKeyCommand,
        DeleteUserCommand,
        DeleteUserPolicyCommand,
        PutUserPolicyCommand,
      } = await import('@aws-sdk/client-iam');
      const UserName = name('user');
      await aws.iam.send(new CreateUserCommand({ UserName }));
      await aws.iam.send(
        new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument: policyOf(allow('sts:AssumeRole')) }),
      );
      const { AccessKey } = await aws.iam.send(new CreateAccessKeyCommand({ UserName }));
      const AccessKeyId = AccessKey?.AccessKeyId ?? '';
      removals.push(async () => {
        await aws.iam.send(new DeleteAccessKeyCommand({ UserName, AccessKeyId })).catch(() => {});
        await aws.iam.send(new DeleteUserPolicyCommand({ UserName, PolicyName: 'p' })).catch(() => {});
        await aws.iam.send(new DeleteUserCommand({ UserName })).catch(() => {});
      });
      const credentials = { accessKeyId: AccessKeyId, secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
      const clients = clientsOf(place, credentials);
      await soon(() => clients.sts.send(new GetCallerIdentityCommand({})));
      return { ...clients, credentials };
    });

  async function assume(input: Partial<AssumeRoleCommandInput> & { RoleArn: string }) {
    const { sts } = await worker();
    return sts.send(new AssumeRoleCommand({ RoleSessionName: 'contract', ...input }));
  }
  /** Clients of a session of a role with this policy, cut by a session policy where one is given. */
  async function as(policy: string, Policy?: string) {
    const RoleArn = await role(policy);
    const { Credentials: made } = await soon(() => assume({ RoleArn, ...(Policy === undefined ? {} : { Policy }) }));
    return clientsOf(place, {
      accessKeyId: made?.AccessKeyId ?? '',
      secretAccessKey: made?.SecretAccessKey ?? '',
      sessionToken: made?.SessionToken ?? '',
    });
  }

  async function key(): Promise<string> {
    const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({ Description: 'contract' }));
    const KeyId = KeyMetadata?.Arn ?? '';
    removals.push(() => unlessGone(aws.kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))));
    return KeyId;
  }

  async function emptyBucket(Bucket: string) {
    const { Versions = [], DeleteMarkers = [] } = await aws.s3.send(new ListObjectVersionsCommand({ Bucket }));
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers])
      await aws.s3
        .send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true }))
        .catch(() => {});
    await aws.s3.send(new DeleteBucketCommand({ Bucket })).catch((error: unknown) => {
      throw new Error(`bucket ${Bucket} holds versions under lock for a while`, { cause: error });
    });
  }
  async function bucket(lock = false): Promise<string> {
    const Bucket = name('bucket');
    const LocationConstraint = place.awsRegion as 'eu-central-1';
    await aws.s3.send(
      new CreateBucketCommand({
        Bucket,
        ...(place.awsRegion === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint } }),
        ...(lock ? { ObjectLockEnabledForBucket: true } : {}),
      }),
    );
    removals.push(() => emptyBucket(Bucket));
    return Bucket;
  }

  const removeSnapshot = (SnapshotId: string | undefined) =>
    removals.push(() => unlessGone(aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId }))));
  async function started(input: Partial<StartSnapshotRequest> = {}) {
    const answer = await aws.ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ClientToken: randomUUID(), ...input }));
    removeSnapshot(answer.SnapshotId);
    return answer;
  }
  const start = async (input: Partial<StartSnapshotRequest> = {}) => (await started(input)).SnapshotId ?? '';
  const put = (SnapshotId: string, BlockIndex: number, BlockData: Buffer) =>
    soon(() =>
      aws.ebs.send(
        new PutSnapshotBlockCommand({
          SnapshotId,
          BlockIndex,
          BlockData,
          DataLength: BLOCK_BYTES,
          Checksum: sha256(BlockData).toString('base64'),
          ChecksumAlgorithm: 'SHA256',
        }),
      ),
    );
  const untilCompleted = (SnapshotId: string) =>
    soon(
      () => aws.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] })),
      ({ Snapshots }) => Snapshots?.[0]?.State === 'completed',
    );
  /** A completed snapshot with one block for each seed, from index 0. */
  async function snapshot(
    seeds: readonly string[] = ['a'],
    input: Partial<StartSnapshotRequest> = {},
  ): Promise<string> {
    const SnapshotId = await start(input);
    for (const [index, seed] of seeds.entries()) await put(SnapshotId, index, blockOf(seed));
    await aws.ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: seeds.length }));
    await untilCompleted(SnapshotId);
    return SnapshotId;
  }
  const removeVolume = (VolumeId: string | undefined) =>
    removals.push(() => unlessGone(aws.ec2.send(new DeleteVolumeCommand({ VolumeId }))));
  async function volume(SnapshotId?: string, zone = 'a'): Promise<string> {
    const { VolumeId = '' } = await aws.ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: `${place.awsRegion}${zone}`,
        ...(SnapshotId === undefined ? { Size: 1 } : { SnapshotId }),
      }),
    );
    removeVolume(VolumeId);
    await soon(
      () => aws.ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] })),
      ({ Volumes }) => Volumes?.[0]?.State === 'available',
    );
    return VolumeId;
  }
  /** A small running instance in the first zone. */
  async function instance(): Promise<{ instanceId: string; rootVolumeId: string }> {
    const { Instances } = await aws.ec2.send(
      new RunInstancesCommand({
        ImageId: place.imageId,
        InstanceType: 't3.micro',
        MinCount: 1,
        MaxCount: 1,
        MetadataOptions: { HttpTokens: 'required' },
        Placement: { AvailabilityZone: `${place.awsRegion}a` },
      }),
    );
    const instanceId = Instances?.[0]?.InstanceId ?? '';
    const InstanceIds = [instanceId];
    removals.push(() => unlessGone(aws.ec2.send(new TerminateInstancesCommand({ InstanceIds }))));
    const found = await soon(
      () => aws.ec2.send(new DescribeInstancesCommand({ InstanceIds })),
      ({ Reservations }) => Reservations?.[0]?.Instances?.[0]?.State?.Name === 'running',
    );
    const rootVolumeId = found.Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? '';
    return { instanceId, rootVolumeId };
  }

  return {
    ...aws,
    place,
    account,
    as,
    assume,
    bucket,
    instance,
    key,
    name,
    once,
    put,
    role,
    snapshot,
    soon,
    removeSnapshot,
    removeVolume,
    start,
    started,
    untilCompleted,
    volume,
    worker,
    /** Things that cases share, because one of each is enough. */
    sharedKey: () => once('key', key),
    sharedBucket: () => once('bucket', () => bucket()),
    lockedBucket: () => once('locked bucket', () => bucket(true)),
    sharedSnapshot: () => once('snapshot', () => snapshot(['a', 'b'])),
    sharedInstance: () => once('instance', instance),
    onEnd: (remove: () => Promise<unknown>) => void removals.push(remove),
    /** Removes everything, the last made first. What cannot be removed (yet) is told. */
    async close(): Promise<string[]> {
      const left: string[] = [];
      for (const remove of removals.toReversed())
        await soon(remove).catch((error: unknown) => left.push(error instanceof Error ? error.message : String(error)));
      return left;
    },
  };
}

export type Lab = ReturnType<typeof openLab>;
