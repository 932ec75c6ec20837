import { idOf } from '../../core/ids.ts';
import type { PointInstance, PointVolume, recoveryPoints } from '../db/schema/recovery-points.ts';
import type { ExcludedVolume } from '../selection/volumes.ts';
import type { BackupJobRow } from '../services/job-views.ts';

type Point = typeof recoveryPoints.$inferSelect;

/** What makes a volume again, beside its blocks: what its root cannot know. */
export type VolumeAbout = Pick<
  PointVolume,
  'deviceName' | 'encrypted' | 'kmsKeyArn' | 'volumeType' | 'iops' | 'throughput' | 'tags'
>;

/**
 * What each root of a point says of it: enough to write its row again when the database is lost. Times are RFC 3339. A version
 * of its own, because old roots are read for as long as they are kept.
 */
export type PointAbout = Pick<
  Point,
  'connectionId' | 'instanceId' | 'awsRegion' | 'planId' | 'ruleId' | 'backupJobId'
> & {
  version: 1;
  recoveryPointId: string;
  pointInTime: string;
  expiresAt: string | null;
  instance: PointInstance;
  excludedVolumes: readonly ExcludedVolume[];
  /** All volumes that the point was to have: one without a root failed. */
  volumeIds: readonly string[];
  volume: VolumeAbout;
};

const DAY_MS = 86_400_000;
const SECOND_MS = 1_000;

/** When retention by age may delete a point; null: only by hand, or by `keepLast`. */
export function expiryOf({ retention }: Pick<BackupJobRow, 'retention'>, pointInTime: Date): Date | null {
  const days = retention?.deleteAfterDays;
  return days === undefined ? null : new Date(pointInTime.getTime() + days * DAY_MS);
}

/**
 * Until when a point in the vault is locked, by the second, as S3 has it; null: it is not. Counted from its own time, so that every
 * try at the job comes to the same.
 */
export function lockEndOf({ retention }: Pick<BackupJobRow, 'retention'>, pointInTime: Date): Date | null {
  const days = retention?.lock?.days;
  return days === undefined ? null : new Date(Math.ceil(pointInTime.getTime() / SECOND_MS) * SECOND_MS + days * DAY_MS);
}

/** A job makes one point, whose id is known before it is there: its roots name it. */
export const pointIdOf = ({ id }: Pick<BackupJobRow, 'id'>): string => idOf('recoveryPoint', id);

/** The part that all roots of a point share. */
export function aboutPoint(
  row: BackupJobRow,
  point: { instance: PointInstance; pointInTime: Date; excluded: readonly ExcludedVolume[]; volumeIds: string[] },
): Omit<PointAbout, 'volume'> {
  const { connectionId, instanceId, awsRegion, planId, ruleId } = row;
  const { instance, pointInTime, excluded, volumeIds } = point;
  const { name, instanceType, availabilityZone, tags, configuration } = instance;
  return {
    version: 1,
    recoveryPointId: pointIdOf(row),
    backupJobId: row.id,
    connectionId,
    instanceId,
    awsRegion,
    planId,
    ruleId,
    pointInTime: pointInTime.toISOString(),
    expiresAt: expiryOf(row, pointInTime)?.toISOString() ?? null,
    instance: { name, instanceType, availabilityZone, tags, configuration },
    excludedVolumes: excluded,
    volumeIds,
  };
}
