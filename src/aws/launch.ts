import {
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  type EC2Client,
  type Instance,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { asking, askingOfNew, awsErrorName, toAwsFault } from './faults.ts';
import { ourTags, type OurTags, settableTags } from './snapshots.ts';

const POLL_MS = 1_000;

export type LaunchDevice = {
  deviceName: string;
  volumeType: string | null;
  sizeGiB: number | null;
  iops: number | null;
  throughput: number | null;
  kmsKeyArn: string | null;
};

/** An instance to launch. Every volume is encrypted, whatever its snapshot is. */
export type Launch = OurTags & {
  imageId: string;
  instanceType: string;
  subnetId: string | null;
  securityGroupIds: readonly string[];
  privateIpAddress: string | null;
  keyName: string | null;
  /** Base64. */
  userData: string | null;
  requireImdsV2: boolean;
  ebsOptimized: boolean;
  devices: readonly LaunchDevice[];
  tags: Record<string, string>;
  clientToken: string;
};

/** The root volume of an image that is not ours, as it is, but encrypted. */
export function rootDeviceOf(deviceName: string | undefined, kmsKeyArn: string | null = null): LaunchDevice {
  return {
    deviceName: deviceName ?? '/dev/xvda',
    volumeType: null,
    sizeGiB: null,
    iops: null,
    throughput: null,
    kmsKeyArn,
  };
}

function deviceOf(device: LaunchDevice) {
  const { volumeType, iops, throughput, kmsKeyArn, sizeGiB } = device;
  const takesIops = volumeType === 'gp3' || volumeType === 'io1' || volumeType === 'io2';
  return {
    DeviceName: device.deviceName,
    Ebs: {
      Encrypted: true,
      ...(kmsKeyArn === null ? {} : { KmsKeyId: kmsKeyArn }),
      ...(volumeType === null ? {} : { VolumeType: volumeType as 'gp3' }),
      ...(sizeGiB === null ? {} : { VolumeSize: sizeGiB }),
      ...(takesIops && iops !== null ? { Iops: iops } : {}),
      ...(volumeType === 'gp3' && throughput !== null ? { Throughput: throughput } : {}),
    },
  };
}

function requestOf(launch: Launch): RunInstancesCommandInput {
  const { subnetId, privateIpAddress, keyName, userData, securityGroupIds } = launch;
  return {
    ImageId: launch.imageId,
    InstanceType: launch.instanceType as 't3.medium',
    MinCount: 1,
    MaxCount: 1,
    ClientToken: launch.clientToken,
    ...(subnetId === null ? {} : { SubnetId: subnetId }),
    ...(securityGroupIds.length === 0 ? {} : { SecurityGroupIds: [...securityGroupIds] }),
    ...(privateIpAddress === null ? {} : { PrivateIpAddress: privateIpAddress }),
    ...(keyName === null ? {} : { KeyName: keyName }),
    ...(userData === null ? {} : { UserData: userData }),
    ...(launch.ebsOptimized ? { EbsOptimized: true } : {}),
    MetadataOptions: { HttpTokens: launch.requireImdsV2 ? 'required' : 'optional' },
    BlockDeviceMappings: launch.devices.map(deviceOf),
    TagSpecifications: [
      { ResourceType: 'instance', Tags: [...settableTags(launch.tags), ...ourTags(launch)] },
      { ResourceType: 'volume', Tags: ourTags(launch) },
      { ResourceType: 'network-interface', Tags: ourTags(launch) },
    ],
  };
}

/** Launches one instance. The client token makes a second try give the same one. */
export async function runInstance(ec2: EC2Client, awsRegion: string, launch: Launch): Promise<string> {
  const { Instances } = await asking('launch the instance', awsRegion, () =>
    ec2.send(new RunInstancesCommand(requestOf(launch))),
  );
  return Instances?.[0]?.InstanceId ?? '';
}

/** Would AWS launch it? Throws the Fault that it would end in; capacity and quotas show only at the launch itself. */
export async function tryLaunch(ec2: EC2Client, awsRegion: string, launch: Launch): Promise<void> {
  try {
    await ec2.send(new RunInstancesCommand({ ...requestOf(launch), DryRun: true }));
  } catch (error) {
    if (awsErrorName(error) !== 'DryRunOperation') throw toAwsFault(error, 'launch the instance', awsRegion);
  }
}

/** An instance as it is now; undefined where it is not known. */
export async function findInstance(
  ec2: EC2Client,
  awsRegion: string,
  instanceId: string,
): Promise<Instance | undefined> {
  const { Reservations } = await asking(`look at ${instanceId}`, awsRegion, () =>
    ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] })),
  );
  return Reservations?.[0]?.Instances?.[0];
}

