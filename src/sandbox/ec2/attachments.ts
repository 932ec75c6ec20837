import { createHash } from 'node:crypto';
import { bool, text, textList } from '../wire/query.ts';
import type { Xml } from '../wire/xml.ts';
import { imageOf } from './images.ts';
import { arnOf, awsId, type Instance, resourceTagKeys, type RootTask, snapshotArn, type Volume } from './model.ts';
import {
  type Ask,
  ec2Error,
  endDryRun,
  instanceOf,
  KEY_ACTIONS,
  type Operation,
  own,
  required,
  tagsFor,
  tagSet,
  volumeOf,
} from './request.ts';
import { snapshotOf } from './snapshots.ts';
import { attachmentOf, planVolume, requireOn } from './volumes.ts';

/** How long the replacement of a root volume takes. */
const REPLACED_AFTER_MS = 400;

function requireOnInstance({ world, request }: Ask, action: string, instance: Instance): void {
  const resource = arnOf('instance', instance.awsRegion, instance.accountId, instance.id);
  world.require(request, { action: `ec2:${action}`, resource, context: resourceTagKeys(instance.tags) });
}

/** Attaching opens the volume's key for the instance. Source: EBS guide, "Required permissions". */
function requireKey({ world, request }: Ask, volume: Volume): void {
  if (volume.kmsKeyArn !== null)
    world.keys.require(request, volume.kmsKeyArn, KEY_ACTIONS, `ec2.${request.awsRegion}.amazonaws.com`);
}

function requireSameZone(volume: Volume, instance: Instance): void {
  if (volume.availabilityZone === instance.availabilityZone) return;
  throw ec2Error(
    'InvalidVolume.ZoneMismatch',
    `The volume '${volume.id}' is not in the same availability zone as instance '${instance.id}'`,
  );
}

const attachVolume: Operation = (ask) => {
  const { world, params } = ask;
  const volume = volumeOf(ask, required(params, 'VolumeId'));
  const instance = instanceOf(ask, required(params, 'InstanceId'));
  const deviceName = required(params, 'Device');
  requireOn(ask, 'AttachVolume', volume);
  requireOnInstance(ask, 'AttachVolume', instance);
  requireKey(ask, volume);
  endDryRun(ask);
  if (attachmentOf(ask, volume.id)) throw ec2Error('VolumeInUse', `${volume.id} is already attached to an instance`);
  if (instance.state !== 'running' && instance.state !== 'stopped')
    throw ec2Error('IncorrectState', `Instance '${instance.id}' is not 'running'.`);
  requireSameZone(volume, instance);
  if (instance.attachments.some((other) => other.deviceName === deviceName))
    throw ec2Error(
      'InvalidParameterValue',
      `Invalid value '${deviceName}' for unixDevice. Attachment point ${deviceName} is already in use`,
    );
  const attachedAt = world.clock.now().toISOString();
  instance.attachments.push({ deviceName, volumeId: volume.id, deleteOnTermination: false, attachedAt });
  world.changed();
  return {
    volumeId: volume.id,
    instanceId: instance.id,
    device: deviceName,
    status: 'attached',
    attachTime: attachedAt,
  };
};

const detachVolume: Operation = (ask) => {
  const volume = volumeOf(ask, required(ask.params, 'VolumeId'));
  const attached = attachmentOf(ask, volume.id);
  const instance = attached ? instanceOf(ask, attached.instanceId) : undefined;
  requireOn(ask, 'DetachVolume', volume);
  if (instance) requireOnInstance(ask, 'DetachVolume', instance);
  if (!attached || !instance) throw ec2Error('IncorrectState', `Volume '${volume.id}' is in the 'available' state.`);
  const { deviceName } = attached.attachment;
  const [named, device] = [text(ask.params, 'InstanceId'), text(ask.params, 'Device')];
  if ((named ?? instance.id) !== instance.id || (device ?? deviceName) !== deviceName)
    throw ec2Error('InvalidAttachment.NotFound', `The volume '${volume.id}' is not attached there.`);
  if (deviceName === instance.rootDeviceName && instance.state !== 'stopped')
    throw ec2Error(
      'OperationNotPermitted',
      `Unable to detach root volume '${volume.id}' from instance '${instance.id}'`,
    );
  endDryRun(ask);
  instance.attachments = instance.attachments.filter((other) => other.volumeId !== volume.id);
  ask.world.changed();
  return { volumeId: volume.id, instanceId: instance.id, device: deviceName, status: 'detached' };
};

