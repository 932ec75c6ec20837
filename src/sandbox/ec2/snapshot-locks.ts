import { integer, text, textList } from '../wire/query.ts';
import type { Xml } from '../wire/xml.ts';
import { resourceTagKeys, type Snapshot, snapshotArn, type SnapshotLock } from './model.ts';
import { type Ask, ec2Error, endDryRun, filtersOf, type Operation, own, paged, required } from './request.ts';
import { standingOf } from './lock-state.ts';
import { snapshotOf } from './snapshots.ts';
import { findSnapshot, settle, type World } from './world-state.ts';

const DAY_MS = 86_400_000;
const COOL_OFF_HOURS_MAX = 72;
const DURATION_DAYS_MAX = 36_500;

function lockXml(world: World, snapshot: Snapshot, lock: SnapshotLock): { [name: string]: Xml } {
  const { state, startsAt, expiresAt, coolOffEndsAt } = standingOf(world, snapshot, lock);
  return {
    snapshotId: snapshot.id,
    lockState: state,
    lockDuration: lock.durationDays,
    coolOffPeriod: lock.coolOffHours,
    coolOffPeriodExpiresOn: coolOffEndsAt,
    lockCreatedOn: lock.lockedAt,
    lockExpiresOn: expiresAt,
    lockDurationStartTime: startsAt,
  };
}

/** Source: service authorization reference, LockSnapshot and UnlockSnapshot. */
function requireOn(
  { world, request }: Ask,
  action: 'LockSnapshot' | 'UnlockSnapshot',
  id: string,
  wanted?: SnapshotLock,
): void {
  const snapshot = findSnapshot(world, request, id);
  const context = {
    ...(snapshot && {
      ...resourceTagKeys(snapshot.tags),
      'ec2:Encrypted': String(snapshot.encrypted),
      'ec2:Owner': snapshot.accountId,
      'ec2:SnapshotTime': snapshot.startedAt,
      'ec2:VolumeSize': String(snapshot.sizeGiB),
    }),
    ...(wanted && wanted.durationDays !== null ? { 'ec2:SnapshotLockDuration': String(wanted.durationDays) } : {}),
    ...(wanted && wanted.coolOffHours !== null ? { 'ec2:SnapshotCoolOffPeriod': String(wanted.coolOffHours) } : {}),
  };
  world.require(request, { action: `ec2:${action}`, resource: snapshotArn(request.awsRegion, id), context });
}

function whole(value: number, name: string, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw ec2Error('InvalidParameterValue', `Value (${value}) for parameter ${name} is invalid: 1 to ${max}.`);
}

/** The lock that a request asks for. Source: EC2 API reference, LockSnapshot, request parameters. */
function wantedLock({ world, params }: Ask): SnapshotLock {
  const mode = required(params, 'LockMode');
  if (mode !== 'governance' && mode !== 'compliance')
    throw ec2Error('InvalidParameterValue', `Value (${mode}) for parameter LockMode is invalid.`);
  const [days, hours] = [integer(params, 'LockDuration'), integer(params, 'CoolOffPeriod')];
  const until = text(params, 'ExpirationDate');
  if (hours !== undefined && mode === 'governance')
    throw ec2Error('InvalidParameterCombination', 'CoolOffPeriod cannot be used with governance mode.');
  if (days !== undefined && until !== undefined)
    throw ec2Error('InvalidParameterCombination', 'Specify either LockDuration or ExpirationDate, but not both.');
  if (days === undefined && until === undefined)
    throw ec2Error('MissingParameter', 'The request must contain either LockDuration or ExpirationDate.');
  const now = world.clock.now();
  if (until !== undefined && !(Date.parse(until) > now.getTime()))
    throw ec2Error('InvalidParameterValue', `Value (${until}) for parameter ExpirationDate is not in the future.`);
  return {
    mode,
    lockedAt: now.toISOString(),
    durationDays: days === undefined ? null : whole(days, 'LockDuration', DURATION_DAYS_MAX),
    expirationDate: until === undefined ? null : new Date(until).toISOString(),
    coolOffHours: hours === undefined ? null : whole(hours, 'CoolOffPeriod', COOL_OFF_HOURS_MAX),
  };
}

