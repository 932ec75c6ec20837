import { bool, type Params, text } from '../wire/query.ts';
import { awsId, partitionOf, requestTagKeys, resourceTagKeys, type Snapshot, snapshotArn } from './model.ts';
import { type Ask, ec2Error, endDryRun, type Operation, required, tagsFor, tagSet } from './request.ts';
import { findSnapshot } from './world-state.ts';

/** How long a copy takes. */
const COMPLETES_AFTER_MS = 300;
/** What a copy shows as its volume. Source: EC2 API reference, Snapshot: "arbitrary … should not be used". */
const NO_VOLUME = 'vol-ffffffff';
/** Source: EBS guide, "Copy a snapshot": copies in progress for each destination Region. */
const PENDING_COPIES_MAX = 20;
/** What opening the source and sealing the copy take. Source: EBS guide, "Requirements for encryption": permissions. */
const SOURCE_ACTIONS = ['kms:DescribeKey', 'kms:Decrypt'];
const COPY_ACTIONS = ['kms:DescribeKey', 'kms:CreateGrant', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:Decrypt'];

/** Encryption that the request may ask for. Source: EC2 API reference, CopySnapshot, Encrypted and KmsKeyId. */
function checkEncryption(params: Params): void {
  const encrypted = bool(params, 'Encrypted');
  if (encrypted === false) throw ec2Error('InvalidParameterValue', 'The parameter Encrypted cannot be set to false.');
  if (text(params, 'KmsKeyId') !== undefined && encrypted !== true)
    throw ec2Error('InvalidParameterDependency', 'The parameter KmsKeyId requires the parameter Encrypted to be set.');
}

/**
 * Rights on the source, on the copy and on its tags. Source: service authorization reference, CopySnapshot; since 2025
 * it asks about the source snapshot as well.
 */
function requireCopy({ world, request, params }: Ask, sourceRegion: string, id: string, source?: Snapshot): void {
  world.require(request, {
    action: 'ec2:CopySnapshot',
    resource: snapshotArn(sourceRegion, id),
    context: source
      ? {
          ...resourceTagKeys(source.tags),
          'ec2:Encrypted': String(source.encrypted),
          'ec2:Owner': source.accountId,
          'ec2:SnapshotTime': source.startedAt,
          'ec2:VolumeSize': String(source.sizeGiB),
        }
      : {},
  });
  const tags = tagsFor(params, 'snapshot');
  const resource = snapshotArn(request.awsRegion, '*');
  world.require(request, { action: 'ec2:CopySnapshot', resource, context: requestTagKeys(tags) });
  if (Object.keys(tags).length === 0) return;
  const context = { ...requestTagKeys(tags), 'ec2:CreateAction': 'CopySnapshot' };
  world.require(request, { action: 'ec2:CreateTags', resource, context });
}

/** The key that the copy gets: named, or the account's own for EBS in this region. Never the source's by itself. */
function keyOf({ world, request, params }: Ask, source: Snapshot): string | null {
  const { accountId } = request.caller;
  const byDefault = world.encryptionByDefault.has(`${accountId}/${request.awsRegion}`);
  if (!source.encrypted && bool(params, 'Encrypted') !== true && !byDefault) return null;
  const named = text(params, 'KmsKeyId');
  if (named === undefined || named === '') return world.keys.defaultEbsKeyArn(accountId, request.awsRegion);
  try {
    return world.keys.arnOf(request, named);
  } catch {
    // A key that is not there fails the copy, not the request; the copy still shows what it was to be sealed with.
    const arn = `arn:${partitionOf(request.awsRegion)}:kms:${request.awsRegion}:${accountId}:key/${named}`;
    return named.startsWith('arn:') ? named : arn;
  }
}

/**
 * Why the keys of source or copy do not let it happen: AWS looks after it has answered, so that the copy ends in `error`.
 * Source: EC2 API reference, CopySnapshot, KmsKeyId ("asynchronously"); EBS guide, "Copy a snapshot": StateMessage.
 */
function keyProblem({ world, request }: Ask, source: Snapshot, kmsKeyArn: string | null): string | null {
  const uses = [
    { awsRegion: source.awsRegion, arn: source.kmsKeyArn, actions: SOURCE_ACTIONS },
    { awsRegion: request.awsRegion, arn: kmsKeyArn, actions: COPY_ACTIONS },
  ];
  try {
    for (const { awsRegion, arn, actions } of uses)
      if (arn !== null) world.keys.require({ ...request, awsRegion }, arn, actions, `ec2.${awsRegion}.amazonaws.com`);
    return null;
  } catch {
    return 'Given key ID is not accessible';
  }
}

function checkPending({ world, request }: Ask): void {
  const { accountId } = request.caller;
  const pending = [...world.snapshots.values()].filter(
    (one) =>
      one.volumeId === NO_VOLUME &&
      one.accountId === accountId &&
      one.awsRegion === request.awsRegion &&
      findSnapshot(world, request, one.id)?.state === 'pending',
  );
  if (pending.length >= PENDING_COPIES_MAX)
    throw ec2Error('ResourceLimitExceeded', `Cannot copy more than ${PENDING_COPIES_MAX} snapshots at once.`);
}

/**
 * A whole copy in the request's region, from this or another one: its own lineage, its own key, its own tags.
 * Tags of the source are not copied. Source: EBS guide, "Copy a snapshot".
 */
const copySnapshot: Operation = (ask) => {
  const { world, request, params } = ask;
  const id = required(params, 'SourceSnapshotId');
  const sourceRegion = required(params, 'SourceRegion');
  const source = findSnapshot(world, { ...request, awsRegion: sourceRegion }, id);
  requireCopy(ask, sourceRegion, id, source);
  checkEncryption(params);
  if (!source) throw ec2Error('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
  if (source.state !== 'completed') throw ec2Error('IncorrectState', `Snapshot is in invalid state - ${source.state}`);
  checkPending(ask);
  endDryRun(ask);
  const kmsKeyArn = keyOf(ask, source);
  const problem = keyProblem(ask, source, kmsKeyArn);
  const now = world.clock.now();
  const copyId = awsId('snap');
  const afterMs = world.settings.values().snapshotCompletesAfterMs ?? COMPLETES_AFTER_MS;
  const copy: Snapshot = {
    id: copyId,
    accountId: request.caller.accountId,
    awsRegion: request.awsRegion,
    tags: tagsFor(params, 'snapshot'),
    volumeId: NO_VOLUME,
    sizeGiB: source.sizeGiB,
    state: problem === null ? 'pending' : 'error',
    stateMessage: problem,
    description: text(params, 'Description') ?? '',
    encrypted: kmsKeyArn !== null,
    kmsKeyArn,
    lineage: copyId,
    startedAt: now.toISOString(),
    completesAt: new Date(now.getTime() + afterMs).toISOString(),
    written: null,
    billing: source.billing,
    blocks: problem === null ? world.blocks.share(source.blocks) : new Map(),
  };
  world.snapshots.set(copy.id, copy);
  world.changed();
  return { snapshotId: copy.id, tagSet: tagSet(copy.tags) };
};

export const COPY_OPERATIONS: Record<string, Operation> = { CopySnapshot: copySnapshot };
