import type { RecoveredPoints, RecoveredRoot } from '../../contract/recovered-points.ts';
import type { PointVolume, recoveryPoints, volumeBases } from '../db/schema/recovery-points.ts';
import type { PointAbout } from '../jobs/point-about.ts';
import { readAbout } from './about.ts';

type PointRow = typeof recoveryPoints.$inferInsert;
type BaseRow = typeof volumeBases.$inferInsert;

/** A run whose roots do not say of which point they are: the blocks can be restored from the vault, the row cannot be made. */
type Unknown = { runId: string; volumeIds: string[] };

/** What is to be written, complete: writing it takes no further decision but that a row may be there. */
export type RecoveredRows = { points: PointRow[]; bases: BaseRow[]; unknown: Unknown[] };

type Told = { root: RecoveredRoot; about: PointAbout };
type Run = { runId: string; told: Told[] };

const newest = (times: readonly string[]): Date => new Date(Math.max(...times.map((time) => Date.parse(time))));

function volumeOf({ root, about }: Told, runId: string): PointVolume {
  const { volumeId, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored, manifestKey, snapshotId } = root;
  const result = { volumeId, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored };
  return { ...result, runId, manifestKey, snapshotId, ...about.volume };
}

/** The row of a point, as the backup that made it would have written it. */
function pointOf(tenantId: string, { runId, told }: Run, about: PointAbout): PointRow {
  const { recoveryPointId: id, volume: _, version: __, volumeIds, pointInTime, expiresAt, ...shared } = about;
  const roots = told.map(({ root }) => root);
  const locks = roots.flatMap(({ lockUntil }) => lockUntil ?? []);
  return {
    ...shared,
    excludedVolumes: [...shared.excludedVolumes],
    tenantId,
    id,
    state: volumeIds.every((volumeId) => roots.some((root) => root.volumeId === volumeId)) ? 'COMPLETED' : 'PARTIAL',
    kind: roots.some(({ kind }) => kind === 'full') ? 'full' : 'incremental',
    pointInTime: new Date(pointInTime),
    createdTime: newest(roots.map(({ createdTime }) => createdTime)),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    storage: 'vault',
    lockedUntil: locks.length === 0 ? null : newest(locks),
    volumes: told.map((one) => volumeOf(one, runId)),
  };
}

const baseName = ({ connectionId }: PointRow, { volumeId }: PointVolume) => `${connectionId} ${volumeId}`;

/** The newest point of each volume is what its next incremental builds on; snapshots of older ones were deleted. */
function settleBases(points: readonly PointRow[]): { points: PointRow[]; bases: BaseRow[] } {
  const latest = new Map<string, PointRow>();
  for (const point of points.toSorted((a, b) => a.pointInTime.getTime() - b.pointInTime.getTime()))
    for (const volume of point.volumes) latest.set(baseName(point, volume), point);
  const isLatest = (point: PointRow, volume: PointVolume) => latest.get(baseName(point, volume)) === point;
  const bases = points.flatMap((point) =>
    point.volumes.flatMap((volume): BaseRow[] => {
      const { volumeId, snapshotId, runId, manifestKey } = volume;
      if (!isLatest(point, volume) || snapshotId === null || snapshotId === '' || manifestKey === null) return [];
      const { tenantId, connectionId, awsRegion, id: recoveryPointId, createdTime: updatedAt } = point;
      return [
        { tenantId, connectionId, volumeId, awsRegion, snapshotId, runId, manifestKey, recoveryPointId, updatedAt },
      ];
    }),
  );
  const settled = points.map((point) => ({
    ...point,
    volumes: point.volumes.map((volume) => (isLatest(point, volume) ? volume : { ...volume, snapshotId: null })),
  }));
  return { points: settled, bases };
}

/** The rows that a vault's roots tell of. Pure. */
export function rowsOf({ tenantId, points: runs }: RecoveredPoints): RecoveredRows {
  const points: PointRow[] = [];
  const unknown: Unknown[] = [];
  for (const { runId, roots } of runs) {
    const told = roots.flatMap((root) => {
      const about = readAbout(root.about);
      return about ? [{ root, about }] : [];
    });
    const silent = roots.filter((root) => !told.some((one) => one.root === root));
    if (silent.length > 0) unknown.push({ runId, volumeIds: silent.map(({ volumeId }) => volumeId) });
    const [first] = told;
    if (first) points.push(pointOf(tenantId, { runId, told }, first.about));
  }
  return { ...settleBases(points), unknown };
}
