import {
  type BlockDeviceMapping,
  DeregisterImageCommand,
  DescribeImagesCommand,
  type EC2Client,
  type Image,
  RegisterImageCommand,
  type RegisterImageRequest,
} from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { asking, askingOfNew, awsErrorName, toAwsFault } from './faults.ts';
import type { InstanceConfiguration } from './instances.ts';
import { ourTags, type OurTags } from './snapshots.ts';

const POLL_MS = 500;

export type ImageDevice = { deviceName: string; snapshotId: string };

/**
 * AWS's defaults are those of 2008 (i386, paravirtual, no ENA): everything that the source instance had is named.
 * `Encrypted` is not allowed beside a snapshot: the launch says it.
 */
function imageRequest(
  wanted: OurTags & { name: string; devices: readonly ImageDevice[]; configuration: InstanceConfiguration },
): RegisterImageRequest {
  const { configuration, devices } = wanted;
  const BlockDeviceMappings: BlockDeviceMapping[] = devices.map(({ deviceName, snapshotId }) => ({
    DeviceName: deviceName,
    Ebs: { SnapshotId: snapshotId },
  }));
  return {
    Name: wanted.name,
    Architecture: (configuration.architecture ?? 'x86_64') as 'x86_64',
    VirtualizationType: 'hvm',
    RootDeviceName: configuration.rootDeviceName ?? devices[0]?.deviceName,
    EnaSupport: configuration.enaSupport ?? true,
    ...(configuration.bootMode === undefined ? {} : { BootMode: configuration.bootMode as 'uefi' }),
    ...(configuration.metadataOptions?.HttpTokens === 'required' ? { ImdsSupport: 'v2.0' as const } : {}),
    BlockDeviceMappings,
    TagSpecifications: [{ ResourceType: 'image', Tags: ourTags(wanted) }],
  };
}

async function imageNamed(ec2: EC2Client, awsRegion: string, name: string): Promise<Image | undefined> {
  const { Images } = await asking('list our images', awsRegion, () =>
    ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters: [{ Name: 'name', Values: [name] }] })),
  );
  return Images?.[0];
}

/**
 * Registers an image of these snapshots. RegisterImage takes no client token, but names are unique: a second try finds
 * the first one's image by its name.
 */
export async function registerImage(
  ec2: EC2Client,
  awsRegion: string,
  wanted: Parameters<typeof imageRequest>[0],
): Promise<string> {
  try {
    const { ImageId } = await ec2.send(new RegisterImageCommand(imageRequest(wanted)));
    return ImageId ?? '';
  } catch (error) {
    if (awsErrorName(error) !== 'InvalidAMIName.Duplicate') throw toAwsFault(error, 'register an image', awsRegion);
    const known = await imageNamed(ec2, awsRegion, wanted.name);
    if (!known?.ImageId) throw toAwsFault(error, 'register an image', awsRegion);
    return known.ImageId;
  }
}

/** Waits until an image can be launched. */
export async function untilImageAvailable(
  ec2: EC2Client,
  awsRegion: string,
  options: { imageId: string; clock: Clock; signal: AbortSignal },
): Promise<void> {
  const { imageId, clock, signal } = options;
  for (;;) {
    signal.throwIfAborted();
    const image = await askingOfNew(`watch ${imageId}`, awsRegion, () => findImage(ec2, awsRegion, imageId), options);
    if (image?.State === 'available') return;
    if (image?.State === 'failed' || image?.State === 'error')
      throw new Fault('aws_rejected', `AWS could not make the image ${imageId}: ${image.StateReason?.Message ?? ''}`);
    await clock.sleep(POLL_MS, signal);
  }
}

/** An image by its id, or undefined where the account cannot see one. */
export async function findImage(ec2: EC2Client, awsRegion: string, imageId: string): Promise<Image | undefined> {
  try {
    const { Images } = await ec2.send(new DescribeImagesCommand({ ImageIds: [imageId] }));
    return Images?.[0];
  } catch (error) {
    if (['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable'].includes(awsErrorName(error))) return undefined;
    throw toAwsFault(error, `look at ${imageId}`, awsRegion);
  }
}

/** Some public image of Amazon's for an architecture: what a dry run launches in thought. */
export async function anyPublicImage(
  ec2: EC2Client,
  awsRegion: string,
  architecture: string,
): Promise<Image | undefined> {
  const Filters = [
    { Name: 'architecture', Values: [architecture] },
    { Name: 'name', Values: ['al2023-ami-2023*'] },
  ];
  const { Images } = await asking('list public images', awsRegion, () =>
    ec2.send(new DescribeImagesCommand({ Owners: ['amazon'], Filters })),
  );
  return Images?.[0];
}

/** Deregisters an image; one that is gone is fine. Its snapshots stay. */
export async function deregisterImage(ec2: EC2Client, awsRegion: string, imageId: string): Promise<void> {
  try {
    await ec2.send(new DeregisterImageCommand({ ImageId: imageId }));
  } catch (error) {
    if (!['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable'].includes(awsErrorName(error)))
      throw toAwsFault(error, `deregister ${imageId}`, awsRegion);
  }
}
