import {
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  ModifyVolumeCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test } from 'vitest';
import { changed, get, list, readAll, start, written } from './ebs-calls.ts';
import {
  allow,
  type Aws,
  BLOCK_BYTES,
  blockOf,
  complete,
  failureOf,
  listAll,
  newVolume,
  openAws,
  policyOf,
  put,
  REGION,
} from './world.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

describe('a snapshot of a volume', () => {
  test('holds what the guest wrote before it, only that, and not what it wrote after', async () => {
    const aws = await openAws();
    const VolumeId = await newVolume(aws.ec2);
    const half = blockOf('half').subarray(0, BLOCK_BYTES / 2);
    await aws.write(VolumeId, 3 * BLOCK_BYTES, blockOf('a'));
    await aws.write(VolumeId, 2_047 * BLOCK_BYTES + BLOCK_BYTES / 2, half);
    await aws.write(VolumeId, 7 * BLOCK_BYTES - 5, Buffer.from('0123456789'));
    const SnapshotId = await aws.snapshot(VolumeId);
    await aws.write(VolumeId, 3 * BLOCK_BYTES, blockOf('b'));
    await aws.write(VolumeId, 0, blockOf('b'));
    const contents = await readAll(aws.ebs, SnapshotId);
    expect([...contents.keys()]).toEqual([3, 6, 7, 2_047]);
    expect(contents.get(3)?.equals(blockOf('a'))).toBe(true);
    expect(contents.get(2_047)?.equals(Buffer.concat([Buffer.alloc(BLOCK_BYTES / 2), half]))).toBe(true);
    expect(contents.get(6)?.subarray(-6).toString()).toBe('\0' + '01234');
    expect(contents.get(7)?.subarray(0, 6).toString()).toBe('56789\0');
  });

  test('lists its size, its block size and when its tokens end', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 1);
    const page = await list(aws.ebs, SnapshotId);
    expect(page).toMatchObject({ VolumeSize: 1, BlockSize: BLOCK_BYTES });
    const days = ((page.ExpiryTime?.getTime() ?? 0) - aws.sandbox.clock.now().getTime()) / DAY_MS;
    expect(days).toBeGreaterThan(6.99);
    expect(days).toBeLessThanOrEqual(7);
  });

  test('cannot be read while it is pending', async () => {
    const { ec2, ebs } = await openAws();
    const { SnapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId: await newVolume(ec2) }));
    expect(await failureOf(list(ebs, SnapshotId))).toBe('ValidationException INVALID_SNAPSHOT_ID');
  });

  test('that is gone, or never was, is not found', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 1);
    await aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
    for (const id of [SnapshotId, 'snap-0123456789abcdef0'])
      expect(await failureOf(list(aws.ebs, id))).toBe('ResourceNotFoundException SNAPSHOT_NOT_FOUND');
  });
});

describe('a listing', () => {
  test('comes in pages of at least 100, with empty ones between, and misses and repeats nothing', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 250);
    const { pages, blocks } = await listAll(aws.ebs, SnapshotId);
    expect(pages.map((page) => page.Blocks?.length)).toEqual([100, 0, 100, 50]);
    expect(pages.slice(0, -1).every((page) => page.NextToken !== undefined)).toBe(true);
    expect(blocks.map((block) => block.BlockIndex)).toEqual(Array.from({ length: 250 }, (_, i) => i));
    expect((await list(aws.ebs, SnapshotId, { MaxResults: 10 })).Blocks).toHaveLength(100);
  });

  test('starts where it is told, unless a page token says otherwise', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 250);
    const from = (page: { Blocks?: { BlockIndex?: number | undefined }[] | undefined }) => page.Blocks?.[0]?.BlockIndex;
    const first = await list(aws.ebs, SnapshotId, { StartingBlockIndex: 40, MaxResults: 100 });
    expect(from(first)).toBe(40);
    const empty = await list(aws.ebs, SnapshotId, { NextToken: first.NextToken, StartingBlockIndex: 7 });
    expect(empty.Blocks).toEqual([]);
    expect(from(await list(aws.ebs, SnapshotId, { NextToken: empty.NextToken, StartingBlockIndex: 7 }))).toBe(140);
    expect((await list(aws.ebs, SnapshotId, { StartingBlockIndex: 2_000 })).Blocks).toEqual([]);
  });

  test('refuses the page token of another snapshot, another kind of listing, an altered one and one an hour old', async () => {
    const aws = await openAws();
    const { VolumeId, SnapshotId } = await written(aws, 250);
    const second = await aws.snapshot(VolumeId);
    const { NextToken = '' } = await list(aws.ebs, SnapshotId, { MaxResults: 100 });
    const refused = 'ValidationException INVALID_PAGE_TOKEN';
    expect(await failureOf(list(aws.ebs, second, { NextToken }))).toBe(refused);
    expect(await failureOf(changed(aws.ebs, SnapshotId, second, { NextToken }))).toBe(refused);
    const altered = `A${NextToken.slice(1)}`;
    expect(altered).not.toBe(NextToken);
    expect(await failureOf(list(aws.ebs, SnapshotId, { NextToken: altered }))).toBe(refused);
    aws.tick(59 * MINUTE_MS);
    expect(await failureOf(list(aws.ebs, SnapshotId, { NextToken }))).toBe('no failure');
    aws.tick(2 * MINUTE_MS);
    expect(await failureOf(list(aws.ebs, SnapshotId, { NextToken }))).toBe(refused);
  });
});

