import type { DiscoveredInstance } from '../../aws/instances.ts';
import type { LeftOut } from '../../aws/snapshots.ts';
import { Fault } from '../../core/faults.ts';
import { type ExcludedVolume, excludedVolumes, isRoot } from '../selection/volumes.ts';
import type { BackupJobRow } from '../services/job-views.ts';
import { withClaim, writeJob } from './claim.ts';
import type { JobRun } from './runner.ts';
import type { Worker } from './worker.ts';

/**
 * Which volumes of the instance as it is now a backup leaves out. Written to the job before its snapshots are taken, so
 * that a job that is tried again says of its snapshots what was true when they were taken.
 *
 * @throws Fault `instance_not_found` where no volume is left
 */
export async function settleExclusions(
  worker: Worker,
  row: BackupJobRow,
  run: JobRun,
  instance: DiscoveredInstance,
): Promise<ExcludedVolume[]> {
  if (row.exclusions.length === 0) return [];
  if (row.excludedVolumes !== null) return row.excludedVolumes;
  const excluded = excludedVolumes(instance, row.exclusions);
  if (excluded.length > 0 && excluded.length === instance.volumes.length) {
    const { instanceId } = row;
    const why = `The plan's selections exclude each of the ${excluded.length} volumes of ${instanceId}.`;
    throw new Fault('instance_not_found', why, { facts: { instanceId } });
  }
  await withClaim(worker.db, run.claim, (tx) =>
    writeJob(tx, run.claim, { excludedVolumes: excluded }, worker.clock.now()),
  );
  return excluded;
}

/** The same as CreateSnapshots takes it: of the volumes that are still attached; what it does with others, AWS does not say. */
export function leftOut(instance: DiscoveredInstance, excluded: readonly ExcludedVolume[]): LeftOut {
  const ids = new Set(excluded.map(({ volumeId }) => volumeId));
  const attached = instance.volumes.filter(({ volumeId }) => ids.has(volumeId));
  const data = attached.filter((volume) => !isRoot(volume, instance));
  return { bootVolume: data.length < attached.length, dataVolumeIds: data.map(({ volumeId }) => volumeId) };
}
