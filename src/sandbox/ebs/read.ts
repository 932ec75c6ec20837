import { BLOCK_BYTES, type BlockMap } from '../blocks/block-store.ts';
import type { Snapshot } from '../ec2/model.ts';
import type { World } from '../ec2/world-state.ts';
import type { AwsRequest, AwsResponse } from '../service.ts';
import { ebsError, ebsJson, invalid, requireKey, snapshotFor } from './request.ts';
import { BLOCK_TOKEN_MS, type createTokens, PAGE_TOKEN_MS, TOKEN_CHARACTERS } from './tokens.ts';

const PAGE_MIN = 100;
const PAGE_MAX = 10_000;

/** Tokens, and how often each snapshot has been listed: a new listing makes new block tokens. */
export type Lister = { tokens: ReturnType<typeof createTokens>; generations: Map<string, number> };

function readable(world: World, request: AwsRequest, id: string, action: string): Snapshot {
  const snapshot = snapshotFor(world, request, id, action);
  if (snapshot.state !== 'completed')
    throw invalid(`The snapshot '${id}' is not in the completed state.`, 'INVALID_SNAPSHOT_ID');
  return snapshot;
}

const blockBound = (snapshot: Snapshot, index: number) => `block/${snapshot.id}/${index}`;

function blockToken(lister: Lister, snapshot: Snapshot, index: number, nowMs: number): string {
  return lister.tokens.issue(blockBound(snapshot, index), nowMs + BLOCK_TOKEN_MS, lister.generations.get(snapshot.id));
}

type Page<T> = { items: T[]; nextToken: string | undefined };

/**
 * One page of an ascending listing. After the first page of a longer listing comes an empty one with a token, as AWS's
 * API may send at any time and clients must bear. A page token holds the next index and whether that page was sent.
 */
function page<T>(
  lister: Lister,
  request: AwsRequest,
  options: { bound: string; nowMs: number; items: () => Iterable<[number, T]> },
): Page<T> {
  const { query } = request;
  const size = Math.min(PAGE_MAX, Math.max(PAGE_MIN, Number(query.get('maxResults') ?? PAGE_MAX)));
  const token = query.get('pageToken');
  let from = Number(query.get('startingBlockIndex') ?? 0);
  let afterEmpty = false;
  if (token !== null) {
    const [position, mac] = [token.slice(0, -TOKEN_CHARACTERS), token.slice(-TOKEN_CHARACTERS)];
    if (!lister.tokens.valid(mac, `page/${options.bound}/${position}`, options.nowMs))
      throw invalid('The page token is invalid or has expired.', 'INVALID_PAGE_TOKEN');
    const [index = '0', flag = ''] = Buffer.from(position, 'base64').toString('latin1').split(':');
    from = Number(index);
    afterEmpty = flag === 'e';
  }
  const tokenFor = (index: number, flag: string) => {
    const position = Buffer.from(`${index}:${flag}`).toString('base64');
    return `${position}${lister.tokens.issue(`page/${options.bound}/${position}`, options.nowMs + PAGE_TOKEN_MS)}`;
  };
  if (token !== null && !afterEmpty) return { items: [], nextToken: tokenFor(from, 'e') };
  const items: T[] = [];
  for (const [index, item] of options.items()) {
    if (index < from) continue;
    if (items.length === size) return { items, nextToken: tokenFor(index, afterEmpty ? 'e' : '') };
    items.push(item);
  }
  return { items, nextToken: undefined };
}

const ascending = (map: BlockMap) => [...map.keys()].toSorted((a, b) => a - b);
const facts = (snapshot: Snapshot, nowMs: number) => ({
  VolumeSize: snapshot.sizeGiB,
  BlockSize: BLOCK_BYTES,
  ExpiryTime: (nowMs + BLOCK_TOKEN_MS) / 1000,
});

