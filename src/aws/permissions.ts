import {
  CreateSnapshotsCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  type EC2Client,
} from '@aws-sdk/client-ec2';
import { awsErrorName, toAwsFault } from './faults.ts';
import { ourTags } from './snapshots.ts';

export type Missing = { action: string; awsRegion: string; detail: string };

const PROBE_SNAPSHOT = 'snap-00000000000000000';

type Check = { action: string; rulesOut: string; ask: () => Promise<unknown> };

/** A dry run that would have worked ends in DryRunOperation; one about a thing that does not exist got past the rights. */
const ALLOWED = new Set(['DryRunOperation', 'InvalidSnapshot.NotFound', 'IncorrectInstanceState']);

/**
 * What the role cannot do in one region, by dry runs: nothing is made. The EBS direct APIs have no dry run and refuse
 * whatever is not tagged ours, so their rights show at the first backup.
 */
export async function missingPermissions(
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
    const ask = () =>
      ec2.send(
        new CreateSnapshotsCommand({
          DryRun: true,
          InstanceSpecification: { InstanceId: instanceId },
          TagSpecifications: [{ ResourceType: 'snapshot', Tags: tags }],
        }),
      );
    checks.push({ action: 'ec2:CreateSnapshots', rulesOut: 'backups', ask });
  }
  if (options.restore) {
    const ask = () =>
      ec2.send(
        new CreateVolumeCommand({
          DryRun: true,
          AvailabilityZone: `${awsRegion}a`,
          SnapshotId: PROBE_SNAPSHOT,
          Encrypted: true,
          TagSpecifications: [{ ResourceType: 'volume', Tags: tags }],
        }),
      );
    checks.push({ action: 'ec2:CreateVolume', rulesOut: 'restores to volumes', ask });
  }
  const missing: Missing[] = [];
  for (const { action, rulesOut, ask } of checks) {
    const error: unknown = await ask().then(
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
