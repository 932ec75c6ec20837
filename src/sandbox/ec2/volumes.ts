import { createHash } from 'node:crypto';
import type { Xml } from '../wire/xml.ts';
import { bool, integer, type Params, text, textList } from '../wire/query.ts';
import {
  arnOf,
  type Attachment,
  awsId,
  networkOf,
  requestTagKeys,
  resourceTagKeys,
  snapshotArn,
  type Snapshot,
  type Tags,
  type Volume,
} from './model.ts';
import {
  type Ask,
  ec2Error,
  endDryRun,
  filtersOf,
  KEY_ACTIONS,
  type Operation,
  own,
  paged,
  required,
  tagsFor,
  tagSet,
  volumeOf,
} from './request.ts';
import { snapshotOf } from './snapshots.ts';

const SIZE_GIB_MAX: Record<string, number> = {
  gp3: 65_536,
  io2: 65_536,
  gp2: 16_384,
  io1: 16_384,
  st1: 16_384,
  sc1: 16_384,
  standard: 1_024,
};
export function attachmentOf({ world }: Ask, volumeId: string): { instanceId: string; attachment: Attachment } | null {
  for (const instance of world.instances.values()) {
    const attachment = instance.attachments.find((candidate) => candidate.volumeId === volumeId);
    if (attachment && instance.state !== 'terminated') return { instanceId: instance.id, attachment };
  }
  return null;
}

function volumeXml(ask: Ask, volume: Volume): { [name: string]: Xml } {
  const attached = attachmentOf(ask, volume.id);
  return {
    volumeId: volume.id,
    size: volume.sizeGiB,
    snapshotId: volume.snapshotId ?? '',
    availabilityZone: volume.availabilityZone,
    status: attached ? 'in-use' : 'available',
    createTime: volume.createdAt,
    attachmentSet: attached
      ? {
          item: {
            volumeId: volume.id,
            instanceId: attached.instanceId,
            device: attached.attachment.deviceName,
            status: 'attached',
            attachTime: attached.attachment.attachedAt,
            deleteOnTermination: attached.attachment.deleteOnTermination,
          },
        }
      : '',
    tagSet: tagSet(volume.tags),
    volumeType: volume.volumeType,
    iops: volume.iops,
    throughput: volume.throughput,
    encrypted: volume.encrypted,
    kmsKeyId: volume.kmsKeyArn,
    multiAttachEnabled: false,
  };
}

/** IOPS that a type takes, and gp3's throughput in MiB/s. Source: EC2 API reference, CreateVolume. */
const IOPS: Record<string, [number, number]> = { gp3: [3_000, 80_000], io1: [100, 64_000], io2: [100, 256_000] };
const THROUGHPUT = [125, 2_000] as const;

function checkPerformance({ volumeType, iops, throughput }: VolumeSpec): void {
  const range = IOPS[volumeType];
  if (iops !== undefined && !range)
    throw ec2Error('InvalidParameterCombination', `The parameter iops is not supported for ${volumeType} volumes.`);
  if (range && iops !== undefined && (iops < range[0] || iops > range[1]))
    throw ec2Error('InvalidParameterValue', `Volume iops of ${iops} is out of range ${range[0]} to ${range[1]}.`);
  if (iops === undefined && (volumeType === 'io1' || volumeType === 'io2'))
    throw ec2Error('MissingParameter', `The request must contain the parameter iops for ${volumeType} volumes`);
  if (throughput !== undefined && volumeType !== 'gp3')
    throw ec2Error(
      'InvalidParameterCombination',
      `The parameter throughput is not supported for ${volumeType} volumes.`,
    );
  if (throughput !== undefined && (throughput < THROUGHPUT[0] || throughput > THROUGHPUT[1]))
    throw ec2Error('InvalidParameterValue', `Throughput of ${throughput} MiB/s is out of range.`);
}

export type VolumeSpec = {
  sizeGiB: number | undefined;
  snapshot: Snapshot | null;
  availabilityZone: string;
  encrypted: boolean | undefined;
  kmsKeyId: string | undefined;
  volumeType: string;
  iops: number | undefined;
  throughput: number | undefined;
  tags: Tags;
};

/** Encryption of a new volume: asked for, inherited from its snapshot, or by the account's default; never less than those. */
function encryptionOf({ world, request }: Ask, spec: VolumeSpec): string | null {
  const { snapshot, kmsKeyId } = spec;
  const byDefault = world.encryptionByDefault.has(`${request.caller.accountId}/${request.awsRegion}`);
  if (kmsKeyId !== undefined && spec.encrypted !== true)
    throw ec2Error('InvalidParameterDependency', 'The parameter KmsKeyId requires the parameter Encrypted to be set.');
  if (!(spec.encrypted === true || snapshot?.encrypted || byDefault)) return null;
  if (kmsKeyId !== undefined) return world.keys.arnOf(request, kmsKeyId);
  return snapshot?.kmsKeyArn ?? world.keys.defaultEbsKeyArn(request.caller.accountId, request.awsRegion);
}