function startListing(lister: Lister, request: AwsRequest, snapshots: readonly Snapshot[]): void {
  if (request.query.get('pageToken') !== null) return;
  for (const { id } of snapshots) lister.generations.set(id, (lister.generations.get(id) ?? 0) + 1);
}

export function listBlocks(
  world: World,
  lister: Lister,
  request: AwsRequest,
  [id = '']: readonly string[],
): AwsResponse {
  const snapshot = readable(world, request, id, 'ListSnapshotBlocks');
  requireKey(world, request, snapshot, ['kms:Decrypt']);
  startListing(lister, request, [snapshot]);
  const nowMs = world.clock.now().getTime();
  function* items(): Iterable<[number, { BlockIndex: number; BlockToken: string }]> {
    for (const index of ascending(snapshot.blocks)) {
      yield [
        index,
        {
          BlockIndex: index,
          BlockToken: blockToken(lister, snapshot, index, nowMs),
        },
      ];
    }
  }
  const { items: Blocks, nextToken } = page(lister, request, { bound: snapshot.id, nowMs, items });
  return ebsJson(200, { Blocks, ...facts(snapshot, nowMs), NextToken: nextToken });
}

export function listChangedBlocks(
  world: World,
  lister: Lister,
  request: AwsRequest,
  [id = '']: readonly string[],
): AwsResponse {
  const second = readable(world, request, id, 'ListChangedBlocks');
  const firstId = request.query.get('firstSnapshotId');
  if (firstId === null) throw invalid('The parameter firstSnapshotId is missing.');
  const first = readable(world, request, firstId, 'ListChangedBlocks');
  if (first.lineage !== second.lineage)
    throw invalid(`The snapshots '${first.id}' and '${second.id}' are not related.`, 'UNRELATED_SNAPSHOTS');
  requireKey(world, request, second, ['kms:Decrypt']);
  startListing(lister, request, [first, second]);
  const nowMs = world.clock.now().getTime();
  const token = (snapshot: Snapshot, index: number) =>
    snapshot.blocks.has(index) ? blockToken(lister, snapshot, index, nowMs) : undefined;
  function* items(): Iterable<[number, object]> {
    const all = new Map([...first.blocks, ...second.blocks]);
    for (const index of ascending(all)) {
      // Equal contents share a slot, so equal slots mean an unchanged block.
      if (first.blocks.get(index) === second.blocks.get(index)) continue;
      yield [
        index,
        { BlockIndex: index, FirstBlockToken: token(first, index), SecondBlockToken: token(second, index) },
      ];
    }
  }
  const { items: ChangedBlocks, nextToken } = page(lister, request, {
    bound: `${first.id}/${second.id}`,
    nowMs,
    items,
  });
  return ebsJson(200, { ChangedBlocks, ...facts(second, nowMs), NextToken: nextToken });
}

export async function getBlock(
  world: World,
  lister: Lister,
  request: AwsRequest,
  [id = '', at = '']: readonly string[],
): Promise<AwsResponse> {
  const snapshot = readable(world, request, id, 'GetSnapshotBlock');
  const index = Number(at);
  const token = request.query.get('blockToken') ?? '';
  if (!lister.tokens.valid(token, blockBound(snapshot, index), world.clock.now().getTime())) {
    throw invalid('The block token is invalid or has expired.', 'INVALID_BLOCK_TOKEN');
  }
  const slot = snapshot.blocks.get(index);
  if (slot === undefined)
    throw ebsError('ResourceNotFoundException', 404, `The block ${index} was never written.`, 'SNAPSHOT_NOT_FOUND');
  requireKey(world, request, snapshot, ['kms:Decrypt']);
  const sha256 = world.blocks.sha256(slot);
  const body = await world.blocks.get(slot);
  return {
    status: 200,
    headers: {
      'content-type': 'application/octet-stream',
      'x-amz-data-length': String(BLOCK_BYTES),
      'x-amz-checksum': sha256,
      'x-amz-checksum-algorithm': 'SHA256',
    },
    body,
    sent: () => world.blocks.recycle(body),
  };
}
