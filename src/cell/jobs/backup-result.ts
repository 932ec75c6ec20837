import type { Fault } from '../../core/faults.ts';
import type { PointVolume } from '../db/schema/recovery-points.ts';

/** What a backup has of its volumes when it is about to become a recovery point. */
export type Copied = {
  stored: PointVolume[];
  failed: { volumeId: string; fault: Fault }[];
  /** Until when AWS refuses to delete the snapshots or objects of the point, where they are locked. */
  lockedUntil?: Date | null;
};