/** An instance as far as a restore needs it. */
export type LaunchedInstance = {
  instanceId: string;
  instanceType: string;
  availabilityZone: string;
  privateIpAddress: string | null;
  subnetId: string | null;
  rootDeviceName: string | null;
  devices: { deviceName: string; volumeId: string; kmsKeyArn: string | null }[];
};

async function asLaunched(ec2: EC2Client, awsRegion: string, instance: Instance): Promise<LaunchedInstance> {
  const mappings = instance.BlockDeviceMappings ?? [];
  const VolumeIds = mappings.flatMap(({ Ebs }) => Ebs?.VolumeId ?? []);
  const { Volumes } = await asking('look at the volumes', awsRegion, () =>
    ec2.send(new DescribeVolumesCommand({ VolumeIds })),
  );
  return {
    instanceId: instance.InstanceId ?? '',
    instanceType: instance.InstanceType ?? '',
    availabilityZone: instance.Placement?.AvailabilityZone ?? '',
    privateIpAddress: instance.PrivateIpAddress ?? null,
    subnetId: instance.SubnetId ?? null,
    rootDeviceName: instance.RootDeviceName ?? null,
    devices: mappings.map(({ DeviceName, Ebs }) => ({
      deviceName: DeviceName ?? '',
      volumeId: Ebs?.VolumeId ?? '',
      kmsKeyArn: Volumes?.find(({ VolumeId }) => VolumeId === Ebs?.VolumeId)?.KmsKeyId ?? null,
    })),
  };
}

type Waiting = { instanceId: string; clock: Clock; signal: AbortSignal };

/** Waits for a state. An instance that ends while it is waited for fails with AWS's reason. */
export async function untilState(
  ec2: EC2Client,
  awsRegion: string,
  wanted: 'running' | 'stopped',
  options: Waiting,
): Promise<LaunchedInstance> {
  const { instanceId, clock, signal } = options;
  for (;;) {
    signal.throwIfAborted();
    const look = () => findInstance(ec2, awsRegion, instanceId);
    const instance = await askingOfNew(`watch ${instanceId}`, awsRegion, look, options);
    const state = instance?.State?.Name;
    if (instance && state === wanted) return asLaunched(ec2, awsRegion, instance);
    if (state === 'terminated' || state === 'shutting-down') {
      const reason = instance?.StateReason?.Message ?? 'AWS gave no reason';
      throw new Fault('aws_rejected', `The instance ${instanceId} ended instead of being ${wanted}: ${reason}.`, {
        facts: { instanceId, awsRegion },
      });
    }
    await clock.sleep(POLL_MS, signal);
  }
}

export async function stopInstance(ec2: EC2Client, awsRegion: string, options: Waiting): Promise<void> {
  await asking(`stop ${options.instanceId}`, awsRegion, () =>
    ec2.send(new StopInstancesCommand({ InstanceIds: [options.instanceId] })),
  );
  await untilState(ec2, awsRegion, 'stopped', options);
}

export async function startInstance(ec2: EC2Client, awsRegion: string, options: Waiting): Promise<void> {
  await asking(`start ${options.instanceId}`, awsRegion, () =>
    ec2.send(new StartInstancesCommand({ InstanceIds: [options.instanceId] })),
  );
  await untilState(ec2, awsRegion, 'running', options);
}

/** Terminates an instance; one that is gone is fine. */
export async function terminateInstance(ec2: EC2Client, awsRegion: string, instanceId: string): Promise<void> {
  try {
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
  } catch (error) {
    if (awsErrorName(error) !== 'InvalidInstanceID.NotFound')
      throw toAwsFault(error, `terminate ${instanceId}`, awsRegion);
  }
}