describe('a block token', () => {
  const refused = 'ValidationException INVALID_BLOCK_TOKEN';

  test('opens its own block of its own snapshot only', async () => {
    const aws = await openAws();
    const { VolumeId, SnapshotId } = await written(aws, 2);
    const second = await aws.snapshot(VolumeId);
    const [zero, one] = (await list(aws.ebs, SnapshotId)).Blocks ?? [];
    await list(aws.ebs, second);
    expect(await failureOf(get(aws.ebs, SnapshotId, 0, zero?.BlockToken))).toBe('no failure');
    expect(await failureOf(get(aws.ebs, SnapshotId, 0, one?.BlockToken))).toBe(refused);
    expect(await failureOf(get(aws.ebs, second, 0, zero?.BlockToken))).toBe(refused);
    expect(await failureOf(get(aws.ebs, SnapshotId, 0, 'AAAA'))).toBe(refused);
  });

  test('is another one in the next listing, and the earlier one still holds', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 1);
    const tokens = [];
    for (let i = 0; i < 2; i += 1) tokens.push((await list(aws.ebs, SnapshotId)).Blocks?.[0]?.BlockToken);
    expect(tokens[0]).not.toBe(tokens[1]);
    for (const token of tokens) expect(await failureOf(get(aws.ebs, SnapshotId, 0, token))).toBe('no failure');
  });

  test('ends after seven days', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 1);
    const token = (await list(aws.ebs, SnapshotId)).Blocks?.[0]?.BlockToken;
    aws.tick(7 * DAY_MS - 5 * MINUTE_MS);
    expect(await failureOf(get(aws.ebs, SnapshotId, 0, token))).toBe('no failure');
    aws.tick(5 * MINUTE_MS);
    expect(await failureOf(get(aws.ebs, SnapshotId, 0, token))).toBe(refused);
  });
});

describe('ListChangedBlocks', () => {
  test('tells new, gone and changed blocks apart, and leaves out equal ones', async () => {
    const { ebs, tick } = await openAws();
    const make = async (blocks: Record<number, Buffer>, ParentSnapshotId?: string) => {
      const id = await start(ebs, ParentSnapshotId === undefined ? {} : { ParentSnapshotId });
      for (const [index, bytes] of Object.entries(blocks)) await put(ebs, { id, index: Number(index) }, bytes);
      await complete(ebs, id, Object.values(blocks));
      tick(1_000);
      return id;
    };
    const first = await make({ 1: blockOf('same'), 2: blockOf('old') });
    const second = await make({ 2: blockOf('new'), 9: blockOf('added') }, first);
    const forth = await changed(ebs, first, second);
    const shape = (page: typeof forth) =>
      page.ChangedBlocks?.map(({ BlockIndex, FirstBlockToken, SecondBlockToken }) => [
        BlockIndex,
        FirstBlockToken !== undefined,
        SecondBlockToken !== undefined,
      ]);
    expect(shape(forth)).toEqual([
      [2, true, true],
      [9, false, true],
    ]);
    const block = await get(ebs, second, 2, forth.ChangedBlocks?.[0]?.SecondBlockToken);
    expect(Buffer.from((await block.BlockData?.transformToByteArray()) ?? []).equals(blockOf('new'))).toBe(true);
    // Seen the other way round, the added block is one that is gone.
    expect(shape(await changed(ebs, second, first))).toEqual([
      [2, true, true],
      [9, true, false],
    ]);
  });

  test('works between snapshots of one volume, across its growth', async () => {
    const aws = await openAws();
    const { VolumeId, SnapshotId } = await written(aws, 3);
    await aws.ec2.send(new ModifyVolumeCommand({ VolumeId, Size: 2 }));
    await aws.write(VolumeId, 4_000 * BLOCK_BYTES, blockOf('beyond'));
    const second = await aws.snapshot(VolumeId);
    const page = await changed(aws.ebs, SnapshotId, second);
    expect(page).toMatchObject({ VolumeSize: 2, ChangedBlocks: [{ BlockIndex: 4_000 }] });
    expect(page.ChangedBlocks).toHaveLength(1);
  });

  test('comes in pages as well', async () => {
    const aws = await openAws();
    const { VolumeId, SnapshotId } = await written(aws, 1);
    await aws.write(VolumeId, 0, Buffer.concat(Array<Buffer>(150).fill(blockOf('next'))));
    const second = await aws.snapshot(VolumeId);
    const sizes: (number | undefined)[] = [];
    let NextToken: string | undefined;
    do {
      const page = await changed(aws.ebs, SnapshotId, second, { NextToken, MaxResults: 100 });
      sizes.push(page.ChangedBlocks?.length);
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    expect(sizes).toEqual([100, 0, 50]);
  });

  test('follows a volume made from a snapshot, and refuses snapshots of unrelated volumes', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 1);
    const { VolumeId = '' } = await aws.ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, SnapshotId }),
    );
    await aws.write(VolumeId, BLOCK_BYTES, blockOf('more'));
    const child = await aws.snapshot(VolumeId);
    expect((await changed(aws.ebs, SnapshotId, child)).ChangedBlocks?.map((it) => it.BlockIndex)).toEqual([1]);
    const { SnapshotId: unrelated } = await written(aws, 1);
    expect(await failureOf(changed(aws.ebs, SnapshotId, unrelated))).toBe('ValidationException UNRELATED_SNAPSHOTS');
  });
});

