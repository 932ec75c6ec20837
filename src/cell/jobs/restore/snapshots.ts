import { openSnapshotSink, startSnapshot } from '../../../aws/ebs-sink.ts';
import { describeStep } from '../../../aws/policies/session.ts';
import { copyStep, startStep, writeStep } from '../../../aws/policies/restore-session.ts';
import { copySnapshot, findSnapshot, untilCompleted } from '../../../aws/snapshots.ts';
import { Fault } from '../../../core/faults.ts';
import { storedBlocks } from '../../../vault/manifest.ts';
import { BLOCK_BYTES, type Progress } from '../../../vault/ports.ts';
import { restoreVolume } from '../../../vault/restore.ts';
import type { PointVolume } from '../../db/schema/recovery-points.ts';
import { whileKeyIsEnabled } from '../key-watch.ts';
import { restoreLanes } from '../lane-use.ts';
import { inVault } from '../vault-principals.ts';
import { inTarget, type RestoreContext, targetKey, tokenOf } from './context.ts';

const GIB = 2 ** 30;
/** A snapshot that AWS gave up (idle for three days) is begun again this often. */
const GENERATIONS_MAX = 3;

/** `own`: the restore made it, and may have to remove it. */
export type SourceSnapshot = { snapshotId: string; own: boolean; blocksWritten: number };

function start(context: RestoreContext, volume: PointVolume, generation: number): Promise<string> {
  const { worker, row, signal } = context;
  const kmsKeyArn = targetKey(row, volume);
  return inTarget(
    context,
    (step) => startStep(step, kmsKeyArn),
    ({ ebs }) =>
      startSnapshot(ebs, row.awsRegion, {
        tenantId: row.tenantId,
        jobId: row.id,
        volumeGiB: Math.ceil(volume.volumeBytes / GIB),
        encrypted: kmsKeyArn !== null,
        kmsKeyArn,
        description: `Domicile ${row.recoveryPointId} ${volume.volumeId}`,
        clientToken: tokenOf(row, `${volume.volumeId}-${generation}`),
        clock: worker.clock,
        signal,
      }),
  );
}

/** Writes a volume's blocks, through a session that can write this one snapshot and no other. */
function write(
  context: RestoreContext,
  volume: PointVolume,
  snapshotId: string,
  onProgress: (progress: Progress) => void,
): Promise<number> {
  const { worker, row, signal } = context;
  return inTarget(
    context,
    (step) => writeStep(step, snapshotId, targetKey(row, volume)),
    async (clients) => {
      const { awsRegion } = row;
      const sink = openSnapshotSink(clients, {
        awsRegion,
        snapshotId,
        blockBytes: BLOCK_BYTES,
        clock: worker.clock,
        signal,
      });
      const input = manifestOf(context, volume);
      const restored = await inVault(worker, { principal: 'restorer', tenantId: row.tenantId }, (vault) => {
        const lanes = restoreLanes(worker, vault, clients, { awsRegion, snapshotId });
        return whileKeyIsEnabled(worker, signal, (enabled) =>
          restoreVolume({ ...vault, ...lanes }, input, sink, { signal: enabled, onProgress }),
        );
      });
      return restored.blocksWritten;
    },
  );
}

/** Where a volume's blocks are described in the vault. */
function manifestOf({ worker, row }: RestoreContext, { manifestKey, volumeId }: PointVolume) {
  if (manifestKey === null) throw new Fault('object_missing', `${volumeId} has no blocks in the vault.`);
  return { cell: worker.region.cell, tenantId: row.tenantId, volumeId, manifestKey };
}

function blocksOf(context: RestoreContext, volume: PointVolume): Promise<number> {
  const { worker, row } = context;
  const asRestorer = { principal: 'restorer', tenantId: row.tenantId } as const;
  return inVault(worker, asRestorer, (vault) => storedBlocks(vault, manifestOf(context, volume)));
}

/**
 * From the vault into a new snapshot. Tried again, it goes on with the same snapshot: blocks that were put are put again,
 * which changes nothing; one that is complete is left alone; one that AWS gave up is begun anew.
 */
async function written(
  context: RestoreContext,
  volume: PointVolume,
  onProgress: (progress: Progress) => void,
): Promise<SourceSnapshot> {
  const { journal, row } = context;
  for (let generation = 1; generation <= GENERATIONS_MAX; generation += 1) {
    const step = `snapshot ${volume.volumeId} ${generation}`;
    const {
      id: snapshotId,
      blocksWritten,
      done,
    } = await journal.once(step, 'snapshot', () => start(context, volume, generation));
    if (done) return { snapshotId, own: true, blocksWritten: blocksWritten ?? 0 };
    const known = await inTarget(context, describeStep, ({ ec2 }) => findSnapshot(ec2, row.awsRegion, snapshotId));
    if (known?.state === 'error') continue;
    // Complete, but not noted: a worker that died in between had written all of it.
    const blocks =
      known?.state === 'completed'
        ? await blocksOf(context, volume)
        : await write(context, volume, snapshotId, onProgress);
    await journal.mark(step, { done: true, blocksWritten: blocks });
    return { snapshotId, own: true, blocksWritten: blocks };
  }
  throw new Fault('snapshot_failed', `AWS gave up the snapshot for ${volume.volumeId} ${GENERATIONS_MAX} times.`);
}

/** The point's own snapshot, copied where it has to lie in another region or be a thing of its own. */
async function kept(context: RestoreContext, volume: PointVolume): Promise<SourceSnapshot> {
  const { worker, row, point, journal, signal } = context;
  const { awsRegion, tenantId, id: jobId } = row;
  const { snapshotId } = volume;
  if (snapshotId === null)
    throw new Fault('aws_resource_not_found', `The snapshot of ${volume.volumeId} is gone.`, {
      facts: { volumeId: volume.volumeId },
    });
  if (row.type !== 'snapshot' && awsRegion === point.awsRegion) return { snapshotId, own: false, blocksWritten: 0 };
  const step = `snapshot ${volume.volumeId}`;
  const wanted = { tenantId, jobId, snapshotId, sourceAwsRegion: point.awsRegion, kmsKeyArn: targetKey(row, volume) };
  const copy = await journal.once(step, 'snapshot', () =>
    inTarget(context, copyStep, ({ ec2 }) => copySnapshot(ec2, awsRegion, wanted)),
  );
  const snapshotIds = [copy.id];
  await inTarget(context, describeStep, ({ ec2 }) =>
    untilCompleted(ec2, awsRegion, { snapshotIds, clock: worker.clock, signal }),
  );
  await journal.mark(step, { done: true });
  return { snapshotId: copy.id, own: true, blocksWritten: 0 };
}

/** The snapshot in the target region that a volume of the point is made from. */
export function snapshotOf(
  context: RestoreContext,
  volume: PointVolume,
  onProgress: (progress: Progress) => void,
): Promise<SourceSnapshot> {
  return context.point.storage === 'account' ? kept(context, volume) : written(context, volume, onProgress);
}