/**
 * In compliance mode after the cooling-off, a lock can only last longer, and keeps when it began.
 * Source: EBS guide, "Update snapshot lock settings"; EC2 API reference, LockSnapshot, CoolOffPeriod.
 */
function extended(world: World, snapshot: Snapshot, lock: SnapshotLock, wanted: SnapshotLock): SnapshotLock {
  if (wanted.mode !== 'compliance')
    throw ec2Error('SnapshotLocked', `The snapshot ${snapshot.id} is locked in compliance mode; it cannot be changed.`);
  if (wanted.coolOffHours !== null)
    throw ec2Error('InvalidParameterCombination', 'The cooling-off period of this lock has expired.');
  const next = { ...wanted, lockedAt: lock.lockedAt, coolOffHours: lock.coolOffHours };
  const [before, after] = [lock, next].map((one) => {
    const { expiresAt } = standingOf(world, snapshot, one);
    return expiresAt === null ? (one.durationDays ?? 0) * DAY_MS + world.clock.now().getTime() : Date.parse(expiresAt);
  });
  if ((after ?? 0) <= (before ?? 0))
    throw ec2Error('InvalidParameterValue', `The lock of ${snapshot.id} can only be extended.`);
  return next;
}

const lockSnapshot: Operation = (ask) => {
  const { world, params } = ask;
  const id = required(params, 'SnapshotId');
  const wanted = wantedLock(ask);
  requireOn(ask, 'LockSnapshot', id, wanted);
  const snapshot = snapshotOf(ask, id);
  // Source: EBS guide, "Lock a snapshot": pending or completed.
  if (snapshot.state === 'error') throw ec2Error('IncorrectState', `Snapshot is in invalid state - ${snapshot.state}`);
  const { lock } = snapshot;
  const fixed = lock && standingOf(world, snapshot, lock).state === 'compliance';
  const next = fixed ? extended(world, snapshot, lock, wanted) : wanted;
  endDryRun(ask);
  snapshot.lock = next;
  world.changed();
  return lockXml(world, snapshot, next);
};

const unlockSnapshot: Operation = (ask) => {
  const { world, params } = ask;
  const id = required(params, 'SnapshotId');
  requireOn(ask, 'UnlockSnapshot', id);
  const snapshot = snapshotOf(ask, id);
  if (!snapshot.lock || standingOf(world, snapshot, snapshot.lock).state === 'expired')
    throw ec2Error('IncorrectState', `The snapshot ${id} is not locked.`);
  if (standingOf(world, snapshot, snapshot.lock).state === 'compliance')
    throw ec2Error('SnapshotLocked', `The snapshot ${id} is locked in compliance mode and cannot be unlocked.`);
  endDryRun(ask);
  delete snapshot.lock;
  world.changed();
  return { snapshotId: id };
};

const describeLockedSnapshots: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeLockedSnapshots', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'SnapshotId');
  const matches = filtersOf(params);
  const found = ids.length > 0 ? ids.map((id) => snapshotOf(ask, id)) : own(world.snapshots.values(), request);
  const hits = found.flatMap((snapshot) => {
    const { lock, id, tags } = settle(world, snapshot);
    if (!lock) return [];
    const fields = { 'lock-state': standingOf(world, snapshot, lock).state };
    return matches({ id, tags, fields }) ? [{ ownerId: snapshot.accountId, ...lockXml(world, snapshot, lock) }] : [];
  });
  const { page, nextToken } = paged(params, hits);
  return { snapshotSet: { item: [...page] }, nextToken };
};

export const LOCK_OPERATIONS: Record<string, Operation> = {
  LockSnapshot: lockSnapshot,
  UnlockSnapshot: unlockSnapshot,
  DescribeLockedSnapshots: describeLockedSnapshots,
};
