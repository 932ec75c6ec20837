import { createHash } from 'node:crypto';
import { bool, integer, nested, nestedList, type Params, text, textList } from '../wire/query.ts';
import { imageOf } from './images.ts';
import { instancesXml } from './instances.ts';
import { instanceType } from './instance-types.ts';
import {
  arnOf,
  awsId,
  type Image,
  imageArn,
  type Instance,
  networkOf,
  partitionOf,
  requestTagKeys,
  resourceTagKeys,
  type Tags,
} from './model.ts';
import { freeAddresses, keyPairOf, requireGroups, type Subnet, subnetOf, takeAddress } from './network.ts';
import { type Ask, ec2Error, endDryRun, type Operation, own, required, tagsFor } from './request.ts';
import { snapshotOf } from './snapshots.ts';
import { planVolume, type VolumeSpec } from './volumes.ts';

const USER_DATA_BYTES_MAX = 16_384;
/** How long a launched instance is `pending`. */
const STARTS_AFTER_MS = 300;

type Device = { deviceName: string; deleteOnTermination: boolean; spec: VolumeSpec };

/** The image's devices, changed and added to by the request's, as `BlockDeviceMappings` of RunInstances does. */
function devicesOf(ask: Ask, image: Image, zone: string): Device[] {
  const tags = tagsFor(ask.params, 'volume');
  const asked = new Map(
    nestedList(ask.params, 'BlockDeviceMapping').map((mapping) => [text(mapping, 'DeviceName') ?? '', mapping]),
  );
  const names = [...new Set([...image.devices.map(({ deviceName }) => deviceName), ...asked.keys()])];
  return names.flatMap((deviceName): Device[] => {
    const mapping: Params = asked.get(deviceName) ?? {};
    if (mapping['NoDevice'] !== undefined) return [];
    const ebs = nested(mapping, 'Ebs');
    const known = image.devices.find((device) => device.deviceName === deviceName);
    const snapshotId = text(ebs, 'SnapshotId') ?? known?.snapshotId ?? null;
    const spec = {
      sizeGiB: integer(ebs, 'VolumeSize') ?? known?.sizeGiB ?? undefined,
      snapshot: snapshotId === null ? null : snapshotOf(ask, snapshotId),
      availabilityZone: zone,
      encrypted: bool(ebs, 'Encrypted'),
      kmsKeyId: text(ebs, 'KmsKeyId'),
      volumeType: text(ebs, 'VolumeType') ?? known?.volumeType ?? 'gp3',
      iops: integer(ebs, 'Iops') ?? known?.iops ?? undefined,
      throughput: integer(ebs, 'Throughput') ?? known?.throughput ?? undefined,
      tags,
    };
    const deleteOnTermination = bool(ebs, 'DeleteOnTermination') ?? known?.deleteOnTermination ?? true;
    return [{ deviceName, deleteOnTermination, spec }];
  });
}

type Place = { subnet: Subnet; groupIds: string[]; privateIp: string | undefined };

/** Where the instance goes: by the parameters of its own, or of its one network interface. */
function placeOf(ask: Ask): Place {
  const { params, request } = ask;
  const [nic = {}] = nestedList(params, 'NetworkInterface');
  const network = networkOf(request.caller.accountId, request.awsRegion);
  const zone = text(nested(params, 'Placement'), 'AvailabilityZone');
  const byZone = network.subnets.find((candidate) => zone === undefined || candidate.zone === zone);
  const subnetId = text(nic, 'SubnetId') ?? text(params, 'SubnetId') ?? byZone?.subnetId ?? '';
  const asked = [...textList(params, 'SecurityGroupId'), ...textList(nic, 'SecurityGroupId')];
  const groupIds = asked.length > 0 ? asked : [network.securityGroupId];
  requireGroups(ask, groupIds);
  return {
    subnet: subnetOf(ask, subnetId),
    groupIds,
    privateIp: text(nic, 'PrivateIpAddress') ?? text(params, 'PrivateIpAddress'),
  };
}