function checkSpec(spec: VolumeSpec): number {
  checkPerformance(spec);
  const sizeGiB = spec.sizeGiB ?? spec.snapshot?.sizeGiB;
  const max = SIZE_GIB_MAX[spec.volumeType];
  if (max === undefined) throw ec2Error('InvalidParameterValue', `Invalid value '${spec.volumeType}' for VolumeType.`);
  if (sizeGiB === undefined)
    throw ec2Error('MissingParameter', 'The request must contain the parameter size or snapshotId');
  if (!Number.isInteger(sizeGiB) || sizeGiB < 1 || sizeGiB > max)
    throw ec2Error('InvalidParameterValue', `Volume of ${sizeGiB}GiB is invalid for ${spec.volumeType}.`);
  if (spec.snapshot && sizeGiB < spec.snapshot.sizeGiB) {
    throw ec2Error(
      'InvalidParameterValue',
      `Volume of size ${sizeGiB}GB is smaller than snapshot '${spec.snapshot.id}', expect size >= ${spec.snapshot.sizeGiB}GB`,
    );
  }
  if (spec.snapshot && spec.snapshot.state !== 'completed')
    throw ec2Error('IncorrectState', `Snapshot is in invalid state - ${spec.snapshot.state}`);
  return sizeGiB;
}

/** Checks rights and rules of a new volume; the returned function makes it. */
export function planVolume(
  ask: Ask,
  action: 'CreateVolume' | 'RunInstances' | 'CreateReplaceRootVolumeTask',
  spec: VolumeSpec,
): () => Volume {
  const { world, request } = ask;
  const { caller, awsRegion } = request;
  const kmsKeyArn = encryptionOf(ask, spec);
  const sizeGiB = checkSpec(spec);
  const context = {
    ...requestTagKeys(spec.tags),
    'ec2:Encrypted': String(kmsKeyArn !== null),
    'ec2:VolumeSize': String(sizeGiB),
    'ec2:VolumeType': spec.volumeType,
    ...(kmsKeyArn === null ? {} : { 'ec2:KmsKeyId': kmsKeyArn }),
    ...(spec.snapshot ? { 'ec2:ParentSnapshot': snapshotArn(awsRegion, spec.snapshot.id) } : {}),
  };
  const resource = arnOf('volume', awsRegion, caller.accountId, '*');
  world.require(request, { action: `ec2:${action}`, resource, context });
  if (spec.snapshot) {
    world.require(request, {
      action: `ec2:${action}`,
      resource: snapshotArn(awsRegion, spec.snapshot.id),
      context: resourceTagKeys(spec.snapshot.tags),
    });
  }
  if (Object.keys(spec.tags).length > 0) {
    world.require(request, {
      action: 'ec2:CreateTags',
      resource,
      context: { ...requestTagKeys(spec.tags), 'ec2:CreateAction': action },
    });
  }
  const viaService = `ec2.${awsRegion}.amazonaws.com`;
  if (kmsKeyArn !== null) world.keys.require(request, kmsKeyArn, KEY_ACTIONS, viaService);
  const sourceKeyArn = spec.snapshot?.kmsKeyArn ?? null;
  // Under another key the volume's data key is wrapped anew, which takes opening the snapshot's.
  if (sourceKeyArn !== null && sourceKeyArn !== kmsKeyArn)
    world.keys.require(request, sourceKeyArn, ['kms:Decrypt'], viaService);
  return () => {
    const id = awsId('vol');
    const volume: Volume = {
      id,
      accountId: caller.accountId,
      awsRegion,
      tags: { ...spec.tags },
      sizeGiB,
      availabilityZone: spec.availabilityZone,
      state: 'available',
      encrypted: kmsKeyArn !== null,
      kmsKeyArn,
      volumeType: spec.volumeType,
      iops: spec.iops ?? (spec.volumeType === 'gp3' ? 3_000 : null),
      throughput: spec.throughput ?? (spec.volumeType === 'gp3' ? 125 : null),
      snapshotId: spec.snapshot?.id ?? null,
      lineage: spec.snapshot?.lineage ?? id,
      createdAt: world.clock.now().toISOString(),
      blocks: spec.snapshot ? world.blocks.share(spec.snapshot.blocks) : new Map(),
    };
    world.volumes.set(id, volume);
    world.changed();
    return volume;
  };
}

/** The volume that an earlier request with this client token made; the token of another request is refused. */
function replayedVolume({ world, params }: Ask, tokenId: string): Volume | null {
  const known = world.volumes.get(world.clientTokens.get(tokenId) ?? '');
  if (!known) return null;
  if (world.clientTokens.get(`${tokenId}/request`) === fingerprint(params)) return known;
  throw ec2Error('IdempotentParameterMismatch', 'The client token was used with other parameters.');
}

