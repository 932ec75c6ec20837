import { type EBSClient, ListChangedBlocksCommand, ListSnapshotBlocksCommand } from '@aws-sdk/client-ebs';
import { Fault, isFault } from '../core/faults.ts';
import type { BlockChange, BlockRef, BlockSource } from '../vault/ports.ts';
import { asking, reasonOf, toAwsFault } from './faults.ts';
import type { BlockCalls } from './lean/blocks.ts';

const PAGE_BLOCKS = 10_000;
const GIB = 2 ** 30;
/** A block that is cut short, or whose token is old, is asked for again. */
const FETCH_ATTEMPTS = 3;

type Page<T> = { items: readonly T[]; nextToken: string | undefined };

/**
 * Walks a listing page by page. An empty page with a token is ordinary. A page token lives an hour and may be refused: the
 * walk then goes on from the block after the last one it gave out.
 */
async function* walk<T extends { index: number }>(
  start: number,
  ask: (from: { token: string } | { index: number }) => Promise<Page<T>>,
): AsyncGenerator<T> {
  let token: string | undefined;
  let index = start;
  for (;;) {
    let page: Page<T>;
    try {
      page = await ask(token === undefined ? { index } : { token });
    } catch (error) {
      if (token === undefined || reasonOf(error) !== 'INVALID_PAGE_TOKEN') throw error;
      token = undefined;
      continue;
    }
    for (const item of page.items) {
      index = item.index + 1;
      yield item;
    }
    if (!page.nextToken) return;
    token = page.nextToken;
  }
}

const position = (from: { token: string } | { index: number }) =>
  'token' in from ? { NextToken: from.token } : { StartingBlockIndex: from.index };

/** An EBS snapshot as the engine reads it. */
export async function openSnapshotSource(
  clients: { ebs: EBSClient; lean: { blocks: BlockCalls } },
  awsRegion: string,
  snapshotId: string,
): Promise<BlockSource> {
  const { ebs } = clients;
  const ask = async (from: { token: string } | { index: number }) =>
    ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: snapshotId, MaxResults: PAGE_BLOCKS, ...position(from) }));
  const first = await asking(`list blocks of ${snapshotId}`, awsRegion, () =>
    ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: snapshotId, MaxResults: 100 })),
  );
  return {
    ...openBlockFetch(clients, awsRegion, snapshotId),
    volumeBytes: (first.VolumeSize ?? 0) * GIB,
    blockBytes: first.BlockSize ?? 0,
    list: (start) =>
      faults(
        `list blocks of ${snapshotId}`,
        awsRegion,
        walk<BlockRef>(start, async (from) => {
          const page = await ask(from);
          return {
            items: (page.Blocks ?? []).map((block) => ({
              index: block.BlockIndex ?? 0,
              token: block.BlockToken ?? '',
            })),
            nextToken: page.NextToken,
          };
        }),
      ),
    listChanged: (base, start) => listChanged(ebs, awsRegion, { snapshotId, base, start }),
  };
}

/** The blocks of a snapshot that somebody else has listed. */
export function openBlockFetch(
  clients: { ebs: EBSClient; lean: { blocks: BlockCalls } },
  awsRegion: string,
  snapshotId: string,
): Pick<BlockSource, 'fetch'> {
  const refresh = createTokenRefresh(clients.ebs, awsRegion, snapshotId);
  return { fetch: (ref, into) => fetchBlock(clients.lean.blocks, awsRegion, { snapshotId, ref, refresh, into }) };
}

async function* faults<T>(doing: string, awsRegion: string, items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw toAwsFault(error, doing, awsRegion);
  }
}

/** A listing of what changed; null when AWS says that the two are not related, or the base is gone or cannot be read (archived). */
async function listChanged(
  ebs: EBSClient,
  awsRegion: string,
  { snapshotId, base, start }: { snapshotId: string; base: string; start: number },
): Promise<AsyncIterable<BlockChange> | null> {
  const changes = walk<BlockChange>(start, async (from) => {
    const page = await ebs.send(
      new ListChangedBlocksCommand({
        FirstSnapshotId: base,
        SecondSnapshotId: snapshotId,
        MaxResults: PAGE_BLOCKS,
        ...position(from),
      }),
    );
    const items = (page.ChangedBlocks ?? []).map((block) => ({
      index: block.BlockIndex ?? 0,
      token: block.SecondBlockToken ?? null,
    }));
    return { items, nextToken: page.NextToken };
  });
  try {
    const first = await changes.next();
    return faults(`list changed blocks of ${snapshotId}`, awsRegion, resumed(first, changes));
  } catch (error) {
    const fault = toAwsFault(error, `compare ${snapshotId} with ${base}`, awsRegion);
    const unusable =
      fault.code === 'snapshots_unrelated' ||
      fault.code === 'aws_resource_not_found' ||
      reasonOf(error) === 'INVALID_SNAPSHOT_ID';
    if (unusable) return null;
    throw fault;
  }
}

async function* resumed<T>(first: IteratorResult<T, unknown>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

/** A new token for one block: tokens live seven days, and less when somebody else lists the snapshot. */
function createTokenRefresh(ebs: EBSClient, awsRegion: string, snapshotId: string) {
  return async (index: number): Promise<string> => {
    const doing = `list block ${index} of ${snapshotId}`;
    const page = await asking(doing, awsRegion, () =>
      ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: snapshotId, MaxResults: 100, StartingBlockIndex: index })),
    );
    const block = page.Blocks?.find((candidate) => candidate.BlockIndex === index);
    if (!block?.BlockToken) throw new Fault('aws_resource_not_found', `Block ${index} of ${snapshotId} is gone.`);
    return block.BlockToken;
  };
}

/** Reads one block with the SHA-256 that AWS sent: the engine holds one to the other. */
async function fetchBlock(
  blocks: BlockCalls,
  awsRegion: string,
  options: {
    snapshotId: string;
    ref: BlockRef;
    refresh: (index: number) => Promise<string>;
    into: Uint8Array | undefined;
  },
): Promise<{ bytes: Uint8Array; sha256: Uint8Array }> {
  const { snapshotId, ref, into } = options;
  let { token } = ref;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { bytes, dataLength, checksum } = await blocks.get({ snapshotId, index: ref.index, token, into });
      if (bytes.length === dataLength) return { bytes, sha256: Buffer.from(checksum, 'base64') };
      throw new Fault('block_checksum_mismatch', `Block ${ref.index} of ${snapshotId} is not as long as AWS said.`);
    } catch (error) {
      const again = isFault(error, 'block_checksum_mismatch') || reasonOf(error) === 'INVALID_BLOCK_TOKEN';
      if (!again || attempt === FETCH_ATTEMPTS)
        throw toAwsFault(error, `read block ${ref.index} of ${snapshotId}`, awsRegion);
      if (reasonOf(error) === 'INVALID_BLOCK_TOKEN') token = await options.refresh(ref.index);
    }
  }
}