/** Rights for everything that a launch touches but its volumes. Source: service authorization reference, RunInstances. */
function requireLaunch({ world, request, params }: Ask, image: Image, place: Place, type: string): void {
  const { caller, awsRegion } = request;
  const arn = (rest: string) => `arn:${partitionOf(awsRegion)}:ec2:${awsRegion}:${caller.accountId}:${rest}`;
  const vpc = { 'ec2:Vpc': arn(`vpc/${networkOf(caller.accountId, awsRegion).vpcId}`) };
  const ask = (resource: string, context: Record<string, string | string[]> = {}, action = 'ec2:RunInstances') =>
    world.require(request, { action, resource, context });
  ask(imageArn(awsRegion, image.id), {
    ...resourceTagKeys(image.tags),
    'ec2:Owner': image.ownerAlias ?? image.accountId,
    'ec2:Public': String(image.isPublic),
    'ec2:ImageType': 'machine',
  });
  const tagged: [string, Tags, Record<string, string>][] = [
    ['instance/*', tagsFor(params, 'instance'), { 'ec2:InstanceType': type }],
    ['network-interface/*', tagsFor(params, 'network-interface'), vpc],
  ];
  for (const [rest, tags, keys] of tagged) {
    ask(arn(rest), { ...requestTagKeys(tags), ...keys });
    if (Object.keys(tags).length > 0)
      ask(arn(rest), { ...requestTagKeys(tags), 'ec2:CreateAction': 'RunInstances' }, 'ec2:CreateTags');
  }
  ask(arn(`subnet/${place.subnet.subnetId}`), vpc);
  for (const groupId of place.groupIds) ask(arn(`security-group/${groupId}`), vpc);
  const keyName = text(params, 'KeyName');
  if (keyName !== undefined) ask(arnOf('key-pair', awsRegion, caller.accountId, keyName));
  const profile = profileOf(params, caller.accountId);
  if (profile !== null) {
    const resource = profile.replace(':instance-profile/', ':role/');
    ask(resource, { 'iam:PassedToService': 'ec2.amazonaws.com' }, 'iam:PassRole');
  }
}

function profileOf(params: Params, accountId: string): string | null {
  const profile = nested(params, 'IamInstanceProfile');
  const name = text(profile, 'Name');
  return text(profile, 'Arn') ?? (name === undefined ? null : `arn:aws:iam::${accountId}:instance-profile/${name}`);
}

/** What does not fit together, whoever asks. */
function checkLaunch(ask: Ask, image: Image, type: string): void {
  const { params } = ask;
  const { architecture } = instanceType(type);
  if (image.architecture !== architecture)
    throw ec2Error(
      'InvalidParameterValue',
      `The architecture '${architecture}' of the specified instance type does not match the architecture '${image.architecture}' of the specified AMI.`,
    );
  if (image.virtualizationType !== 'hvm')
    throw ec2Error('InvalidParameterCombination', `Non-HVM images cannot be launched as ${type}.`);
  const keyName = text(params, 'KeyName');
  if (keyName !== undefined) keyPairOf(ask, keyName);
  const userData = text(params, 'UserData') ?? '';
  if (Buffer.from(userData, 'base64').length > USER_DATA_BYTES_MAX)
    throw ec2Error('InvalidParameterValue', 'User data is limited to 16384 bytes');
}

/** Running vCPUs of the account in the region. Source: EC2 API reference, error codes: VcpuLimitExceeded. */
function checkVcpus({ world, request }: Ask, type: string, count: number): void {
  const { vcpus: limit } = world.settings.limitsOf(request.caller.accountId);
  const running = own(world.instances.values(), request).filter(
    ({ state }) => state === 'pending' || state === 'running',
  );
  const inUse = running.reduce((sum, instance) => sum + instanceType(instance.instanceType).vcpus, 0);
  if (inUse + count * instanceType(type).vcpus > limit)
    throw ec2Error(
      'VcpuLimitExceeded',
      `You have requested more vCPU capacity than your current vCPU limit of ${limit} allows.`,
    );
}

function countOf({ params }: Ask): number {
  const [min, max] = [integer(params, 'MinCount') ?? 1, integer(params, 'MaxCount') ?? 1];
  if (Number.isInteger(max) && max >= 1 && max <= 20 && min >= 1 && min <= max) return max;
  throw ec2Error('InvalidParameterValue', `Invalid value '${max}' for MaxCount.`);
}

const fingerprint = (params: Params) => createHash('sha256').update(JSON.stringify(params)).digest('base64');

/** The launch that an earlier request with this client token made; the token of another request is refused. */
function replayed({ world, request, params }: Ask, tokenId: string): Instance[] | null {
  const known = world.clientTokens.get(tokenId);
  if (known === undefined) return null;
  if (world.clientTokens.get(`${tokenId}/request`) !== fingerprint(params))
    throw ec2Error(
      'IdempotentParameterMismatch',
      'Arguments on this idempotent request are inconsistent with arguments used in previous requests using the same client token.',
    );
  return known.split(',').flatMap((id) => {
    const instance = world.instances.get(id);
    return instance?.accountId === request.caller.accountId ? instance : [];
  });
}