/** The new root: a volume that is there, or one made from a snapshot of this very root volume, or from an image's. */
function replacement(ask: Ask, instance: Instance, root: Volume): () => Volume {
  const { params, request, world } = ask;
  const [volumeId, snapshotId, imageId] = ['VolumeId', 'SnapshotId', 'ImageId'].map((name) => text(params, name));
  if ([volumeId, snapshotId, imageId].filter((one) => one !== undefined).length > 1)
    throw ec2Error('InvalidParameterCombination', 'Only one of SnapshotId, ImageId and VolumeId can be given.');
  if (volumeId !== undefined) {
    const volume = volumeOf(ask, volumeId);
    requireOn(ask, 'CreateReplaceRootVolumeTask', volume);
    requireKey(ask, volume);
    if (attachmentOf(ask, volume.id)) throw ec2Error('VolumeInUse', `${volume.id} is already attached to an instance`);
    requireSameZone(volume, instance);
    if (root.encrypted && !volume.encrypted)
      throw ec2Error('InvalidParameterValue', 'The replacement root volume must be encrypted: the original one is.');
    return () => volume;
  }
  const fromImage = imageId === undefined ? undefined : imageOf(ask, imageId);
  const device = fromImage?.devices.find(({ deviceName }) => deviceName === fromImage.rootDeviceName);
  const chosen = snapshotId ?? device?.snapshotId ?? undefined;
  const snapshot = chosen === undefined ? null : snapshotOf(ask, chosen);
  if (snapshotId !== undefined && snapshot && snapshot.volumeId !== root.id)
    throw ec2Error(
      'InvalidParameterValue',
      `The snapshot ${snapshot.id} was not taken from the root volume ${root.id}.`,
    );
  if (snapshot) {
    const context = resourceTagKeys(snapshot.tags);
    const resource = snapshotArn(request.awsRegion, snapshot.id);
    world.require(request, { action: 'ec2:CreateReplaceRootVolumeTask', resource, context });
  }
  return planVolume(ask, 'CreateReplaceRootVolumeTask', {
    sizeGiB: snapshot?.sizeGiB ?? root.sizeGiB,
    snapshot,
    availabilityZone: instance.availabilityZone,
    encrypted: root.encrypted || undefined,
    kmsKeyId: undefined,
    volumeType: root.volumeType,
    iops: undefined,
    throughput: undefined,
    tags: {},
  });
}

function taskXml({ world }: Ask, task: RootTask): { [name: string]: Xml } {
  const done = world.clock.now().getTime() >= Date.parse(task.completesAt);
  return {
    replaceRootVolumeTaskId: task.id,
    instanceId: task.instanceId,
    taskState: done ? 'succeeded' : 'in-progress',
    startTime: task.startedAt,
    completeTime: done ? task.completesAt : null,
    tagSet: tagSet(task.tags),
  };
}

/** Source: EC2 API reference, CreateReplaceRootVolumeTask; user guide, "Replace the root volume". */
const createReplaceRootVolumeTask: Operation = (ask) => {
  const { world, request, params } = ask;
  const instance = instanceOf(ask, required(params, 'InstanceId'));
  requireOnInstance(ask, 'CreateReplaceRootVolumeTask', instance);
  const token = text(params, 'ClientToken');
  const hash = createHash('sha256').update(`${request.caller.accountId}/${token}`).digest('hex').slice(0, 17);
  const id = token === undefined ? awsId('replacevol') : `replacevol-${hash}`;
  const known = world.rootTasks.get(id);
  if (known) return { replaceRootVolumeTask: taskXml(ask, known) };
  if (instance.state !== 'running')
    throw ec2Error('IncorrectInstanceState', `The instance '${instance.id}' is not in the 'running' state.`);
  const attachment = instance.attachments.find(({ deviceName }) => deviceName === instance.rootDeviceName);
  if (!attachment) throw ec2Error('IncorrectInstanceState', `The instance '${instance.id}' has no root volume.`);
  const root = volumeOf(ask, attachment.volumeId);
  const make = replacement(ask, instance, root);
  endDryRun(ask);
  const now = world.clock.now();
  attachment.volumeId = make().id;
  if (bool(params, 'DeleteReplacedRootVolume')) {
    world.blocks.releaseAll(root.blocks);
    world.volumes.delete(root.id);
  }
  const task: RootTask = {
    id,
    accountId: request.caller.accountId,
    awsRegion: request.awsRegion,
    tags: tagsFor(params, 'replace-root-volume-task'),
    instanceId: instance.id,
    startedAt: now.toISOString(),
    completesAt: new Date(now.getTime() + REPLACED_AFTER_MS).toISOString(),
  };
  world.rootTasks.set(id, task);
  world.changed();
  return { replaceRootVolumeTask: taskXml(ask, task) };
};

const describeReplaceRootVolumeTasks: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeReplaceRootVolumeTasks', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'ReplaceRootVolumeTaskId');
  const found = own(world.rootTasks.values(), request).filter(({ id }) => ids.length === 0 || ids.includes(id));
  return { replaceRootVolumeTaskSet: { item: found.map((task) => taskXml(ask, task)) } };
};

export const ATTACHMENT_OPERATIONS: Record<string, Operation> = {
  AttachVolume: attachVolume,
  DetachVolume: detachVolume,
  CreateReplaceRootVolumeTask: createReplaceRootVolumeTask,
  DescribeReplaceRootVolumeTasks: describeReplaceRootVolumeTasks,
};
