import { attachVolume } from '../../../aws/attachments.ts';
import { attachStep, volumeStep } from '../../../aws/policies/restore-session.ts';
import { createVolume, untilAvailable } from '../../../aws/volumes.ts';
import type { RestoredVolume } from '../../db/schema/jobs.ts';
import type { PointVolume } from '../../db/schema/recovery-points.ts';
import { inTarget, optionsOf, type RestoreContext, targetKey, tokenOf } from './context.ts';
import type { SourceSnapshot } from './snapshots.ts';

export type NewVolume = { volumeId: string; encrypted: boolean; kmsKeyArn: string | null };

/** A volume from a snapshot, in a zone: as the source was, where nothing else was asked for. Always encrypted. */
export async function makeVolume(
  context: RestoreContext,
  volume: PointVolume,
  snapshotId: string,
  availabilityZone: string,
): Promise<NewVolume> {
  const { worker, row, journal, signal } = context;
  const { awsRegion } = row;
  const kmsKeyArn = targetKey(row, volume);
  const options = optionsOf(row, volume.volumeId);
  const sameType = options?.volumeType === undefined || options.volumeType === volume.volumeType;
  const wanted = {
    tenantId: row.tenantId,
    jobId: row.id,
    snapshotId,
    availabilityZone,
    volumeType: options?.volumeType ?? volume.volumeType,
    sizeGiB: options?.sizeGiB ?? null,
    // IOPS and throughput of another type say nothing about the new one.
    iops: options?.iops ?? (sameType ? volume.iops : null),
    throughput: options?.throughput ?? (sameType ? volume.throughput : null),
    kmsKeyArn,
    tags: volume.tags,
    clientToken: tokenOf(row, volume.volumeId),
  };
  return inTarget(
    context,
    (step) => volumeStep(step, snapshotId, kmsKeyArn),
    async ({ ec2 }) => {
      const { id: volumeId } = await journal.once(`volume ${volume.volumeId}`, 'volume', () =>
        createVolume(ec2, awsRegion, wanted),
      );
      return { volumeId, ...(await untilAvailable(ec2, awsRegion, { volumeId, clock: worker.clock, signal })) };
    },
  );
}

/** What a job says of a volume that it restored. */
export function restoredVolume(volume: PointVolume, from: SourceSnapshot, made: NewVolume | null): RestoredVolume {
  return {
    sourceVolumeId: volume.volumeId,
    volumeBytes: volume.volumeBytes,
    snapshotId: made === null ? from.snapshotId : null,
    volumeId: made?.volumeId ?? null,
    encrypted: made?.encrypted ?? volume.encrypted,
    kmsKeyArn: made?.kmsKeyArn ?? volume.kmsKeyArn,
    blocksWritten: from.blocksWritten,
    attachedTo: null,
    previousVolumeId: null,
  };
}

/** A volume of its own, attached where that was asked for. */
export async function restoreToVolume(
  context: RestoreContext,
  volume: PointVolume,
  from: SourceSnapshot,
): Promise<RestoredVolume> {
  const { worker, row, point, signal, journal } = context;
  const zone = row.target.availabilityZone ?? point.instance.availabilityZone;
  const made = await makeVolume(context, volume, from.snapshotId, zone);
  const restored = restoredVolume(volume, from, made);
  const attach = optionsOf(row, volume.volumeId)?.attach;
  if (attach)
    await inTarget(
      context,
      (step) => attachStep(step, attach.instanceId),
      ({ ec2 }) =>
        attachVolume(ec2, row.awsRegion, { ...attach, volumeId: made.volumeId }, { clock: worker.clock, signal }),
    );
  await journal.mark(`volume ${volume.volumeId}`, { done: true, result: true });
  return { ...restored, attachedTo: attach ?? null };
}
