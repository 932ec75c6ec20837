import type { Xml } from '../wire/xml.ts';
import { bool, integer, nested, nestedList, type Params, text, textList } from '../wire/query.ts';
import { arnOf, awsId, type Instance, networkOf, partitionOf, requestTagKeys, resourceTagKeys } from './model.ts';
import {
  type Ask,
  ec2Error,
  endDryRun,
  filtersOf,
  instanceOf,
  type Operation,
  own,
  paged,
  required,
  tagsFor,
  tagSet,
} from './request.ts';
import { snapshotOf } from './snapshots.ts';
import { planVolume, type VolumeSpec } from './volumes.ts';

const STATE_CODES: Record<Instance['state'], number> = { running: 16, stopped: 80, terminated: 48 };
const stateXml = (state: Instance['state']) => ({ code: STATE_CODES[state], name: state });

function instanceXml(instance: Instance): { [name: string]: Xml } {
  return {
    instanceId: instance.id,
    imageId: instance.imageId,
    instanceState: stateXml(instance.state),
    privateDnsName: '',
    dnsName: '',
    keyName: instance.keyName,
    amiLaunchIndex: 0,
    instanceType: instance.instanceType,
    launchTime: instance.launchedAt,
    placement: { availabilityZone: instance.availabilityZone, groupName: '', tenancy: 'default' },
    monitoring: { state: 'disabled' },
    subnetId: instance.state === 'terminated' ? null : instance.subnetId,
    vpcId: instance.state === 'terminated' ? null : instance.vpcId,
    privateIpAddress: instance.privateIp,
    groupSet: { item: instance.securityGroupIds.map((groupId) => ({ groupId, groupName: 'default' })) },
    architecture: 'x86_64',
    rootDeviceType: 'ebs',
    rootDeviceName: instance.rootDeviceName,
    blockDeviceMapping: {
      item: instance.attachments.map(({ deviceName, volumeId, deleteOnTermination, attachedAt }) => ({
        deviceName,
        ebs: { volumeId, status: 'attached', attachTime: attachedAt, deleteOnTermination },
      })),
    },
    virtualizationType: 'hvm',
    tagSet: tagSet(instance.tags),
    hypervisor: 'xen',
    enaSupport: true,
    bootMode: 'uefi-preferred',
    currentInstanceBootMode: 'uefi',
    platformDetails: 'Linux/UNIX',
    metadataOptions: { state: 'applied', httpTokens: 'required', httpPutResponseHopLimit: 2, httpEndpoint: 'enabled' },
  };
}

function deviceSpecs(ask: Ask, zone: string): { deviceName: string; deleteOnTermination: boolean; spec: VolumeSpec }[] {
  const mappings = nestedList(ask.params, 'BlockDeviceMapping').filter((mapping) => mapping['Ebs'] !== undefined);
  const devices =
    mappings.length > 0 ? mappings : [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: '8' } } satisfies Params];
  return devices.map((mapping) => {
    const ebs = nested(mapping, 'Ebs');
    const snapshotId = text(ebs, 'SnapshotId');
    return {
      deviceName: text(mapping, 'DeviceName') ?? '/dev/xvda',
      deleteOnTermination: bool(ebs, 'DeleteOnTermination') ?? true,
      spec: {
        sizeGiB: integer(ebs, 'VolumeSize'),
        snapshot: snapshotId === undefined ? null : snapshotOf(ask, snapshotId),
        availabilityZone: zone,
        encrypted: bool(ebs, 'Encrypted'),
        kmsKeyId: text(ebs, 'KmsKeyId'),
        volumeType: text(ebs, 'VolumeType') ?? 'gp3',
        iops: integer(ebs, 'Iops'),
        throughput: integer(ebs, 'Throughput'),
        tags: tagsFor(ask.params, 'volume'),
      },
    };
  });
}

/** Rights for everything a launch touches. Source: service authorization reference, RunInstances. */
function requireLaunch({ world, request, params }: Ask, subnetId: string): void {
  const { caller, awsRegion } = request;
  const { vpcId, securityGroupId } = networkOf(caller.accountId, awsRegion);
  const arn = (rest: string, accountId = caller.accountId) =>
    `arn:${partitionOf(awsRegion)}:ec2:${awsRegion}:${accountId}:${rest}`;
  const vpc = { 'ec2:Vpc': arn(`vpc/${vpcId}`) };
  const ask = (resource: string, context: Record<string, string | string[]> = {}) =>
    world.require(request, { action: 'ec2:RunInstances', resource, context });
  const tags = tagsFor(params, 'instance');
  ask(arn(`image/${required(params, 'ImageId')}`, ''));
  ask(arn('instance/*'), requestTagKeys(tags));
  ask(arn(`subnet/${subnetId}`), vpc);
  ask(arn(`security-group/${securityGroupId}`), vpc);
  ask(arn('network-interface/*'), vpc);
  if (Object.keys(tags).length > 0) {
    world.require(request, {
      action: 'ec2:CreateTags',
      resource: arn('instance/*'),
      context: { ...requestTagKeys(tags), 'ec2:CreateAction': 'RunInstances' },
    });
  }
}

