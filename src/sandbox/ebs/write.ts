import { createHash } from 'node:crypto';
import { BLOCK_BYTES } from '../blocks/block-store.ts';
import { awsId, requestTagKeys, type Snapshot, snapshotArn, type Tags } from '../ec2/model.ts';
import { findSnapshot, settle, type World } from '../ec2/world-state.ts';
import type { AwsRequest, AwsResponse } from '../service.ts';
import { ebsError, ebsJson, invalid, requireKey, snapshotFor } from './request.ts';

const SIZE_GIB_MAX = 65_536;
const TIMEOUT_MINUTES = { min: 10, max: 4_320, fallback: 60 };
const TAGS_MAX = 50;
const TEXT_MAX = 255;
/** CompleteSnapshot is asynchronous: the state follows this much later. */
const COMPLETES_AFTER_MS = 200;
/** What EBS needs of a key to write an encrypted snapshot. Source: EBS guide, "IAM permissions for EBS direct APIs". */
const KEY_ACTIONS = ['kms:DescribeKey', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:Decrypt'];

type StartInput = {
  VolumeSize?: number;
  ParentSnapshotId?: string;
  Tags?: { Key: string; Value: string }[];
  Description?: string;
  ClientToken?: string;
  Encrypted?: boolean;
  KmsKeyArn?: string;
  Timeout?: number;
};

function parseStart(body: Buffer): StartInput {
  try {
    return JSON.parse(body.toString('utf8')) as StartInput;
  } catch {
    throw invalid('The request body is not JSON.');
  }
}

function checkStart(input: StartInput): { sizeGiB: number; minutes: number } {
  const sizeGiB = input.VolumeSize ?? 0;
  if (!Number.isInteger(sizeGiB) || sizeGiB < 1 || sizeGiB > SIZE_GIB_MAX)
    throw invalid(`The volume size ${sizeGiB} is not valid.`, 'INVALID_VOLUME_SIZE');
  const minutes = input.Timeout ?? TIMEOUT_MINUTES.fallback;
  if (!Number.isInteger(minutes) || minutes < TIMEOUT_MINUTES.min || minutes > TIMEOUT_MINUTES.max)
    throw invalid(`The time-out ${minutes} is not valid.`);
  if ((input.Tags ?? []).length > TAGS_MAX) throw invalid(`At most ${TAGS_MAX} tags are allowed.`, 'INVALID_TAG');
  if ((input.Description ?? '').length > TEXT_MAX || (input.ClientToken ?? '').length > TEXT_MAX)
    throw invalid(`Description and ClientToken have at most ${TEXT_MAX} characters.`);
  if (input.ParentSnapshotId !== undefined && (input.Encrypted !== undefined || input.KmsKeyArn !== undefined)) {
    throw invalid('ParentSnapshotId cannot be combined with Encrypted or KmsKeyArn.');
  }
  if (input.KmsKeyArn !== undefined && input.Encrypted !== true) throw invalid('KmsKeyArn requires Encrypted.');
  if (input.KmsKeyArn !== undefined && !/^arn:[a-z-]+:kms:[^:]+:\d{12}:key\//.test(input.KmsKeyArn))
    throw invalid('KmsKeyArn must be the ARN of a key.', 'INVALID_CUSTOMER_KEY');
  return { sizeGiB, minutes };
}

/** The key of the new snapshot by the rules of StartSnapshot. Source: EBS guide, "Encryption outcomes". */
function keyOf(world: World, request: AwsRequest, input: StartInput, parent: Snapshot | null): string | null {
  const byDefault = world.encryptionByDefault.has(`${request.caller.accountId}/${request.awsRegion}`);
  if (parent) {
    if (!parent.encrypted && byDefault)
      throw invalid('The parent snapshot is not encrypted, but encryption by default is on.');
    return parent.kmsKeyArn;
  }
  if (input.Encrypted !== true && !byDefault) return null;
  return input.KmsKeyArn ?? world.keys.defaultEbsKeyArn(request.caller.accountId, request.awsRegion);
}

function requireStart(world: World, request: AwsRequest, input: StartInput, tags: Tags): void {
  const resource = snapshotArn(request.awsRegion, '*');
  const context = {
    ...requestTagKeys(tags),
    'ebs:VolumeSize': String(input.VolumeSize),
    ...(input.Description === undefined ? {} : { 'ebs:Description': input.Description }),
    ...(input.ParentSnapshotId === undefined
      ? {}
      : { 'ebs:ParentSnapshot': snapshotArn(request.awsRegion, input.ParentSnapshotId) }),
  };
  world.require(request, { action: 'ebs:StartSnapshot', resource, context }, 'AccessDeniedException');
  if (Object.keys(tags).length === 0) return;
  const tagging = { ...requestTagKeys(tags), 'ec2:CreateAction': 'StartSnapshot' };
  world.require(request, { action: 'ec2:CreateTags', resource, context: tagging }, 'AccessDeniedException');
}

const startedJson = (snapshot: Snapshot, { ParentSnapshotId }: StartInput) => ({
  SnapshotId: snapshot.id,
  OwnerId: snapshot.accountId,
  Status: snapshot.state,
  StartTime: Date.parse(snapshot.startedAt) / 1000,
  VolumeSize: snapshot.sizeGiB,
  BlockSize: BLOCK_BYTES,
  Description: snapshot.description,
  Tags: Object.entries(snapshot.tags).map(([Key, Value]) => ({ Key, Value })),
  KmsKeyArn: snapshot.kmsKeyArn ?? undefined,
  ParentSnapshotId,
});

function replayed(world: World, request: AwsRequest, input: StartInput): Snapshot | null {
  if (input.ClientToken === undefined) return null;
  const { accountId } = request.caller;
  for (const snapshot of world.snapshots.values()) {
    if (
      snapshot.accountId !== accountId ||
      snapshot.awsRegion !== request.awsRegion ||
      snapshot.written?.clientToken !== input.ClientToken
    )
      continue;
    if (snapshot.written.request === JSON.stringify(input)) return settle(world, snapshot);
    throw ebsError('ConflictException', 409, 'The client token was used with other parameters.');
  }
  return null;
}

/** The account's limits of snapshots, in all and being written. Source: Service Quotas of EBS. */
function requireRoom(world: World, { caller: { accountId }, awsRegion }: AwsRequest): void {
  const limits = world.settings.limitsOf(accountId);
  const own = [...world.snapshots.values()].filter((it) => it.accountId === accountId && it.awsRegion === awsRegion);
  if (own.length >= limits.snapshots)
    throw ebsError(
      'ServiceQuotaExceededException',
      402,
      'Your current service quotas do not allow you to perform this action.',
      'DEPENDENCY_SERVICE_QUOTA_EXCEEDED',
    );
  const pending = own.filter((it) => it.written && settle(world, it).state === 'pending');
  if (pending.length >= limits.pendingSnapshots)
    throw ebsError('ConcurrentLimitExceededException', 400, 'You have reached the limit for concurrent API requests.');
}

export function startSnapshot(world: World, request: AwsRequest): AwsResponse {
  const input = parseStart(request.body);
  const { sizeGiB, minutes } = checkStart(input);
  const tags = Object.fromEntries((input.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
  requireStart(world, request, input, tags);
  const again = replayed(world, request, input);
  if (again) return ebsJson(201, startedJson(again, input));
  const parent =
    input.ParentSnapshotId === undefined ? null : (findSnapshot(world, request, input.ParentSnapshotId) ?? null);
  if (input.ParentSnapshotId !== undefined && parent?.state !== 'completed') {
    throw ebsError(
      'ResourceNotFoundException',
      404,
      `The parent snapshot '${input.ParentSnapshotId}' does not exist.`,
      'SNAPSHOT_NOT_FOUND',
    );
  }
  if (parent && parent.sizeGiB > sizeGiB)
    throw invalid('The volume size is smaller than that of the parent snapshot.', 'INVALID_VOLUME_SIZE');
  const kmsKeyArn = keyOf(world, request, input, parent);
  requireKey(world, request, { kmsKeyArn }, KEY_ACTIONS);
  requireRoom(world, request);
  const { accountId } = request.caller;
  const id = awsId('snap');
  const startedAt = world.clock.now().toISOString();
  const snapshot: Snapshot = {
    id,
    accountId,
    awsRegion: request.awsRegion,
    tags,
    volumeId: 'vol-ffffffff',
    sizeGiB,
    state: 'pending',
    stateMessage: null,
    description: input.Description ?? '',
    encrypted: kmsKeyArn !== null,
    kmsKeyArn,
    lineage: parent?.lineage ?? id,
    startedAt,
    completesAt: null,
    written: {
      idleMs: minutes * 60_000,
      lastWriteAt: startedAt,
      clientToken: input.ClientToken ?? null,
      request: JSON.stringify(input),
      indexes: new Set(),
    },
    blocks: parent ? world.blocks.share(parent.blocks) : new Map(),
  };
  world.snapshots.set(id, snapshot);
  world.changed();
  return ebsJson(201, startedJson(snapshot, input));
}

function pendingFor(
  world: World,
  request: AwsRequest,
  id: string,
  action: string,
): Snapshot & { written: NonNullable<Snapshot['written']> } {
  const snapshot = snapshotFor(world, request, id, action);
  const { written } = snapshot;
  if (snapshot.state !== 'pending' || snapshot.completesAt !== null || !written) {
    throw invalid(`The snapshot '${id}' is not in the pending state.`, 'INVALID_SNAPSHOT_ID');
  }
  return Object.assign(snapshot, { written });
}

export async function putBlock(
  world: World,
  request: AwsRequest,
  [id = '', at = '']: readonly string[],
): Promise<AwsResponse> {
  const snapshot = pendingFor(world, request, id, 'PutSnapshotBlock');
  const { headers, body } = request;
  const index = Number(at);
  if (!Number.isInteger(index) || index < 0 || index >= snapshot.sizeGiB * (2 ** 30 / BLOCK_BYTES))
    throw invalid(`The block index ${at} is outside the volume.`, 'INVALID_BLOCK');
  if (headers.get('x-amz-data-length') !== String(BLOCK_BYTES) || body.length !== BLOCK_BYTES)
    throw invalid(`The data length must be ${BLOCK_BYTES}.`, 'INVALID_BLOCK');
  if (headers.get('x-amz-checksum-algorithm') !== 'SHA256') throw invalid('The checksum algorithm must be SHA256.');
  const sha256 = createHash('sha256').update(body).digest('base64');
  if (headers.get('x-amz-checksum') !== sha256) throw invalid('The checksum does not match the data.', 'INVALID_BLOCK');
  requireKey(world, request, snapshot, ['kms:GenerateDataKeyWithoutPlaintext']);
  const slot = await world.blocks.put(body, sha256);
  if (snapshot.completesAt !== null || world.snapshots.get(id) !== snapshot) {
    world.blocks.release(slot);
    throw invalid(`The snapshot '${id}' was completed or deleted meanwhile.`, 'CONFLICTING_BLOCK_UPDATE');
  }
  const before = snapshot.blocks.get(index);
  snapshot.blocks.set(index, slot);
  if (before !== undefined) world.blocks.release(before);
  snapshot.written.lastWriteAt = world.clock.now().toISOString();
  snapshot.written.indexes.add(index);
  world.changed();
  return {
    status: 201,
    headers: { 'content-type': 'application/json', 'x-amz-checksum': sha256, 'x-amz-checksum-algorithm': 'SHA256' },
    body: '{}',
  };
}

export async function completeSnapshot(
  world: World,
  request: AwsRequest,
  [id = '']: readonly string[],
): Promise<AwsResponse> {
  const snapshot = pendingFor(world, request, id, 'CompleteSnapshot');
  const { headers } = request;
  const written = [...snapshot.written.indexes].toSorted((a, b) => a - b);
  if (headers.get('x-amz-changedblockscount') !== String(written.length)) {
    throw invalid(`The changed blocks count does not match: ${written.length} blocks were written.`);
  }
  const stated = headers.get('x-amz-checksum');
  if (stated !== null) {
    if (headers.get('x-amz-checksum-aggregation-method') !== 'LINEAR')
      throw invalid('The checksum aggregation method must be LINEAR.');
    const hash = createHash('sha256');
    for (const index of written)
      hash.update(Buffer.from(world.blocks.sha256(snapshot.blocks.get(index) ?? -1), 'base64'));
    if (hash.digest('base64') !== stated) throw invalid('The checksum does not match the blocks that were written.');
  }
  const afterMs = world.settings.values().snapshotCompletesAfterMs ?? COMPLETES_AFTER_MS;
  snapshot.completesAt = new Date(world.clock.now().getTime() + afterMs).toISOString();
  world.changed();
  return ebsJson(202, { Status: 'pending' });
}
