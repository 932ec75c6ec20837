import { randomUUID } from 'node:crypto';
import {
  CompleteSnapshotCommand,
  GetSnapshotBlockCommand,
  ListChangedBlocksCommand,
  type ListChangedBlocksCommandInput,
  ListSnapshotBlocksCommand,
  type ListSnapshotBlocksCommandInput,
  PutSnapshotBlockCommand,
  type PutSnapshotBlockCommandInput,
} from '@aws-sdk/client-ebs';
import { CreateSnapshotCommand } from '@aws-sdk/client-ec2';
import { agrees, type Case, refuses } from '../case.ts';
import { allow, BLOCK_BYTES, blockOf, type Lab, linear, policyOf, sha256 } from '../lab.ts';

const START = 'EBS direct APIs reference, StartSnapshot';
const PUT = 'EBS direct APIs reference, PutSnapshotBlock';
const COMPLETE = 'EBS direct APIs reference, CompleteSnapshot';
const LIST = 'EBS direct APIs reference, ListSnapshotBlocks';
const CHANGED = 'EBS direct APIs reference, ListChangedBlocks';
const GET = 'EBS direct APIs reference, GetSnapshotBlock';
const REASONS = 'EBS API model, ValidationExceptionReason';
const RIGHTS = 'Service authorization reference, Amazon EBS';
const INVALID = 'ValidationException';
const UNKNOWN = 'snap-0123456789abcdef0';

/** A pending snapshot that cases share: none of them completes it. */
const pending = (lab: Lab) => lab.once('pending', () => lab.start());
const put = async (lab: Lab, more: Partial<PutSnapshotBlockCommandInput> = {}) => {
  const BlockData = blockOf('p');
  const Checksum = sha256(BlockData).toString('base64');
  const asked = { BlockIndex: 0, BlockData, DataLength: BLOCK_BYTES, Checksum, ChecksumAlgorithm: 'SHA256' as const };
  return lab.ebs.send(new PutSnapshotBlockCommand({ SnapshotId: await pending(lab), ...asked, ...more }));
};
const complete = async (lab: Lab, blocks: readonly Buffer[], ChangedBlocksCount: number, Checksum?: string) => {
  const SnapshotId = await lab.start();
  for (const [index, block] of blocks.entries()) await lab.put(SnapshotId, index, block);
  const sum = Checksum === undefined ? {} : { Checksum, ChecksumAlgorithm: 'SHA256' as const };
  return lab.ebs.send(
    new CompleteSnapshotCommand({
      SnapshotId,
      ChangedBlocksCount,
      ...sum,
      ...(Checksum === undefined ? {} : { ChecksumAggregationMethod: 'LINEAR' as const }),
    }),
  );
};
const list = async (lab: Lab, more: Partial<ListSnapshotBlocksCommandInput> = {}) =>
  lab.ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: await lab.sharedSnapshot(), ...more }));
const get = async (lab: Lab, SnapshotId: string, BlockIndex: number, BlockToken: string | undefined) =>
  lab.ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
const firstToken = async (lab: Lab) => (await list(lab)).Blocks?.[0]?.BlockToken;
/** A child of the shared snapshot: block 0 replaced, block 2 new. */
const child = (lab: Lab) =>
  lab.once('child', async () => {
    const SnapshotId = await lab.start({ ParentSnapshotId: await lab.sharedSnapshot() });
    await lab.put(SnapshotId, 0, blockOf('c'));
    await lab.put(SnapshotId, 2, blockOf('d'));
    await lab.ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 2 }));
    await lab.untilCompleted(SnapshotId);
    return SnapshotId;
  });
const changes = async (lab: Lab, more: Partial<ListChangedBlocksCommandInput> = {}) =>
  lab.ebs.send(
    new ListChangedBlocksCommand({
      FirstSnapshotId: await lab.sharedSnapshot(),
      SecondSnapshotId: await child(lab),
      ...more,
    }),
  );
const idempotent = (lab: Lab) =>
  lab.once('client token', async () => {
    const ClientToken = randomUUID();
    return { ClientToken, SnapshotId: await lab.start({ ClientToken }) };
  });

