import type { Snapshot, SnapshotLock } from './model.ts';
import { ec2Error } from './request.ts';
import type { World } from './world-state.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type LockState = 'compliance-cooloff' | 'governance' | 'compliance' | 'expired';
/** A lock as it stands now; a duration does not run before the snapshot is complete, so its end is not known until then. */
type Standing = { state: LockState; startsAt: string | null; expiresAt: string | null; coolOffEndsAt: string | null };

const later = (instant: string, ms: number): string => new Date(Date.parse(instant) + ms).toISOString();

/** When the duration began. Source: EC2 API reference, LockSnapshot, lockDurationStartTime. */
function startOf(snapshot: Snapshot, lock: SnapshotLock): string | null {
  if (snapshot.state !== 'completed' || snapshot.completesAt === null) return null;
  return snapshot.completesAt > lock.lockedAt ? snapshot.completesAt : lock.lockedAt;
}

/** Source: EC2 API reference, LockedSnapshotsInfo, lockState. */
export function standingOf(world: World, snapshot: Snapshot, lock: SnapshotLock): Standing {
  const now = world.clock.now().getTime();
  const startsAt = startOf(snapshot, lock);
  const byDuration =
    startsAt === null || lock.durationDays === null ? null : later(startsAt, lock.durationDays * DAY_MS);
  const expiresAt = lock.expirationDate ?? byDuration;
  const coolOffEndsAt = lock.coolOffHours === null ? null : later(lock.lockedAt, lock.coolOffHours * HOUR_MS);
  const times = { startsAt, expiresAt, coolOffEndsAt };
  if (expiresAt !== null && now >= Date.parse(expiresAt)) return { state: 'expired', ...times };
  if (lock.mode === 'governance') return { state: 'governance', ...times };
  const cooling = coolOffEndsAt !== null && now < Date.parse(coolOffEndsAt);
  return { state: cooling ? 'compliance-cooloff' : 'compliance', ...times };
}

/** Throws while a lock keeps the snapshot from being deleted, whoever asks. Source: EBS guide, "Snapshot lock". */
export function requireUnlocked(world: World, snapshot: Snapshot): void {
  if (!snapshot.lock || standingOf(world, snapshot, snapshot.lock).state === 'expired') return;
  throw ec2Error('SnapshotLocked', `The snapshot ${snapshot.id} is locked and cannot be deleted.`);
}
