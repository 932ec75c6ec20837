import {
  CopySnapshotCommand,
  CreateSnapshotsCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DetachVolumeCommand,
  type EC2Client,
  RegisterImageCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { awsErrorName, toAwsFault } from './faults.ts';
import { ourTags } from './snapshots.ts';

export type Missing = { action: string; awsRegion: string; detail: string };

const PROBE_SNAPSHOT = 'snap-00000000000000000';

type Check = { action: string; rulesOut: string; ask: () => Promise<unknown> };

/** A dry run that would have worked ends in DryRunOperation; one about a thing that does not exist got past the rights. */
const ALLOWED = new Set([
  'DryRunOperation',
  'InvalidSnapshot.NotFound',
  'IncorrectInstanceState',
  'IncorrectState',
  'OperationNotPermitted',
]);

/** Asks one after the other; what AWS refuses for want of a right is missing. */
async function ask(awsRegion: string, checks: readonly Check[]): Promise<Missing[]> {
  const missing: Missing[] = [];
  for (const { action, rulesOut, ask: call } of checks) {
    const error: unknown = await call().then(
      () => null,
      (failure: unknown) => failure,
    );
    if (error === null || ALLOWED.has(awsErrorName(error))) continue;
    const fault = toAwsFault(error, `try ${action}`, awsRegion);
    if (fault.retry === 'now') throw fault;
    const named = fault.facts['action'];
    missing.push({
      action: typeof named === 'string' ? named : action,
      awsRegion,
      detail: `${fault.message} Without it: no ${rulesOut}.`,
    });
  }
  return missing;
}

/**
 * What a restore would lack, by dry runs on a snapshot of ours (where one is in the account: AWS looks up a snapshot
 * before it decides about it, so that one that does not exist proves nothing). The EBS direct APIs have no dry run.
 */
export function restorePermissions(
  ec2: EC2Client,
  awsRegion: string,
  options: {
    tenantId: string;
    jobId: string;
    snapshotId: string | null;
    storage: 'vault' | 'account';
    type: 'snapshot' | 'volume' | 'instance';
  },
): Promise<Missing[]> {
  const SnapshotId = options.snapshotId ?? PROBE_SNAPSHOT;
  const Tags = ourTags(options);
  const checks: Record<string, Check> = {
    copy: {
      action: 'ec2:CopySnapshot',
      rulesOut: 'copies of snapshots',
      ask: () =>
        ec2.send(
          new CopySnapshotCommand({
            DryRun: true,
            SourceSnapshotId: SnapshotId,
            SourceRegion: awsRegion,
            Encrypted: true,
            TagSpecifications: [{ ResourceType: 'snapshot', Tags }],
          }),
        ),
    },
    volume: {
      action: 'ec2:CreateVolume',
      rulesOut: 'restores to volumes',
      ask: () =>
        ec2.send(
          new CreateVolumeCommand({
            DryRun: true,
            AvailabilityZone: `${awsRegion}a`,
            SnapshotId,
            Encrypted: true,
            TagSpecifications: [{ ResourceType: 'volume', Tags }],
          }),
        ),
    },
    image: {
      action: 'ec2:RegisterImage',
      rulesOut: 'restores to instances',
      ask: () =>
        ec2.send(
          new RegisterImageCommand({
            DryRun: true,
            Name: `domicile-${options.jobId}`,
            Architecture: 'x86_64',
            VirtualizationType: 'hvm',
            RootDeviceName: '/dev/xvda',
            BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
            TagSpecifications: [{ ResourceType: 'image', Tags }],
          }),
        ),
    },
  };
  const needed = {
    snapshot: options.storage === 'account' ? [checks['copy']] : [],
    volume: [checks['volume']],
    instance: [checks['image']],
  };
  return ask(
    awsRegion,
    needed[options.type].flatMap((check) => check ?? []),
  );
}

/** What a restore in place would lack on its instance, by dry runs: nothing is stopped or taken off. */
export function swapPermissions(
  ec2: EC2Client,
  awsRegion: string,
  { instanceId, volumeId }: { instanceId: string; volumeId: string },
): Promise<Missing[]> {
  const InstanceIds = [instanceId];
  const rulesOut = 'restores in place';
  return ask(awsRegion, [
    {
      action: 'ec2:StopInstances',
      rulesOut,
      ask: () => ec2.send(new StopInstancesCommand({ DryRun: true, InstanceIds })),
    },
    {
      action: 'ec2:StartInstances',
      rulesOut,
      ask: () => ec2.send(new StartInstancesCommand({ DryRun: true, InstanceIds })),
    },
    {
      action: 'ec2:DetachVolume',
      rulesOut,
      ask: () => ec2.send(new DetachVolumeCommand({ DryRun: true, VolumeId: volumeId })),
    },
  ]);
}

/**
 * What the role cannot do in one region, by dry runs: nothing is made. The EBS direct APIs have no dry run and refuse
 * whatever is not tagged ours, so their rights show at the first backup.
 */
export function missingPermissions(
  ec2: EC2Client,
  awsRegion: string,
  options: { tenantId: string; instanceId: string | null; restore: boolean },
): Promise<Missing[]> {
  const tags = ourTags({ tenantId: options.tenantId, jobId: 'verification' });
  const checks: Check[] = [
    {
      action: 'ec2:DescribeInstances',
      rulesOut: 'discovery and backups',
      ask: () => ec2.send(new DescribeInstancesCommand({ DryRun: true })),
    },
  ];
  const { instanceId } = options;
  if (instanceId !== null) {
    const take = () =>
      ec2.send(
        new CreateSnapshotsCommand({
          DryRun: true,
          InstanceSpecification: { InstanceId: instanceId },
          TagSpecifications: [{ ResourceType: 'snapshot', Tags: tags }],
        }),
      );
    checks.push({ action: 'ec2:CreateSnapshots', rulesOut: 'backups', ask: take });
  }
  if (options.restore) {
    const make = () =>
      ec2.send(
        new CreateVolumeCommand({
          DryRun: true,
          AvailabilityZone: `${awsRegion}a`,
          SnapshotId: PROBE_SNAPSHOT,
          Encrypted: true,
          TagSpecifications: [{ ResourceType: 'volume', Tags: tags }],
        }),
      );
    checks.push({ action: 'ec2:CreateVolume', rulesOut: 'restores to volumes', ask: make });
  }
  return ask(awsRegion, checks);
}