const READING: readonly Case[] = [
  refuses('ebs-read-pending', ['listing a snapshot that is still pending', REASONS], INVALID, async (lab) =>
    list(lab, { SnapshotId: await pending(lab) }),
  ),
  refuses('ebs-block-token-invalid', ['a block token that was made up', REASONS], INVALID, async (lab) =>
    get(lab, await lab.sharedSnapshot(), 0, Buffer.alloc(64, 1).toString('base64')),
  ),
  refuses('ebs-block-token-index', ['the block token of another block', GET], INVALID, async (lab) =>
    get(lab, await lab.sharedSnapshot(), 1, await firstToken(lab)),
  ),
  refuses('ebs-block-token-snapshot', ['the block token of another snapshot', GET], INVALID, async (lab) =>
    get(lab, await child(lab), 0, await firstToken(lab)),
  ),
  refuses('ebs-page-token-invalid', ['a page token that was made up', REASONS], INVALID, (lab) =>
    list(lab, { NextToken: Buffer.alloc(64, 1).toString('base64') }),
  ),
  refuses('ebs-snapshot-unknown', ['a snapshot that does not exist', LIST], 'ResourceNotFoundException', (lab) =>
    list(lab, { SnapshotId: UNKNOWN }),
  ),
  refuses('ebs-snapshot-malformed', ['an id that is none', REASONS], INVALID, (lab) =>
    list(lab, { SnapshotId: 'vol-1' }),
  ),
  refuses('ebs-unrelated', ['changes between snapshots of unrelated volumes', REASONS], INVALID, async (lab) =>
    changes(lab, { SecondSnapshotId: await lab.snapshot(['z']) }),
  ),
  refuses(
    'ebs-read-right',
    ['reading without ebs:ListSnapshotBlocks', RIGHTS],
    'AccessDeniedException',
    async (lab) => {
      const { ebs } = await lab.as(policyOf(allow('ec2:*')));
      return ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: await lab.sharedSnapshot() }));
    },
  ),
  refuses(
    'ebs-read-other-tag',
    ['a snapshot whose tags the condition leaves out', RIGHTS],
    'AccessDeniedException',
    async (lab) => {
      const tagged = { StringEquals: { 'aws:ResourceTag/backup': 'yes' } };
      const { ebs } = await lab.as(policyOf(allow('ebs:*', '*', tagged)));
      return ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: await lab.sharedSnapshot() }));
    },
  ),
  agrees(
    'ebs-list',
    ['a listing names the written blocks only, in order', LIST],
    list,
    (answer) => answer.BlockSize === BLOCK_BYTES && answer.Blocks?.map(({ BlockIndex }) => BlockIndex).join() === '0,1',
  ),
  agrees(
    'ebs-list-size',
    ['a listing tells the size of the volume in GiB', LIST],
    list,
    (answer) => answer.VolumeSize === 1,
  ),
  agrees(
    'ebs-list-expiry',
    ['block tokens hold for seven days', LIST],
    list,
    (answer) => Math.abs((answer.ExpiryTime?.getTime() ?? 0) - Date.now() - 7 * 86_400_000) < 3_600_000,
  ),
  agrees(
    'ebs-page-small',
    ['a page of fewer than 100 blocks is one of 100', LIST],
    (lab) => list(lab, { MaxResults: 1 }),
    (answer) => answer.Blocks?.length === 2,
  ),
  agrees(
    'ebs-list-from',
    ['a listing starts where it is told', LIST],
    (lab) => list(lab, { StartingBlockIndex: 1 }),
    (answer) => answer.Blocks?.map(({ BlockIndex }) => BlockIndex).join() === '1',
  ),
  agrees(
    'ebs-get',
    ['a block comes whole, with its SHA-256', GET],
    async (lab) => {
      const answer = await get(lab, await lab.sharedSnapshot(), 0, await firstToken(lab));
      return { ...answer, bytes: Buffer.from((await answer.BlockData?.transformToByteArray()) ?? []) };
    },
    ({ bytes, Checksum, DataLength }) =>
      DataLength === BLOCK_BYTES && bytes.equals(blockOf('a')) && Checksum === sha256(bytes).toString('base64'),
  ),
  agrees(
    'ebs-token-earlier',
    [
      'the block token of an earlier listing',
      GET,
      'no page says whether a new listing ends the tokens of the earlier one',
    ],
    async (lab) => {
      const BlockToken = await firstToken(lab);
      await list(lab);
      return get(lab, await lab.sharedSnapshot(), 0, BlockToken);
    },
    (answer) => answer.DataLength === BLOCK_BYTES,
  ),
  agrees(
    'ebs-changes',
    ['changes are the blocks that differ', CHANGED],
    changes,
    (answer) => answer.ChangedBlocks?.map(({ BlockIndex }) => BlockIndex).join() === '0,2',
  ),
  agrees('ebs-changes-new-block', ['a new block has no token in the first snapshot', CHANGED], changes, (answer) => {
    const [replaced, added] = answer.ChangedBlocks ?? [];
    return (
      replaced?.FirstBlockToken !== undefined &&
      added?.FirstBlockToken === undefined &&
      added?.SecondBlockToken !== undefined
    );
  }),
  agrees(
    'ebs-changes-gone-block',
    [
      'a block that is gone has no token in the second snapshot',
      CHANGED,
      'the page says that the token is absent, and not that this means unallocated',
    ],
    async (lab) => changes(lab, { FirstSnapshotId: await child(lab), SecondSnapshotId: await lab.sharedSnapshot() }),
    (answer) =>
      answer.ChangedBlocks?.some(
        ({ BlockIndex, SecondBlockToken }) => BlockIndex === 2 && SecondBlockToken === undefined,
      ) ?? false,
  ),
  agrees(
    'ebs-child-inherits',
    ['a child holds its parent’s blocks where it wrote none', START],
    async (lab) => list(lab, { SnapshotId: await child(lab) }),
    (answer) => answer.Blocks?.map(({ BlockIndex }) => BlockIndex).join() === '0,1,2',
  ),
  agrees(
    'ebs-read-right-tagged',
    ['a snapshot whose tags the condition names', RIGHTS],
    async (lab) => {
      const SnapshotId = await lab.snapshot(['t'], { Tags: [{ Key: 'backup', Value: 'yes' }] });
      const tagged = { StringEquals: { 'aws:ResourceTag/backup': 'yes' } };
      const { ebs } = await lab.as(policyOf(allow('ebs:ListSnapshotBlocks', '*', tagged)));
      return lab.soon(() => ebs.send(new ListSnapshotBlocksCommand({ SnapshotId })));
    },
    (answer) => answer.Blocks?.length === 1,
  ),
];

