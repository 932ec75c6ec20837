import type { Volume } from './model.ts';
import { type Ask, ec2Error, own } from './request.ts';
import { settle } from './world-state.ts';

/** Magnetic volumes take one snapshot at a time. Source: Service Quotas of EBS. */
const ONE_AT_A_TIME = new Set(['st1', 'sc1']);

/**
 * Room for one more snapshot of each of these volumes.
 *
 * @throws AwsError SnapshotLimitExceeded, ConcurrentSnapshotLimitExceeded
 */
export function requireSnapshotRoom({ world, request }: Ask, volumes: readonly Volume[]): void {
  const limits = world.settings.limitsOf(request.caller.accountId);
  const snapshots = own(world.snapshots.values(), request);
  if (snapshots.length + volumes.length > limits.snapshots)
    throw ec2Error('SnapshotLimitExceeded', 'You have reached the maximum number of snapshots allowed.');
  for (const { id, volumeType } of volumes) {
    const pending = snapshots.filter((it) => it.volumeId === id && settle(world, it).state === 'pending');
    if (pending.length >= (ONE_AT_A_TIME.has(volumeType) ? 1 : limits.concurrentSnapshotsPerVolume))
      throw ec2Error('ConcurrentSnapshotLimitExceeded', `Maximum allowed in-progress snapshots for ${id} exceeded.`);
  }
}
