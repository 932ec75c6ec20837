import { textList } from '../wire/query.ts';
import type { Xml } from '../wire/xml.ts';
import { arnOf, type Instance, type InstanceState, resourceTagKeys } from './model.ts';
import {
  type Ask,
  ec2Error,
  endDryRun,
  filtersOf,
  instanceOf,
  KEY_ACTIONS,
  type Operation,
  own,
  paged,
  tagSet,
} from './request.ts';
import { settleInstance } from './world-state.ts';

/** How long an instance takes from one state to the next. */
const CHANGES_AFTER_MS = 300;

const STATE_CODES: Record<InstanceState, number> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};
const stateXml = (state: InstanceState) => ({ code: STATE_CODES[state], name: state });

function networkInterfaceXml(instance: Instance): { [name: string]: Xml } {
  return {
    networkInterfaceId: instance.networkInterfaceId,
    subnetId: instance.subnetId,
    vpcId: instance.vpcId,
    ownerId: instance.accountId,
    status: 'in-use',
    privateIpAddress: instance.privateIp,
    attachment: { deviceIndex: 0, status: 'attached', deleteOnTermination: true },
    groupSet: { item: instance.securityGroupIds.map((groupId) => ({ groupId, groupName: 'default' })) },
  };
}

function instanceXml(instance: Instance): { [name: string]: Xml } {
  const gone = instance.state === 'terminated';
  const { httpTokens, httpPutResponseHopLimit, httpEndpoint } = instance.metadataOptions;
  const { platformDetails, productCodes } = instance.billing;
  return {
    instanceId: instance.id,
    imageId: instance.imageId,
    instanceState: stateXml(instance.state),
    privateDnsName: '',
    dnsName: '',
    keyName: instance.keyName,
    amiLaunchIndex: 0,
    productCodes: { item: productCodes.map((productCode) => ({ productCode, type: 'marketplace' })) },
    instanceType: instance.instanceType,
    launchTime: instance.launchedAt,
    placement: { availabilityZone: instance.availabilityZone, groupName: '', tenancy: 'default' },
    monitoring: { state: 'disabled' },
    subnetId: gone ? null : instance.subnetId,
    vpcId: gone ? null : instance.vpcId,
    privateIpAddress: gone ? null : instance.privateIp,
    groupSet: { item: instance.securityGroupIds.map((groupId) => ({ groupId, groupName: 'default' })) },
    architecture: instance.architecture,
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
    ebsOptimized: instance.ebsOptimized,
    platform: platformDetails.startsWith('Windows') ? 'windows' : null,
    platformDetails,
    bootMode: instance.bootMode,
    currentInstanceBootMode: instance.bootMode === 'legacy-bios' ? 'legacy-bios' : 'uefi',
    iamInstanceProfile: instance.instanceProfileArn === null ? null : { arn: instance.instanceProfileArn },
    networkInterfaceSet: { item: gone ? [] : [networkInterfaceXml(instance)] },
    metadataOptions: { state: 'applied', httpTokens, httpPutResponseHopLimit, httpEndpoint },
  };
}

/** The instances of a reservation, as RunInstances and DescribeInstances write them. */
export const instancesXml = (instances: readonly Instance[]) => ({
  instancesSet: { item: instances.map(instanceXml) },
});

const describeInstances: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeInstances', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'InstanceId');
  const matches = filtersOf(params);
  const all = own(world.instances.values(), request).map((instance) => settleInstance(world, instance));
  const hits = (ids.length > 0 ? ids.map((id) => instanceOf(ask, id)) : all).filter((instance) =>
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
        'private-ip-address': instance.privateIp,
        'key-name': instance.keyName,
        'block-device-mapping.volume-id': instance.attachments.map((attachment) => attachment.volumeId),
      },
    }),
  );
  const { page, nextToken } = paged(params, hits);
  const item = page.map((instance) => ({
    reservationId: `r-${instance.id.slice(2)}`,
    ownerId: instance.accountId,
    groupSet: '',
    ...instancesXml([instance]),
  }));
  return { reservationSet: { item }, nextToken };
};

type Change = { action: string; from: readonly InstanceState[]; via: InstanceState; to: InstanceState };

/** A change of state: at once to the state in between, and a moment later to the one that was asked for. */
function changeState({ action, from, via, to }: Change): Operation {
  return (ask) => {
    const { world, request, params } = ask;
    const chosen = textList(params, 'InstanceId').map((id) => instanceOf(ask, id));
    for (const instance of chosen) {
      const resource = arnOf('instance', instance.awsRegion, instance.accountId, instance.id);
      world.require(request, { action: `ec2:${action}`, resource, context: resourceTagKeys(instance.tags) });
    }
    for (const { id, state } of chosen) {
      if (state === to || state === via || from.includes(state)) continue;
      const message = `The instance '${id}' is not in a state from which it can be ${to}.`;
      throw ec2Error('IncorrectInstanceState', message);
    }
    if (action === 'StartInstances') for (const instance of chosen) requireKeys(ask, instance);
    endDryRun(ask);
    const at = new Date(world.clock.now().getTime() + CHANGES_AFTER_MS).toISOString();
    const item = chosen.map((instance) => {
      const before = instance.state;
      if (before !== to) {
        instance.state = via;
        instance.transition = { to, at };
      }
      if (action === 'TerminateInstances') terminate(ask, instance);
      return { instanceId: instance.id, currentState: stateXml(instance.state), previousState: stateXml(before) };
    });
    world.changed();
    return { instancesSet: { item } };
  };
}

/** An instance cannot start while a key of its volumes cannot be used. Source: EBS guide, "Required permissions". */
function requireKeys({ world, request }: Ask, instance: Instance): void {
  for (const { volumeId } of instance.attachments) {
    const keyArn = world.volumes.get(volumeId)?.kmsKeyArn ?? null;
    if (keyArn !== null) world.keys.require(request, keyArn, KEY_ACTIONS, `ec2.${request.awsRegion}.amazonaws.com`);
  }
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
  DescribeInstances: describeInstances,
  TerminateInstances: changeState({
    action: 'TerminateInstances',
    from: ['pending', 'running', 'stopping', 'stopped'],
    via: 'shutting-down',
    to: 'terminated',
  }),
  StopInstances: changeState({ action: 'StopInstances', from: ['pending', 'running'], via: 'stopping', to: 'stopped' }),
  StartInstances: changeState({ action: 'StartInstances', from: ['stopped'], via: 'pending', to: 'running' }),
};