describe('rights', () => {
  const SNAPSHOTS = `arn:aws:ec2:${REGION}::snapshot/*`;
  const ours = { 'managed-by': 'domicile', 'domicile:tenant': 'ten_eu_1' };
  const conditionOn = (kind: string) => ({
    StringEquals: Object.fromEntries(Object.entries(ours).map(([key, value]) => [`aws:${kind}/${key}`, value])),
  });
  const READ = ['ebs:ListSnapshotBlocks', 'ebs:ListChangedBlocks', 'ebs:GetSnapshotBlock'];
  const refused = 'AccessDeniedException UNAUTHORIZED_ACCOUNT';
  const tag = ({ ec2 }: Aws, id: string, tags: Record<string, string>) =>
    ec2.send(
      new CreateTagsCommand({ Resources: [id], Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
    );

  test('to read end at the tags of the snapshot, of both of them for changes', async () => {
    const aws = await openAws();
    const { VolumeId, SnapshotId } = await written(aws, 1);
    const second = await aws.snapshot(VolumeId);
    const reader = await aws.as(allow(READ, SNAPSHOTS, conditionOn('ResourceTag')));
    expect(await failureOf(list(reader.ebs, SnapshotId))).toBe(refused);
    await tag(aws, SnapshotId, ours);
    const page = await list(reader.ebs, SnapshotId);
    expect(await failureOf(get(reader.ebs, SnapshotId, 0, page.Blocks?.[0]?.BlockToken))).toBe('no failure');
    expect(await failureOf(changed(reader.ebs, SnapshotId, second))).toBe(refused);
    await tag(aws, second, { ...ours, 'domicile:tenant': 'ten_eu_2' });
    expect(await failureOf(changed(reader.ebs, SnapshotId, second))).toBe(refused);
    await tag(aws, second, ours);
    expect(await failureOf(changed(reader.ebs, SnapshotId, second))).toBe('no failure');
  });

  test('that are missing hide whether a snapshot exists', async () => {
    const aws = await openAws();
    const { SnapshotId } = await written(aws, 1);
    const nobody = await aws.as(allow('ec2:DescribeSnapshots'));
    expect(await failureOf(list(nobody.ebs, SnapshotId))).toBe(refused);
    expect(await failureOf(list(nobody.ebs, 'snap-0123456789abcdef0'))).toBe(refused);
  });

  test('of a session end at the snapshots that its session policy names', async () => {
    const aws = await openAws();
    const [one, two] = [await written(aws, 1), await written(aws, 1)];
    const named = policyOf(allow(READ, `arn:aws:ec2:${REGION}::snapshot/${one.SnapshotId}`));
    const session = await aws.asSession(policyOf(allow(READ, SNAPSHOTS)), named);
    expect(await failureOf(list(session.ebs, one.SnapshotId))).toBe('no failure');
    expect(await failureOf(list(session.ebs, two.SnapshotId))).toBe(refused);
  });

  test('to start end at the request’s tags and size, and tagging needs its own right', async () => {
    const aws = await openAws();
    const Tags = Object.entries(ours).map(([Key, Value]) => ({ Key, Value }));
    const starting = allow('ebs:StartSnapshot', SNAPSHOTS, {
      ...conditionOn('RequestTag'),
      NumericLessThanEquals: { 'ebs:VolumeSize': '10' },
    });
    const untagged = await aws.as(starting);
    expect(await failureOf(start(untagged.ebs, { Tags }))).toBe(refused);
    const tagging = allow('ec2:CreateTags', SNAPSHOTS, { StringEquals: { 'ec2:CreateAction': 'StartSnapshot' } });
    const right = await aws.as(starting, tagging);
    expect(await failureOf(start(right.ebs, { Tags }))).toBe('no failure');
    expect(await failureOf(start(right.ebs, { Tags, VolumeSize: 11 }))).toBe(refused);
    expect(await failureOf(start(right.ebs))).toBe(refused);
    expect(await failureOf(put(right.ebs, { id: await start(aws.ebs, { Tags }), index: 0 }, blockOf('a')))).toBe(
      refused,
    );
  });
});
