import { expect, test } from 'vitest';
import { openSnapshotSource } from '../../src/aws/ebs-source.ts';
import { written } from '../sandbox/ebs-calls.ts';
import { type Aws, blockOf, openAws, REGION } from '../sandbox/world.ts';

const HOUR_MS = 3_600_000;
/** The listings say where blocks are; none is fetched. */
const NO_BLOCKS = {
  get: () => Promise.reject(new Error('no block')),
  put: () => Promise.reject(new Error('no block')),
};

/** Pages of 100 blocks, not 10,000: 250 blocks make three, with an empty one between. */
function inSmallPages({ ebs }: Aws) {
  ebs.middlewareStack.add((next) => (args) => next({ ...args, input: { ...args.input, MaxResults: 100 } }), {
    step: 'initialize',
  });
  return { ebs, lean: { blocks: NO_BLOCKS } };
}

async function indexesOf(listing: AsyncIterable<{ index: number }>, each = () => {}): Promise<number[]> {
  const indexes: number[] = [];
  for await (const { index } of listing) {
    indexes.push(index);
    each();
  }
  return indexes;
}
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test('a listing goes on behind an empty page', async () => {
  const aws = await openAws();
  const { SnapshotId } = await written(aws, 250);
  const source = await openSnapshotSource(inSmallPages(aws), REGION, SnapshotId);
  expect(await indexesOf(source.list(0))).toEqual(upTo(250));
  expect(await indexesOf(source.list(60))).toEqual(upTo(250).slice(60));
});

test('a listing of what changed goes on behind an empty page', async () => {
  const aws = await openAws();
  const { VolumeId, SnapshotId: base } = await written(aws, 1);
  await aws.write(VolumeId, 0, Buffer.concat(upTo(250).map((n) => blockOf(`new ${n}`))));
  const source = await openSnapshotSource(inSmallPages(aws), REGION, await aws.snapshot(VolumeId));
  expect(await indexesOf((await source.listChanged(base, 0)) ?? expect.fail('not related'))).toEqual(upTo(250));
});

test('a listing whose page tokens grow old goes on where it was, and repeats nothing', async () => {
  const aws = await openAws();
  const { SnapshotId } = await written(aws, 250);
  const source = await openSnapshotSource(inSmallPages(aws), REGION, SnapshotId);
  let seen = 0;
  const indexes = indexesOf(source.list(0), () => {
    seen += 1;
    if (seen === 100) aws.tick(2 * HOUR_MS);
  });
  expect(await indexes).toEqual(upTo(250));
});
