import {
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeAvailabilityZonesCommand,
  DescribeVolumesCommand,
  type EC2Client,
  type VolumeType,
} from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { asking, askingOfNew, awsErrorName, toAwsFault } from './faults.ts';
import { ourTags, type OurTags, settableTags } from './snapshots.ts';

const POLL_MS = 300;

export type NewVolume = OurTags & {
  snapshotId: string;
  availabilityZone: string;
  volumeType: string | null;
  /** Null: as large as the snapshot. */
  sizeGiB: number | null;
  iops: number | null;
  throughput: number | null;
  kmsKeyArn: string | null;
  /** The original's own tags; AWS's (`aws:…`) cannot be set. */
  tags: Record<string, string>;
  clientToken: string;
};

/** Only these take a wished number of IOPS, and only gp3 a throughput. */
const takesIops = (type: string | null) => type === 'gp3' || type === 'io1' || type === 'io2';

/** Makes a volume, always encrypted, from a snapshot of ours. The client token makes a second try give the same volume. */
export async function createVolume(ec2: EC2Client, awsRegion: string, wanted: NewVolume): Promise<string> {
  const type = wanted.volumeType;
  return asking(`make a volume from ${wanted.snapshotId}`, awsRegion, async () => {
    const volume = await ec2.send(
      new CreateVolumeCommand({
        SnapshotId: wanted.snapshotId,
        AvailabilityZone: wanted.availabilityZone,
        Encrypted: true,
        ClientToken: wanted.clientToken,
        ...(wanted.kmsKeyArn === null ? {} : { KmsKeyId: wanted.kmsKeyArn }),
        ...(type === null ? {} : { VolumeType: type as VolumeType }),
        ...(wanted.sizeGiB === null ? {} : { Size: wanted.sizeGiB }),
        ...(takesIops(type) && wanted.iops !== null ? { Iops: wanted.iops } : {}),
        ...(type === 'gp3' && wanted.throughput !== null ? { Throughput: wanted.throughput } : {}),
        TagSpecifications: [{ ResourceType: 'volume', Tags: [...settableTags(wanted.tags), ...ourTags(wanted)] }],
      }),
    );
    return volume.VolumeId ?? '';
  });
}

/** Waits until a new volume can be used. Returns whether and with which key it is encrypted. */
export async function untilAvailable(
  ec2: EC2Client,
  awsRegion: string,
  options: { volumeId: string; clock: Clock; signal: AbortSignal },
): Promise<{ encrypted: boolean; kmsKeyArn: string | null }> {
  for (;;) {
    options.signal.throwIfAborted();
    const look = () => ec2.send(new DescribeVolumesCommand({ VolumeIds: [options.volumeId] }));
    const { Volumes } = await askingOfNew(`watch ${options.volumeId}`, awsRegion, look, options);
    const volume = Volumes?.[0];
    if (volume?.State === 'available' || volume?.State === 'in-use')
      return { encrypted: volume.Encrypted ?? false, kmsKeyArn: volume.KmsKeyId ?? null };
    if (volume?.State === 'error')
      throw new Fault('aws_rejected', `AWS could not make the volume ${options.volumeId}.`);
    await options.clock.sleep(POLL_MS, options.signal);
  }
}

/** Names of the region's availability zones, as the account sees them. */
export async function availabilityZones(ec2: EC2Client, awsRegion: string): Promise<string[]> {
  const { AvailabilityZones } = await asking('list availability zones', awsRegion, () =>
    ec2.send(new DescribeAvailabilityZonesCommand({})),
  );
  return (AvailabilityZones ?? []).map((zone) => zone.ZoneName ?? '');
}

/** Gives a volume of ours the tags of its source. */
export async function tagLike(
  ec2: EC2Client,
  awsRegion: string,
  volumeId: string,
  tags: Record<string, string>,
): Promise<void> {
  const Tags = settableTags(tags);
  if (Tags.length === 0) return;
  await asking(`tag ${volumeId}`, awsRegion, () => ec2.send(new CreateTagsCommand({ Resources: [volumeId], Tags })));
}

/** Deletes a volume; one that is gone is fine. */
export async function deleteVolume(ec2: EC2Client, awsRegion: string, volumeId: string): Promise<void> {
  try {
    await ec2.send(new DeleteVolumeCommand({ VolumeId: volumeId }));
  } catch (error) {
    if (awsErrorName(error) !== 'InvalidVolume.NotFound') throw toAwsFault(error, `delete ${volumeId}`, awsRegion);
  }
}
