import type { Xml } from '../wire/xml.ts';
import { bool, nested, text, textList } from '../wire/query.ts';
import { requireUnlocked } from './lock-state.ts';
import { requireSnapshotRoom } from './limits.ts';
import { findSnapshot, isVisible, settle } from './world-state.ts';
import {
  arnOf,
  awsId,
  type Billing,
  requestTagKeys,
  resourceTagKeys,
  type Snapshot,
  snapshotArn,
  type Tags,
  type Volume,
} from './model.ts';
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
  volumeOf,
} from './request.ts';

/** How long a snapshot of EC2's own takes to complete. */
const COMPLETES_AFTER_MS = 300;
const VOLUMES_MAX = 128;
const EXCLUDED_MAX = 40;

const snapshotXml = (snapshot: Snapshot): { [name: string]: Xml } => ({
  snapshotId: snapshot.id,
  volumeId: snapshot.volumeId,
  status: snapshot.state,
  statusMessage: snapshot.stateMessage,
  startTime: snapshot.startedAt,
  completionTime: snapshot.state === 'completed' ? snapshot.completesAt : null,
  progress: snapshot.state === 'completed' ? '100%' : '0%',
  ownerId: snapshot.accountId,
  volumeSize: snapshot.sizeGiB,
  description: snapshot.description,
  encrypted: snapshot.encrypted,
  kmsKeyId: snapshot.kmsKeyArn,
  storageTier: 'standard',
  tagSet: tagSet(snapshot.tags),
});

/** A volume whose key cannot be used gives a snapshot that fails, as AWS's does. */
function keyProblem({ world, request }: Ask, volume: Volume): string | null {
  if (volume.kmsKeyArn === null) return null;
  try {
    world.keys.require(request, volume.kmsKeyArn, [], `ec2.${request.awsRegion}.amazonaws.com`);
    return null;
  } catch (error) {
    return `Given key ID is not accessible. ${error instanceof Error ? error.message : ''}`.trim();
  }
}

/** What AWS bills for goes with a snapshot of the root volume it was launched with. */
function billingOf({ world }: Ask, volume: Volume): Billing | undefined {
  for (const { attachments, rootDeviceName, billing } of world.instances.values())
    if (attachments.some((one) => one.volumeId === volume.id && one.deviceName === rootDeviceName)) return billing;
  return undefined;
}

function take(
  ask: Ask,
  volume: Volume,
  options: { description: string; tags: Tags; startedAt: Date; problem: string | null },
): Snapshot {
  const { world, request } = ask;
  const snapshot: Snapshot = {
    id: awsId('snap'),
    accountId: request.caller.accountId,
    awsRegion: request.awsRegion,
    tags: options.tags,
    volumeId: volume.id,
    sizeGiB: volume.sizeGiB,
    state: options.problem === null ? 'pending' : 'error',
    stateMessage: options.problem,
    description: options.description,
    encrypted: volume.encrypted,
    kmsKeyArn: volume.kmsKeyArn,
    lineage: volume.lineage,
    startedAt: options.startedAt.toISOString(),
    completesAt: new Date(
      options.startedAt.getTime() + (world.settings.values().snapshotCompletesAfterMs ?? COMPLETES_AFTER_MS),
    ).toISOString(),
    written: null,
    billing: billingOf(ask, volume),
    blocks: world.blocks.share(volume.blocks),
  };
  world.snapshots.set(snapshot.id, snapshot);
  world.changed();
  return snapshot;
}

/** New snapshots, and their tags, must both be allowed. Source: service authorization reference for EC2. */
function requireNewSnapshots({ world, request }: Ask, action: 'CreateSnapshot' | 'CreateSnapshots', tags: Tags): void {
  const resource = snapshotArn(request.awsRegion, '*');
  world.require(request, { action: `ec2:${action}`, resource, context: requestTagKeys(tags) });
  if (Object.keys(tags).length === 0) return;
  world.require(request, {
    action: 'ec2:CreateTags',
    resource,
    context: { ...requestTagKeys(tags), 'ec2:CreateAction': action },
  });
}

function requireSource({ world, request }: Ask, action: string, volume: Volume): void {
  world.require(request, {
    action: `ec2:${action}`,
    resource: arnOf('volume', volume.awsRegion, volume.accountId, volume.id),
    context: { ...resourceTagKeys(volume.tags), 'ec2:Encrypted': String(volume.encrypted), 'ec2:VolumeID': volume.id },
  });
}

const createSnapshot: Operation = (ask) => {
  const volume = volumeOf(ask, required(ask.params, 'VolumeId'));
  const tags = tagsFor(ask.params, 'snapshot');
  requireSource(ask, 'CreateSnapshot', volume);
  requireNewSnapshots(ask, 'CreateSnapshot', tags);
  endDryRun(ask);
  requireSnapshotRoom(ask, [volume]);
  const startedAt = ask.world.clock.now();
  return snapshotXml(
    take(ask, volume, {
      description: text(ask.params, 'Description') ?? '',
      tags,
      startedAt,
      problem: keyProblem(ask, volume),
    }),
  );
};

