import {
  CopySnapshotCommand,
  CreateSnapshotsCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  type EC2Client,
  LockSnapshotCommand,
  paginateDescribeSnapshots,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { asking, askingOfNew, awsErrorName, toAwsFault } from './faults.ts';
import { MANAGED_BY, TAG } from './policies/document.ts';

const POLL_MS = 500;
/** InstanceSpecification, ExcludeDataVolumeIds: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceSpecification.html */
const EXCLUDED_DATA_VOLUMES_MAX = 40;

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

/** Tags of the original may be set again, except AWS's own (`aws:…`). */
export function settableTags(tags: Record<string, string>): { Key: string; Value: string }[] {
  return Object.entries(tags)
    .filter(([key]) => !key.startsWith('aws:'))
    .map(([Key, Value]) => ({ Key, Value }));
}

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

/** Volumes that a set of snapshots leaves out. The boot volume has a parameter of its own: by its id AWS refuses it. */
export type LeftOut = { bootVolume: boolean; dataVolumeIds: readonly string[] };

/**
 * Snapshots of all volumes of an instance at one instant, but those left out. CreateSnapshots has no client token: a job
 * that is tried again looks for its own snapshots first, and takes new ones only where none are.
 *
 * @throws Fault `aws_rejected` before AWS is asked, where more are left out than it allows
 */
export async function createInstanceSnapshots(
  ec2: EC2Client,
  awsRegion: string,
  options: OurTags & { instanceId: string; leaveOut: LeftOut },
): Promise<OwnSnapshot[]> {
  const { bootVolume, dataVolumeIds } = options.leaveOut;
  if (dataVolumeIds.length > EXCLUDED_DATA_VOLUMES_MAX) {
    throw new Fault(
      'aws_rejected',
      `CreateSnapshots leaves out at most ${EXCLUDED_DATA_VOLUMES_MAX} data volumes of ${options.instanceId}; the selections exclude ${dataVolumeIds.length}.`,
      { facts: { instanceId: options.instanceId } },
    );
  }
  const known = await findOwnSnapshots(ec2, awsRegion, options);
  if (known.length > 0) return known;
  return asking(`snapshot ${options.instanceId}`, awsRegion, async () => {
    const { Snapshots } = await ec2.send(
      new CreateSnapshotsCommand({
        InstanceSpecification: {
          InstanceId: options.instanceId,
          ...(bootVolume ? { ExcludeBootVolume: true } : {}),
          ...(dataVolumeIds.length > 0 ? { ExcludeDataVolumeIds: [...dataVolumeIds] } : {}),
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

/** A snapshot by its id; undefined where the account has none. */
export async function findSnapshot(
  ec2: EC2Client,
  awsRegion: string,
  snapshotId: string,
): Promise<OwnSnapshot | undefined> {
  try {
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }));
    return Snapshots?.map(toOwn)[0];
  } catch (error) {
    if (awsErrorName(error) === 'InvalidSnapshot.NotFound') return undefined;
    throw toAwsFault(error, `look at ${snapshotId}`, awsRegion);
  }
}

/** Copies a snapshot into the client's region, always encrypted. CopySnapshot takes no client token: look for it first. */
export async function copySnapshot(
  ec2: EC2Client,
  awsRegion: string,
  wanted: OurTags & { snapshotId: string; sourceAwsRegion: string; kmsKeyArn: string | null },
): Promise<string> {
  const description = `Domicile ${wanted.jobId} copy of ${wanted.snapshotId}`;
  const { Snapshots } = await asking('list our snapshots', awsRegion, () =>
    ec2.send(
      new DescribeSnapshotsCommand({
        OwnerIds: ['self'],
        Filters: [{ Name: 'description', Values: [description] }],
      }),
    ),
  );
  const known = Snapshots?.find(({ State }) => State !== 'error')?.SnapshotId;
  if (known) return known;
  const { SnapshotId } = await asking(`copy ${wanted.snapshotId}`, awsRegion, () =>
    ec2.send(
      new CopySnapshotCommand({
        SourceSnapshotId: wanted.snapshotId,
        SourceRegion: wanted.sourceAwsRegion,
        Description: description,
        Encrypted: true,
        ...(wanted.kmsKeyArn === null ? {} : { KmsKeyId: wanted.kmsKeyArn }),
        TagSpecifications: [{ ResourceType: 'snapshot', Tags: ourTags(wanted) }],
      }),
    ),
  );
  return SnapshotId ?? '';
}

/**
 * Locks a snapshot against deletion. In compliance mode nobody can end it once the cool-off has passed; locked twice, the
 * later end holds.
 */
export async function lockSnapshot(
  ec2: EC2Client,
  awsRegion: string,
  wanted: { snapshotId: string; mode: 'governance' | 'compliance'; days: number; coolOffHours: number | null },
): Promise<Date> {
  const { LockExpiresOn } = await asking(`lock ${wanted.snapshotId}`, awsRegion, () =>
    ec2.send(
      new LockSnapshotCommand({
        SnapshotId: wanted.snapshotId,
        LockMode: wanted.mode,
        LockDuration: wanted.days,
        ...(wanted.mode === 'compliance' && wanted.coolOffHours !== null ? { CoolOffPeriod: wanted.coolOffHours } : {}),
      }),
    ),
  );
  if (!LockExpiresOn) throw new Fault('aws_rejected', `AWS did not say until when ${wanted.snapshotId} is locked.`);
  return LockExpiresOn;
}

/** How many snapshots are being written in the account and region. */
export async function pendingSnapshots(ec2: EC2Client, awsRegion: string): Promise<number> {
  return asking('count pending snapshots', awsRegion, async () => {
    let count = 0;
    const Filters = [{ Name: 'status', Values: ['pending'] }];
    const pages = paginateDescribeSnapshots({ client: ec2, pageSize: 500 }, { OwnerIds: ['self'], Filters });
    for await (const { Snapshots } of pages) count += Snapshots?.length ?? 0;
    return count;
  });
}

/** Deletes a snapshot; one that is gone is fine. */
export async function deleteSnapshot(ec2: EC2Client, awsRegion: string, snapshotId: string): Promise<void> {
  try {
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
  } catch (error) {
    if (awsErrorName(error) !== 'InvalidSnapshot.NotFound') throw toAwsFault(error, `delete ${snapshotId}`, awsRegion);
  }
}
