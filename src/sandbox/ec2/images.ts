import { bool, integer, nested, nestedList, text, textList } from '../wire/query.ts';
import type { Xml } from '../wire/xml.ts';
import {
  awsId,
  type Billing,
  type Image,
  imageArn,
  type ImageDevice,
  requestTagKeys,
  resourceTagKeys,
  snapshotArn,
} from './model.ts';
import { publicImages } from './public-images.ts';
import {
  type Ask,
  ec2Error,
  endDryRun,
  filtersOf,
  type Operation,
  own,
  paged,
  required,
  tagsFor,
  tagSet,
} from './request.ts';
import { snapshotOf } from './snapshots.ts';
import { settleInstance } from './world-state.ts';

const UNBILLED: Billing = { platformDetails: 'Linux/UNIX', productCodes: [] };
const ARCHITECTURES = ['i386', 'x86_64', 'arm64', 'x86_64_mac', 'arm64_mac'];
const BOOT_MODES = ['legacy-bios', 'uefi', 'uefi-preferred'];

/** An image that the caller can see: its own in this region, or a public one. */
export function imageOf({ world, request }: Ask, id: string): Image {
  if (!/^ami-[0-9a-f]{8,17}$/.test(id)) throw ec2Error('InvalidAMIID.Malformed', `Invalid id: "${id}"`);
  const known = [...own(world.images.values(), request), ...publicImages(request.awsRegion)];
  const image = known.find((candidate) => candidate.id === id);
  if (!image && wasDeregistered({ world, request }, id))
    throw ec2Error('InvalidAMIID.Unavailable', `The image ID '[${id}]' is no longer available`);
  if (!image) throw ec2Error('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
  return image;
}

/**
 * True while an instance of a deregistered image is left: the image is unavailable until then, and unknown afterwards.
 * Source: EC2 API reference, DescribeImages; "Error codes", InvalidAMIID.Unavailable.
 */
function wasDeregistered({ world, request }: Pick<Ask, 'world' | 'request'>, id: string): boolean {
  const gone = own(world.deregistered.values(), request).some((image) => image.id === id);
  if (!gone) return false;
  const instances = own(world.instances.values(), request).map((it) => settleInstance(world, it));
  return instances.some((it) => it.imageId === id && it.state !== 'terminated');
}

/** Devices of a new image. Source: RegisterImage, BlockDeviceMapping: `Encrypted` is not taken beside a snapshot. */
function devicesOf(ask: Ask): ImageDevice[] {
  return nestedList(ask.params, 'BlockDeviceMapping').map((mapping) => {
    const ebs = nested(mapping, 'Ebs');
    const snapshotId = text(ebs, 'SnapshotId');
    if (snapshotId !== undefined && ebs['Encrypted'] !== undefined)
      throw ec2Error('InvalidParameterCombination', 'The parameter Encrypted cannot be used with a snapshot here.');
    const snapshot = snapshotId === undefined ? null : snapshotOf(ask, snapshotId);
    if (snapshot && snapshot.state !== 'completed')
      throw ec2Error('IncorrectState', `Snapshot ${snapshot.id} is in invalid state - ${snapshot.state}`);
    const sizeGiB = integer(ebs, 'VolumeSize') ?? snapshot?.sizeGiB ?? null;
    if (snapshot && sizeGiB !== null && sizeGiB < snapshot.sizeGiB)
      throw ec2Error('InvalidBlockDeviceMapping', `The size must be at least that of ${snapshot.id}.`);
    return {
      deviceName: required(mapping, 'DeviceName'),
      snapshotId: snapshot?.id ?? null,
      sizeGiB,
      volumeType: text(ebs, 'VolumeType') ?? null,
      iops: integer(ebs, 'Iops') ?? null,
      throughput: integer(ebs, 'Throughput') ?? null,
      deleteOnTermination: bool(ebs, 'DeleteOnTermination') ?? true,
    };
  });
}

function oneOf(ask: Ask, name: string, values: readonly string[]): string | undefined {
  const value = text(ask.params, name);
  if (value === undefined || values.includes(value)) return value;
  throw ec2Error('InvalidParameterValue', `Invalid value '${value}' for ${name}.`);
}

/** Rights on the new image, its tags, and every snapshot. Source: service authorization reference, RegisterImage. */
function requireImage({ world, request, params }: Ask, devices: readonly ImageDevice[]): void {
  const tags = tagsFor(params, 'image');
  const resource = imageArn(request.awsRegion, '*');
  world.require(request, { action: 'ec2:RegisterImage', resource, context: requestTagKeys(tags) });
  for (const { snapshotId } of devices) {
    const snapshot = snapshotId === null ? undefined : world.snapshots.get(snapshotId);
    if (!snapshot) continue;
    const context = { ...resourceTagKeys(snapshot.tags), ...requestTagKeys(tags) };
    world.require(request, {
      action: 'ec2:RegisterImage',
      resource: snapshotArn(request.awsRegion, snapshot.id),
      context,
    });
  }
  if (Object.keys(tags).length === 0) return;
  world.require(request, {
    action: 'ec2:CreateTags',
    resource,
    context: { ...requestTagKeys(tags), 'ec2:CreateAction': 'RegisterImage' },
  });
}

const registerImage: Operation = (ask) => {
  const { world, request, params } = ask;
  const name = required(params, 'Name');
  if (!/^[\w()[\] ./'@-]{3,128}$/.test(name))
    throw ec2Error('InvalidAMIName.Malformed', 'AMI names must be between 3 and 128 characters long.');
  const devices = devicesOf(ask);
  const rootDeviceName = text(params, 'RootDeviceName') ?? '/dev/sda1';
  const root = devices.find(({ deviceName }) => deviceName === rootDeviceName);
  if (!root?.snapshotId)
    throw ec2Error('InvalidBlockDeviceMapping', `The root device ${rootDeviceName} must be mapped to a snapshot.`);
  requireImage(ask, devices);
  if (own(world.images.values(), request).some((image) => image.name === name))
    throw ec2Error('InvalidAMIName.Duplicate', `AMI name ${name} is already in use by another AMI`);
  const image: Image = {
    id: awsId('ami'),
    accountId: request.caller.accountId,
    awsRegion: request.awsRegion,
    tags: tagsFor(params, 'image'),
    name,
    description: text(params, 'Description') ?? '',
    // The defaults of 2008, as AWS still has them: who forgets to name them gets an image that does not boot today.
    architecture: oneOf(ask, 'Architecture', ARCHITECTURES) ?? 'i386',
    virtualizationType: oneOf(ask, 'VirtualizationType', ['hvm', 'paravirtual']) ?? 'paravirtual',
    rootDeviceName,
    enaSupport: bool(params, 'EnaSupport') ?? false,
    bootMode: oneOf(ask, 'BootMode', BOOT_MODES) ?? null,
    imdsSupport: oneOf(ask, 'ImdsSupport', ['v2.0']) ?? null,
    tpmSupport: oneOf(ask, 'TpmSupport', ['v2.0']) ?? null,
    billing: world.snapshots.get(root.snapshotId)?.billing ?? UNBILLED,
    isPublic: false,
    ownerAlias: null,
    createdAt: world.clock.now().toISOString(),
    devices,
  };
  endDryRun(ask);
  world.images.set(image.id, image);
  world.changed();
  return { imageId: image.id };
};

function imageXml({ world }: Ask, image: Image): { [name: string]: Xml } {
  const { platformDetails, productCodes } = image.billing;
  return {
    imageId: image.id,
    imageLocation: `${image.accountId}/${image.name}`,
    imageState: 'available',
    imageOwnerId: image.accountId,
    imageOwnerAlias: image.ownerAlias,
    isPublic: image.isPublic,
    architecture: image.architecture,
    imageType: 'machine',
    name: image.name,
    description: image.description,
    rootDeviceType: 'ebs',
    rootDeviceName: image.rootDeviceName,
    virtualizationType: image.virtualizationType,
    hypervisor: 'xen',
    enaSupport: image.enaSupport,
    bootMode: image.bootMode,
    imdsSupport: image.imdsSupport,
    tpmSupport: image.tpmSupport,
    platform: platformDetails.startsWith('Windows') ? 'windows' : null,
    platformDetails,
    productCodes: { item: productCodes.map((productCode) => ({ productCode, type: 'marketplace' })) },
    creationDate: image.createdAt,
    blockDeviceMapping: {
      item: image.devices.map((device) => ({
        deviceName: device.deviceName,
        ebs: {
          snapshotId: device.snapshotId,
          volumeSize: device.sizeGiB,
          volumeType: device.volumeType ?? 'gp2',
          iops: device.iops,
          throughput: device.throughput,
          deleteOnTermination: device.deleteOnTermination,
          encrypted: device.snapshotId !== null && world.snapshots.get(device.snapshotId)?.encrypted === true,
        },
      })),
    },
    tagSet: tagSet(image.tags),
  };
}

const describeImages: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeImages', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'ImageId');
  const owners = textList(params, 'Owner');
  const all = [...own(world.images.values(), request), ...publicImages(request.awsRegion)];
  const byOwner = ({ accountId, ownerAlias }: Image) =>
    owners.length === 0 ||
    owners.some(
      (owner) =>
        owner === accountId || owner === ownerAlias || (owner === 'self' && accountId === request.caller.accountId),
    );
  const matches = filtersOf(params);
  const named = ids.filter((id) => !wasDeregistered(ask, id)).map((id) => imageOf(ask, id));
  const hits = (ids.length > 0 ? named : all).filter(
    (image) =>
      byOwner(image) &&
      matches({
        id: image.id,
        tags: image.tags,
        fields: {
          'image-id': image.id,
          name: image.name,
          state: 'available',
          architecture: image.architecture,
          'is-public': String(image.isPublic),
          'owner-id': image.accountId,
          'owner-alias': image.ownerAlias,
          platform: image.billing.platformDetails.startsWith('Windows') ? 'windows' : null,
          'platform-details': image.billing.platformDetails,
          'root-device-name': image.rootDeviceName,
          'block-device-mapping.snapshot-id': image.devices.flatMap(({ snapshotId }) => snapshotId ?? []),
        },
      }),
  );
  const { page, nextToken } = paged(params, hits);
  return { imagesSet: { item: page.map((image) => imageXml(ask, image)) }, nextToken };
};

const deregisterImage: Operation = (ask) => {
  const { world, request, params } = ask;
  const image = imageOf(ask, required(params, 'ImageId'));
  const context = resourceTagKeys(image.tags);
  world.require(request, { action: 'ec2:DeregisterImage', resource: imageArn(request.awsRegion, image.id), context });
  if (image.accountId !== request.caller.accountId)
    throw ec2Error('AuthFailure', `Not authorized for image:${image.id}`, 403);
  endDryRun(ask);
  world.images.delete(image.id);
  const { id, accountId, awsRegion } = image;
  world.deregistered.set(id, { id, accountId, awsRegion });
  world.changed();
  return { return: true };
};

export const IMAGE_OPERATIONS: Record<string, Operation> = {
  RegisterImage: registerImage,
  DescribeImages: describeImages,
  DeregisterImage: deregisterImage,
};
