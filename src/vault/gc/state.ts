import type { Condemnation, Garbage } from './condemned.ts';
import type { KeptRoots } from './mark.ts';

/** What the caller knows of a volume, at one instant. */
export type VolumeState = {
  /** The roots that stay: of every point that is kept, and of whatever open runs and later ones build on. */
  kept: readonly KeptRoots[];
  /** Roots of points that were deleted: they go at once. */
  deletedRoots: readonly string[];
  /** Runs that have not ended: whatever they stored stays, and what their roots need. */
  openRunIds: readonly string[];
  condemnations: readonly Condemnation[];
  /** What an earlier collection has decided to delete, and may have deleted. */
  doomed: readonly Garbage[];
  /** The longest that a job of the tenant has taken so far. */
  longestJobMs: number;
  /** Packs of the volume that may be deleted now, given how many it has. */
  packsAllowed: (packs: number) => number;
};