const runInstances: Operation = (ask) => {
  const { world, request, params } = ask;
  const { caller, awsRegion } = request;
  const network = networkOf(caller.accountId, awsRegion);
  const subnetId = text(params, 'SubnetId') ?? network.subnets[0]?.subnetId;
  const subnet = network.subnets.find((candidate) => candidate.subnetId === subnetId);
  if (!subnet) throw ec2Error('InvalidSubnetID.NotFound', `The subnet ID '${subnetId}' does not exist`);
  const count = integer(params, 'MaxCount') ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > 20)
    throw ec2Error('InvalidParameterValue', `Invalid value '${count}' for MaxCount.`);
  requireLaunch(ask, subnet.subnetId);
  const devices = deviceSpecs(ask, subnet.zone);
  const launchedAt = world.clock.now().toISOString();
  const launches = Array.from({ length: count }, () =>
    devices.map((device) => ({ ...device, make: planVolume(ask, 'RunInstances', device.spec) })),
  );
  endDryRun(ask);
  const launched = launches.map((plan): Instance => {
    const instance: Instance = {
      id: awsId('i'),
      accountId: caller.accountId,
      awsRegion,
      tags: tagsFor(params, 'instance'),
      imageId: required(params, 'ImageId'),
      instanceType: text(params, 'InstanceType') ?? 'm1.small',
      state: 'running',
      availabilityZone: subnet.zone,
      vpcId: network.vpcId,
      subnetId: subnet.subnetId,
      privateIp: `172.31.0.${10 + (world.instances.size % 200)}`,
      keyName: text(params, 'KeyName') ?? null,
      securityGroupIds: [network.securityGroupId],
      rootDeviceName: plan[0]?.deviceName ?? '/dev/xvda',
      attachments: plan.map(({ deviceName, deleteOnTermination, make }) => ({
        deviceName,
        deleteOnTermination,
        attachedAt: launchedAt,
        volumeId: make().id,
      })),
      launchedAt,
    };
    world.instances.set(instance.id, instance);
    return instance;
  });
  world.changed();
  return {
    reservationId: awsId('r'),
    ownerId: caller.accountId,
    groupSet: '',
    instancesSet: { item: launched.map(instanceXml) },
  };
};

const describeInstances: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeInstances', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'InstanceId');
  const matches = filtersOf(params);
  const hits = (ids.length > 0 ? ids.map((id) => instanceOf(ask, id)) : own(world.instances.values(), request)).filter(
    (instance) =>
      matches({
        id: instance.id,
        tags: instance.tags,
        fields: {
          'instance-id': instance.id,
          'vpc-id': instance.state === 'terminated' ? null : instance.vpcId,
          'subnet-id': instance.subnetId,
          'instance-state-name': instance.state,
          'instance-state-code': String(STATE_CODES[instance.state]),
          'availability-zone': instance.availabilityZone,
          'instance-type': instance.instanceType,
          'image-id': instance.imageId,
          'block-device-mapping.volume-id': instance.attachments.map((attachment) => attachment.volumeId),
        },
      }),
  );
  const { page, nextToken } = paged(params, hits);
  const item = page.map((instance) => ({
    reservationId: `r-${instance.id.slice(2)}`,
    ownerId: instance.accountId,
    groupSet: '',
    instancesSet: { item: instanceXml(instance) },
  }));
  return { reservationSet: { item }, nextToken };
};

function changeState(action: string, to: Instance['state']): Operation {
  return (ask) => {
    const { world, request, params } = ask;
    const chosen = textList(params, 'InstanceId').map((id) => instanceOf(ask, id));
    for (const instance of chosen) {
      const resource = arnOf('instance', instance.awsRegion, instance.accountId, instance.id);
      world.require(request, { action: `ec2:${action}`, resource, context: resourceTagKeys(instance.tags) });
    }
    endDryRun(ask);
    const item = chosen.map((instance) => {
      const before = instance.state;
      if (before === 'terminated' && to !== 'terminated')
        throw ec2Error(
          'IncorrectInstanceState',
          `The instance '${instance.id}' is not in a state from which it can be changed.`,
        );
      instance.state = to;
      if (to === 'terminated') terminate(ask, instance);
      return { instanceId: instance.id, currentState: stateXml(to), previousState: stateXml(before) };
    });
    world.changed();
    return { instancesSet: { item } };
  };
}

function terminate({ world }: Ask, instance: Instance): void {
  for (const { volumeId, deleteOnTermination } of instance.attachments) {
    const volume = world.volumes.get(volumeId);
    if (!volume || !deleteOnTermination) continue;
    world.blocks.releaseAll(volume.blocks);
    world.volumes.delete(volumeId);
  }
  instance.attachments = [];
}

export const INSTANCE_OPERATIONS: Record<string, Operation> = {
  RunInstances: runInstances,
  DescribeInstances: describeInstances,
  TerminateInstances: changeState('TerminateInstances', 'terminated'),
  StopInstances: changeState('StopInstances', 'stopped'),
  StartInstances: changeState('StartInstances', 'running'),
};