/** Every volume of an instance at one instant, all or none. */
const createSnapshots: Operation = (ask) => {
  const { world, request, params } = ask;
  const spec = nested(params, 'InstanceSpecification');
  const instance = instanceOf(ask, required(spec, 'InstanceId'));
  world.require(request, {
    action: 'ec2:CreateSnapshots',
    resource: arnOf('instance', instance.awsRegion, instance.accountId, instance.id),
    context: { ...resourceTagKeys(instance.tags), 'ec2:InstanceType': instance.instanceType },
  });
  if (instance.state === 'terminated' || instance.state === 'shutting-down')
    throw ec2Error(
      'IncorrectInstanceState',
      `The instance '${instance.id}' is not in a valid state for this operation.`,
    );
  const excluded = textList(spec, 'ExcludeDataVolumeId');
  if (excluded.length > EXCLUDED_MAX)
    throw ec2Error('InvalidParameterValue', `At most ${EXCLUDED_MAX} volumes can be excluded.`);
  const root = instance.attachments.find((attachment) => attachment.deviceName === instance.rootDeviceName);
  if (root && excluded.includes(root.volumeId))
    throw ec2Error('InvalidParameterValue', 'The root volume cannot be excluded by ExcludeDataVolumeIds.');
  const chosen = instance.attachments
    .filter(
      (attachment) =>
        !excluded.includes(attachment.volumeId) && !(bool(spec, 'ExcludeBootVolume') && attachment === root),
    )
    .map((attachment) => volumeOf(ask, attachment.volumeId));
  if (chosen.length === 0 || chosen.length > VOLUMES_MAX)
    throw ec2Error('InvalidParameterValue', `An instance must have 1 to ${VOLUMES_MAX} volumes to snapshot.`);
  const tags = tagsFor(params, 'snapshot');
  for (const volume of chosen) requireSource(ask, 'CreateSnapshots', volume);
  requireNewSnapshots(ask, 'CreateSnapshots', tags);
  endDryRun(ask);
  requireSnapshotRoom(ask, chosen);
  const startedAt = world.clock.now();
  const problem = chosen.map((volume) => keyProblem(ask, volume)).find((found) => found !== null) ?? null;
  const description = text(params, 'Description') ?? '';
  const made = chosen.map((volume) => take(ask, volume, { description, tags: { ...tags }, startedAt, problem }));
  return {
    snapshotSet: {
      item: made.map((snapshot) => ({
        description: snapshot.description,
        tagSet: tagSet(snapshot.tags),
        encrypted: snapshot.encrypted,
        volumeId: snapshot.volumeId,
        state: snapshot.state,
        volumeSize: snapshot.sizeGiB,
        startTime: snapshot.startedAt,
        progress: '0%',
        ownerId: snapshot.accountId,
        snapshotId: snapshot.id,
      })),
    },
  };
};

const describeSnapshots: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeSnapshots', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'SnapshotId');
  if (ids.length > 0 && text(params, 'MaxResults') !== undefined)
    throw ec2Error(
      'InvalidParameterCombination',
      'The parameter SnapshotIds cannot be used with the parameter MaxResults',
    );
  const found =
    ids.length > 0
      ? ids.map((id) => snapshotOf(ask, id))
      : own(world.snapshots.values(), request)
          .filter((snapshot) => isVisible(world, snapshot))
          .map((snapshot) => settle(world, snapshot));
  const owners = textList(params, 'Owner');
  const ownerMatches = (accountId: string) =>
    owners.length === 0 || owners.includes('self') || owners.includes(accountId);
  const matches = filtersOf(params);
  const hits = found.filter(
    (snapshot) =>
      ownerMatches(snapshot.accountId) &&
      matches({
        id: snapshot.id,
        tags: snapshot.tags,
        fields: {
          'snapshot-id': snapshot.id,
          'volume-id': snapshot.volumeId,
          status: snapshot.state,
          'owner-id': snapshot.accountId,
          'volume-size': String(snapshot.sizeGiB),
          encrypted: String(snapshot.encrypted),
          description: snapshot.description,
        },
      }),
  );
  const { page, nextToken } = paged(params, hits);
  return { snapshotSet: { item: page.map(snapshotXml) }, nextToken };
};

export function snapshotOf({ world, request }: Ask, id: string): Snapshot {
  const snapshot = findSnapshot(world, request, id);
  if (!snapshot) throw ec2Error('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
  return snapshot;
}

const deleteSnapshot: Operation = (ask) => {
  const { world, request, params } = ask;
  const id = required(params, 'SnapshotId');
  const snapshot = findSnapshot(world, request, id);
  const context = snapshot ? { ...resourceTagKeys(snapshot.tags), 'ec2:VolumeSize': String(snapshot.sizeGiB) } : {};
  world.require(request, { action: 'ec2:DeleteSnapshot', resource: snapshotArn(request.awsRegion, id), context });
  requireUnlocked(world, snapshotOf(ask, id));
  const user = [...world.images.values()].find(({ devices }) => devices.some((device) => device.snapshotId === id));
  if (user) throw ec2Error('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${user.id}`);
  endDryRun(ask);
  if (snapshot) {
    world.blocks.releaseAll(snapshot.blocks);
    world.snapshots.delete(id);
    world.changed();
  }
  return { return: true };
};

export const SNAPSHOT_OPERATIONS: Record<string, Operation> = {
  CreateSnapshot: createSnapshot,
  CreateSnapshots: createSnapshots,
  DescribeSnapshots: describeSnapshots,
  DeleteSnapshot: deleteSnapshot,
};