function metadataOf(params: Params, image: Image): Instance['metadataOptions'] {
  const wanted = nested(params, 'MetadataOptions');
  return {
    httpTokens: text(wanted, 'HttpTokens') ?? (image.imdsSupport === 'v2.0' ? 'required' : 'optional'),
    httpPutResponseHopLimit: integer(wanted, 'HttpPutResponseHopLimit') ?? (image.imdsSupport === 'v2.0' ? 2 : 1),
    httpEndpoint: text(wanted, 'HttpEndpoint') ?? 'enabled',
  };
}

/** One instance of a launch whose rights and rules have been checked. */
function start(ask: Ask, image: Image, place: Place, devices: (Device & { make: () => { id: string } })[]): Instance {
  const { world, request, params } = ask;
  const { accountId } = request.caller;
  const now = world.clock.now();
  const attachedAt = now.toISOString();
  return {
    id: awsId('i'),
    accountId,
    awsRegion: request.awsRegion,
    tags: tagsFor(params, 'instance'),
    imageId: image.id,
    instanceType: text(params, 'InstanceType') ?? 'm1.small',
    state: 'pending',
    transition: { to: 'running', at: new Date(now.getTime() + STARTS_AFTER_MS).toISOString() },
    availabilityZone: place.subnet.zone,
    vpcId: networkOf(accountId, request.awsRegion).vpcId,
    subnetId: place.subnet.subnetId,
    privateIp: takeAddress(ask, place.subnet, place.privateIp),
    keyName: text(params, 'KeyName') ?? null,
    securityGroupIds: place.groupIds,
    rootDeviceName: image.rootDeviceName,
    attachments: devices.map(({ deviceName, deleteOnTermination, make }) => ({
      deviceName,
      deleteOnTermination,
      attachedAt,
      volumeId: make().id,
    })),
    launchedAt: attachedAt,
    networkInterfaceId: awsId('eni'),
    networkInterfaceTags: tagsFor(params, 'network-interface'),
    architecture: image.architecture,
    bootMode: image.bootMode,
    billing: image.billing,
    userData: text(params, 'UserData') ?? '',
    metadataOptions: metadataOf(params, image),
    instanceProfileArn: profileOf(params, accountId),
    ebsOptimized: bool(params, 'EbsOptimized') ?? false,
  };
}

const runInstances: Operation = (ask) => {
  const { world, request, params } = ask;
  const image = imageOf(ask, required(params, 'ImageId'));
  const type = text(params, 'InstanceType') ?? 'm1.small';
  const place = placeOf(ask);
  const count = countOf(ask);
  requireLaunch(ask, image, place, type);
  checkLaunch(ask, image, type);
  const devices = devicesOf(ask, image, place.subnet.zone);
  const launches = Array.from({ length: count }, () =>
    devices.map((device) => ({ ...device, make: planVolume(ask, 'RunInstances', device.spec) })),
  );
  const token = text(params, 'ClientToken');
  const tokenId = `RunInstances/${request.caller.accountId}/${request.awsRegion}/${token}`;
  const known = token === undefined ? null : replayed(ask, tokenId);
  if (known && !bool(params, 'DryRun')) return { reservationId: awsId('r'), ...instancesXml(known) };
  if (freeAddresses(ask, place.subnet) < count || (place.privateIp !== undefined && count > 1))
    throw ec2Error('InsufficientFreeAddressesInSubnet', `Not enough free addresses: ${place.subnet.subnetId}`);
  if (place.privateIp !== undefined) takeAddress(ask, place.subnet, place.privateIp);
  checkVcpus(ask, type, count);
  endDryRun(ask);
  const launched = launches.map((plan) => {
    const instance = start(ask, image, place, plan);
    world.instances.set(instance.id, instance);
    return instance;
  });
  if (token !== undefined) {
    world.clientTokens.set(tokenId, launched.map(({ id }) => id).join());
    world.clientTokens.set(`${tokenId}/request`, fingerprint(params));
  }
  world.changed();
  return { reservationId: awsId('r'), ownerId: request.caller.accountId, groupSet: '', ...instancesXml(launched) };
};

export const LAUNCH_OPERATIONS: Record<string, Operation> = { RunInstances: runInstances };
