import {
  CreateSnapshotsCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  type EC2Client,
  paginateDescribeSnapshots,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { asking, askingOfNew, awsErrorName, toAwsFault } from './faults.ts';
import { MANAGED_BY, TAG } from './policies/document.ts';

const POLL_MS = 500;

/** An EBS snapshot of ours. */
export type OwnSnapshot = {
  snapshotId: string;
  volumeId: string;
  jobId: string | null;
  state: string;
  startedAt: Date;
  volumeGiB: number;
  encrypted: boolean;
  kmsKeyArn: string | null;
};

export type OurTags = { tenantId: string; jobId: string };

/** The tags of everything that we make: whose it is, and which job made it. */
export const ourTags = ({ tenantId, jobId }: OurTags) => [
  { Key: TAG.managedBy, Value: MANAGED_BY },
  { Key: TAG.tenant, Value: tenantId },
  { Key: TAG.job, Value: jobId },
];

function toOwn(snapshot: Snapshot): OwnSnapshot {
  return {
    snapshotId: snapshot.SnapshotId ?? '',
    volumeId: snapshot.VolumeId ?? '',
    jobId: snapshot.Tags?.find((tag) => tag.Key === TAG.job)?.Value ?? null,
    state: snapshot.State ?? 'unknown',
    startedAt: snapshot.StartTime ?? new Date(0),
    volumeGiB: snapshot.VolumeSize ?? 0,
    encrypted: snapshot.Encrypted ?? false,
    kmsKeyArn: snapshot.KmsKeyId ?? null,
  };
}

/** Snapshots that carry this tenant's tag (of one job, or of some volumes, when asked). */
export async function findOwnSnapshots(
  ec2: EC2Client,
  awsRegion: string,
  which: { tenantId: string; jobId?: string; volumeIds?: readonly string[] },
): Promise<OwnSnapshot[]> {
  const Filters = [
    { Name: `tag:${TAG.managedBy}`, Values: [MANAGED_BY] },
    { Name: `tag:${TAG.tenant}`, Values: [which.tenantId] },
    ...(which.jobId === undefined ? [] : [{ Name: `tag:${TAG.job}`, Values: [which.jobId] }]),
    ...(which.volumeIds === undefined ? [] : [{ Name: 'volume-id', Values: [...which.volumeIds] }]),
  ];
  return asking('list our snapshots', awsRegion, async () => {
    const found: OwnSnapshot[] = [];
    for await (const page of paginateDescribeSnapshots(
      { client: ec2, pageSize: 500 },
      { OwnerIds: ['self'], Filters },
    )) {
      found.push(...(page.Snapshots ?? []).map(toOwn));
    }
    return found;
  });
}

/**
 * Snapshots of all volumes of an instance at one instant. CreateSnapshots has no client token: a job that is tried again
 * looks for its own snapshots first, and takes new ones only where none are.
 */
export async function createInstanceSnapshots(
  ec2: EC2Client,
  awsRegion: string,
  options: OurTags & { instanceId: string; excludeVolumeIds: readonly string[] },
): Promise<OwnSnapshot[]> {
  const known = await findOwnSnapshots(ec2, awsRegion, options);
  if (known.length > 0) return known;
  return asking(`snapshot ${options.instanceId}`, awsRegion, async () => {
    const { Snapshots } = await ec2.send(
      new CreateSnapshotsCommand({
        InstanceSpecification: {
          InstanceId: options.instanceId,
          ...(options.excludeVolumeIds.length > 0 ? { ExcludeDataVolumeIds: [...options.excludeVolumeIds] } : {}),
        },
        Description: `Domicile ${options.jobId}`,
        TagSpecifications: [{ ResourceType: 'snapshot', Tags: ourTags(options) }],
      }),
    );
    return (Snapshots ?? []).map((snapshot) => toOwn({ ...snapshot, StartTime: snapshot.StartTime }));
  });
}

/** Waits until all are `completed`. Throws Fault `snapshot_failed` with AWS's reason when one ends in `error`. */
export async function untilCompleted(
  ec2: EC2Client,
  awsRegion: string,
  options: { snapshotIds: readonly string[]; clock: Clock; signal: AbortSignal },
): Promise<OwnSnapshot[]> {
  const { snapshotIds, clock, signal } = options;
  for (;;) {
    signal.throwIfAborted();
    const look = () => ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [...snapshotIds] }));
    const { Snapshots = [] } = await askingOfNew('watch snapshots', awsRegion, look, options);
    const failed = Snapshots.find((snapshot) => snapshot.State === 'error');
    if (failed) {
      const why = failed.StateMessage ? `: ${failed.StateMessage}` : '.';
      throw new Fault('snapshot_failed', `The EBS snapshot ${failed.SnapshotId} of ${failed.VolumeId} failed${why}`, {
        facts: { snapshotId: failed.SnapshotId ?? '', volumeId: failed.VolumeId ?? '', awsRegion },
      });
    }
    if (Snapshots.every((snapshot) => snapshot.State === 'completed')) return Snapshots.map(toOwn);
    await clock.sleep(POLL_MS, signal);
  }
}

/** Deletes a snapshot; one that is gone is fine. */
export async function deleteSnapshot(ec2: EC2Client, awsRegion: string, snapshotId: string): Promise<void> {
  try {
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
  } catch (error) {
    if (awsErrorName(error) !== 'InvalidSnapshot.NotFound') throw toAwsFault(error, `delete ${snapshotId}`, awsRegion);
  }
}