const fingerprint = (params: Params) => createHash('sha256').update(JSON.stringify(params)).digest('base64');

const createVolume: Operation = (ask) => {
  const { world, request, params } = ask;
  const availabilityZone = required(params, 'AvailabilityZone');
  if (!networkOf(request.caller.accountId, request.awsRegion).zones.includes(availabilityZone)) {
    throw ec2Error('InvalidZone.NotFound', `The zone '${availabilityZone}' does not exist.`);
  }
  const token = text(params, 'ClientToken');
  const tokenId = `CreateVolume/${request.caller.accountId}/${request.awsRegion}/${token}`;
  const snapshotId = text(params, 'SnapshotId');
  const make = planVolume(ask, 'CreateVolume', {
    sizeGiB: integer(params, 'Size'),
    snapshot: snapshotId === undefined || snapshotId === '' ? null : snapshotOf(ask, snapshotId),
    availabilityZone,
    encrypted: bool(params, 'Encrypted'),
    kmsKeyId: text(params, 'KmsKeyId'),
    volumeType: text(params, 'VolumeType') ?? 'gp2',
    iops: integer(params, 'Iops'),
    throughput: integer(params, 'Throughput'),
    tags: tagsFor(params, 'volume'),
  });
  endDryRun(ask);
  const known = token === undefined ? null : replayedVolume(ask, tokenId);
  if (known) return volumeXml(ask, known);
  const volume = make();
  if (token !== undefined) {
    world.clientTokens.set(tokenId, volume.id);
    world.clientTokens.set(`${tokenId}/request`, fingerprint(params));
  }
  return volumeXml(ask, volume);
};

const describeVolumes: Operation = (ask) => {
  const { world, request, params } = ask;
  world.require(request, { action: 'ec2:DescribeVolumes', resource: '*' });
  endDryRun(ask);
  const ids = textList(params, 'VolumeId');
  const matches = filtersOf(params);
  const hits = (ids.length > 0 ? ids.map((id) => volumeOf(ask, id)) : own(world.volumes.values(), request)).filter(
    (volume) => {
      const attached = attachmentOf(ask, volume.id);
      return matches({
        id: volume.id,
        tags: volume.tags,
        fields: {
          'volume-id': volume.id,
          status: attached ? 'in-use' : 'available',
          'attachment.instance-id': attached?.instanceId ?? null,
          'attachment.device': attached?.attachment.deviceName ?? null,
          'availability-zone': volume.availabilityZone,
          'snapshot-id': volume.snapshotId,
          encrypted: String(volume.encrypted),
          'volume-type': volume.volumeType,
          size: String(volume.sizeGiB),
        },
      });
    },
  );
  const { page, nextToken } = paged(params, hits);
  return { volumeSet: { item: page.map((volume) => volumeXml(ask, volume)) }, nextToken };
};

/** Rights on an existing volume. */
export function requireOn(ask: Ask, action: string, volume: Volume): void {
  ask.world.require(ask.request, {
    action: `ec2:${action}`,
    resource: arnOf('volume', volume.awsRegion, volume.accountId, volume.id),
    context: { ...resourceTagKeys(volume.tags), 'ec2:Encrypted': String(volume.encrypted) },
  });
}

const deleteVolume: Operation = (ask) => {
  const volume = volumeOf(ask, required(ask.params, 'VolumeId'));
  requireOn(ask, 'DeleteVolume', volume);
  endDryRun(ask);
  const attached = attachmentOf(ask, volume.id);
  if (attached) throw ec2Error('VolumeInUse', `Volume ${volume.id} is currently attached to ${attached.instanceId}`);
  ask.world.blocks.releaseAll(volume.blocks);
  ask.world.volumes.delete(volume.id);
  ask.world.changed();
  return { return: true };
};

const modifyVolume: Operation = (ask) => {
  const volume = volumeOf(ask, required(ask.params, 'VolumeId'));
  requireOn(ask, 'ModifyVolume', volume);
  endDryRun(ask);
  const size = integer(ask.params, 'Size') ?? volume.sizeGiB;
  if (size < volume.sizeGiB) throw ec2Error('InvalidParameterValue', 'New size cannot be smaller than existing size');
  const originalSize = volume.sizeGiB;
  volume.sizeGiB = size;
  ask.world.changed();
  return {
    volumeModification: {
      volumeId: volume.id,
      modificationState: 'completed',
      targetSize: size,
      originalSize,
      progress: 100,
    },
  };
};

export const VOLUME_OPERATIONS: Record<string, Operation> = {
  CreateVolume: createVolume,
  DescribeVolumes: describeVolumes,
  DeleteVolume: deleteVolume,
  ModifyVolume: modifyVolume,
};
