import {
  AttachVolumeCommand,
  CreateReplaceRootVolumeTaskCommand,
  CreateVolumeCommand,
  DescribeReplaceRootVolumeTasksCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  type EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test } from 'vitest';
import { instance, newSnapshot, run, running } from './ec2-calls.ts';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, type Aws, newVolume, openAws, REGION } from './world.ts';

async function stop(aws: Aws, instanceId: string) {
  await aws.ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId] }));
  expect((await instance(aws.ec2, instanceId))?.State?.Name).toBe('stopping');
  aws.tick(1_000);
  expect((await instance(aws.ec2, instanceId))?.State?.Name).toBe('stopped');
}

const attach = (ec2: EC2Client, InstanceId: string, VolumeId: string, Device = '/dev/sdk') =>
  ec2.send(new AttachVolumeCommand({ InstanceId, VolumeId, Device }));
const detach = (ec2: EC2Client, VolumeId: string) => ec2.send(new DetachVolumeCommand({ VolumeId }));

describe('a root volume', () => {
  // Source: EC2 API reference, DetachVolume: "If a root volume is attached to a running instance, stop it first".
  test('is swapped on a stopped instance only', async () => {
    const aws = await openAws();
    const { instanceId, root } = await running(aws);
    const next = await newVolume(aws.ec2);
    expect(await errorOf(detach(aws.ec2, root))).toBe('OperationNotPermitted');
    await stop(aws, instanceId);
    expect(await errorOf(attach(aws.ec2, instanceId, next, '/dev/xvda'))).toBe('InvalidParameterValue');
    await detach(aws.ec2, root);
    expect(await errorOf(detach(aws.ec2, root))).toBe('IncorrectState');
    await attach(aws.ec2, instanceId, next, '/dev/xvda');
    await aws.ec2.send(new StartInstancesCommand({ InstanceIds: [instanceId] }));
    aws.tick(1_000);
    const now = await instance(aws.ec2, instanceId);
    expect(now?.State?.Name).toBe('running');
    expect(now?.BlockDeviceMappings?.map((it) => it.Ebs?.VolumeId)).toEqual([next]);
  });

  const replace = (ec2: EC2Client, input: object) =>
    ec2.send(new CreateReplaceRootVolumeTaskCommand({ InstanceId: '', ...input }));

  test('is replaced by a volume while the instance runs; the old one stays, available', async () => {
    const aws = await openAws();
    const { instanceId, root } = await running(aws);
    const VolumeId = await newVolume(aws.ec2);
    const { ReplaceRootVolumeTask: task } = await replace(aws.ec2, { InstanceId: instanceId, VolumeId });
    expect(task?.TaskState).toBe('in-progress');
    aws.tick(1_000);
    const { ReplaceRootVolumeTasks } = await aws.ec2.send(
      new DescribeReplaceRootVolumeTasksCommand({ ReplaceRootVolumeTaskIds: [task?.ReplaceRootVolumeTaskId ?? ''] }),
    );
    expect(ReplaceRootVolumeTasks?.[0]).toMatchObject({ TaskState: 'succeeded', InstanceId: instanceId });
    expect((await instance(aws.ec2, instanceId))?.BlockDeviceMappings?.[0]?.Ebs?.VolumeId).toBe(VolumeId);
    const { Volumes } = await aws.ec2.send(new DescribeVolumesCommand({ VolumeIds: [root] }));
    expect(Volumes?.[0]?.State).toBe('available');
  });

  // Source: EC2 guide, "Replace the root volume for an instance": requirements of each kind of replacement.
  test('is replaced only by a snapshot of itself, a free volume of its zone, and nothing less encrypted', async () => {
    const aws = await openAws();
    const { instanceId, root, data } = await running(aws, [1]);
    const InstanceId = instanceId;
    const far = await aws.ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${REGION}b`, Size: 1 }));
    const foreign = await newSnapshot(aws);
    const code = (input: object) => errorOf(replace(aws.ec2, { InstanceId, ...input }));
    expect(await code({ SnapshotId: foreign })).toBe('InvalidParameterValue');
    expect(await code({ VolumeId: data })).toBe('VolumeInUse');
    expect(await code({ VolumeId: far.VolumeId })).toBe('InvalidVolume.ZoneMismatch');
    expect(await code({ VolumeId: far.VolumeId, SnapshotId: foreign })).toBe('InvalidParameterCombination');
    const own = await aws.snapshot(root);
    expect(await code({ SnapshotId: own, DryRun: true })).toBe('DryRunOperation');
    expect(await code({ SnapshotId: own, DeleteReplacedRootVolume: true })).toBe(null);
    expect(await errorOf(aws.ec2.send(new DescribeVolumesCommand({ VolumeIds: [root] })))).toBe(
      'InvalidVolume.NotFound',
    );
    const sealed = await run(aws.ec2, {
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 1, Encrypted: true } }],
    });
    aws.tick(1_000);
    const plain = await newVolume(aws.ec2);
    expect(await code({ InstanceId: sealed?.InstanceId, VolumeId: plain })).toBe('InvalidParameterValue');
  });
});

describe('AttachVolume', () => {
  // Source: EC2 API reference, AttachVolume and error codes.
  test('refuses a volume in use, a device in use, and an instance that is gone', async () => {
    const aws = await openAws();
    const { instanceId, data } = await running(aws, [1]);
    const free = await newVolume(aws.ec2);
    expect(await errorOf(attach(aws.ec2, instanceId, data))).toBe('VolumeInUse');
    expect(await errorOf(attach(aws.ec2, instanceId, free, '/dev/xvda'))).toBe('InvalidParameterValue');
    expect(await errorOf(attach(aws.ec2, 'i-00000000000000000', free))).toBe('InvalidInstanceID.NotFound');
    await aws.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    expect(await errorOf(attach(aws.ec2, instanceId, free))).toBe('IncorrectState');
  });

  // Source: service authorization reference, AttachVolume: instance* and volume*.
  test('needs rights on both the instance and the volume', async () => {
    const aws = await openAws();
    const { instanceId } = await running(aws);
    const VolumeId = await newVolume(aws.ec2);
    const arn = (rest: string) => `arn:aws:ec2:${REGION}:${ACCOUNT}:${rest}`;
    const [onInstance, onVolume] = ['instance/*', 'volume/*'].map((rest) => allow('ec2:AttachVolume', arn(rest)));
    const tryAs = async (...statements: object[]) =>
      errorOf(attach((await aws.as(...statements)).ec2, instanceId, VolumeId));
    expect(await tryAs(onInstance ?? {})).toBe('UnauthorizedOperation');
    expect(await tryAs(onVolume ?? {})).toBe('UnauthorizedOperation');
    expect(await tryAs(onInstance ?? {}, onVolume ?? {})).toBe(null);
  });
});