const WRITING: readonly Case[] = [
  refuses('ebs-put-checksum', ['a block with the checksum of another', REASONS], INVALID, (lab) =>
    put(lab, { Checksum: sha256(blockOf('q')).toString('base64') }),
  ),
  refuses('ebs-put-length', ['half a block', PUT], INVALID, (lab) => {
    const BlockData = blockOf('h').subarray(0, BLOCK_BYTES / 2);
    return put(lab, { BlockData, DataLength: BlockData.length, Checksum: sha256(BlockData).toString('base64') });
  }),
  refuses('ebs-put-outside', ['a block beyond the end of the volume', REASONS], INVALID, (lab) =>
    put(lab, { BlockIndex: 2_048 }),
  ),
  refuses('ebs-put-completed', ['a block after completion', REASONS], INVALID, async (lab) =>
    put(lab, { SnapshotId: await lab.sharedSnapshot() }),
  ),
  refuses('ebs-put-unknown', ['a block for a snapshot that does not exist', PUT], 'ResourceNotFoundException', (lab) =>
    put(lab, { SnapshotId: UNKNOWN }),
  ),
  refuses('ebs-put-ordinary', ['a block for a snapshot that was taken of a volume', PUT], INVALID, async (lab) => {
    const VolumeId = await lab.volume();
    const { SnapshotId } = await lab.ec2.send(new CreateSnapshotCommand({ VolumeId }));
    lab.removeSnapshot(SnapshotId);
    return put(lab, { SnapshotId });
  }),
  refuses('ebs-complete-count', ['a completion that counts other blocks', COMPLETE], INVALID, (lab) =>
    complete(lab, [blockOf('a')], 2),
  ),
  refuses('ebs-complete-checksum', ['a completion with another checksum', COMPLETE], INVALID, (lab) =>
    complete(lab, [blockOf('a')], 1, linear(blockOf('b'))),
  ),
  refuses('ebs-complete-order', ['a checksum over the blocks in another order', COMPLETE], INVALID, (lab) =>
    complete(lab, [blockOf('a'), blockOf('b')], 2, linear(blockOf('b'), blockOf('a'))),
  ),
  refuses('ebs-start-size', ['a volume of no size', START], INVALID, (lab) => lab.start({ VolumeSize: 0 })),
  refuses('ebs-start-timeout', ['a time-out of less than ten minutes', START], INVALID, (lab) =>
    lab.start({ Timeout: 9 }),
  ),
  refuses('ebs-start-smaller', ['a child smaller than its parent', REASONS], INVALID, async (lab) => {
    const parent = await lab.once('two GiB', () => lab.snapshot(['a'], { VolumeSize: 2 }));
    return lab.start({ VolumeSize: 1, ParentSnapshotId: parent });
  }),
  refuses('ebs-start-parent-encrypted', ['Encrypted beside a parent', START], INVALID, async (lab) =>
    lab.start({ ParentSnapshotId: await lab.sharedSnapshot(), Encrypted: true }),
  ),
  refuses(
    'ebs-start-parent-unknown',
    ['a parent that does not exist', START],
    ['ResourceNotFoundException', INVALID],
    (lab) => lab.start({ ParentSnapshotId: UNKNOWN }),
  ),
  refuses(
    'ebs-start-key-alone',
    ['a key without Encrypted', START, 'the page says that the key needs Encrypted, and not what happens without it'],
    INVALID,
    async (lab) => lab.start({ KmsKeyArn: await lab.sharedKey() }),
  ),
  refuses(
    'ebs-start-token-reused',
    ['a client token with other parameters', START],
    'ConflictException',
    async (lab) => {
      const { ClientToken } = await idempotent(lab);
      return lab.start({ ClientToken, VolumeSize: 2 });
    },
  ),
  agrees(
    'ebs-start',
    ['a new snapshot is pending and has blocks of 512 KiB', START],
    async (lab) => lab.started(),
    (answer) => answer.Status === 'pending' && answer.BlockSize === BLOCK_BYTES,
  ),
  agrees(
    'ebs-start-token-again',
    ['the same client token gives the same snapshot', START],
    async (lab) => {
      const { ClientToken, SnapshotId } = await idempotent(lab);
      return { first: SnapshotId, second: await lab.start({ ClientToken }) };
    },
    ({ first, second }) => first === second,
  ),
  agrees(
    'ebs-start-encrypted',
    ['a snapshot by a named key', START],
    async (lab) => {
      const KmsKeyArn = await lab.sharedKey();
      return { asked: KmsKeyArn, answer: await lab.started({ Encrypted: true, KmsKeyArn }) };
    },
    ({ asked, answer }) => answer.KmsKeyArn === asked,
  ),
  agrees(
    'ebs-put',
    ['a block with its checksum is answered by it', PUT],
    put,
    (answer) => answer.Checksum === sha256(blockOf('p')).toString('base64'),
  ),
  agrees(
    'ebs-put-again',
    ['a block may be put again, and its last content counts', PUT],
    async (lab) => {
      const SnapshotId = await lab.start();
      await lab.put(SnapshotId, 0, blockOf('x'));
      await lab.put(SnapshotId, 0, blockOf('y'));
      await lab.ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 }));
      await lab.untilCompleted(SnapshotId);
      const { Blocks } = await list(lab, { SnapshotId });
      return get(lab, SnapshotId, 0, Blocks?.[0]?.BlockToken);
    },
    (answer) => answer.Checksum === sha256(blockOf('y')).toString('base64'),
  ),
  agrees(
    'ebs-complete-linear',
    ['the linear checksum over the blocks in order', COMPLETE],
    (lab) => complete(lab, [blockOf('a'), blockOf('b')], 2, linear(blockOf('a'), blockOf('b'))),
    (answer) => answer.Status === 'pending' || answer.Status === 'completed',
  ),
  agrees(
    'ebs-complete-empty',
    ['a snapshot without any block', COMPLETE],
    (lab) => complete(lab, [], 0),
    (answer) => answer.Status === 'pending' || answer.Status === 'completed',
  ),
];

export const EBS_CASES: readonly Case[] = [...READING, ...WRITING];
