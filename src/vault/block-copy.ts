import { Fault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import { type Encoded, encode, isZero } from './codec.ts';
import type { DedupIndex } from './dedup.ts';
import type { StoredBlock } from './leaf.ts';
import type { ManifestWriter } from './manifest-writer.ts';
import { blockId, type PackWriter } from './pack-writer.ts';
import { assertNotAborted, mapInOrder, type RunOptions } from './pipeline.ts';
import type { BlockChange, BlockSource } from './ports.ts';

/**
 * Blocks that are being fetched, checked or compressed, or wait for their turn in a pack. With both forms of each block in
 * memory, and the packs being filled and sent, a run needs about 64 × 1 MiB + 5 × 16 MiB, whatever the volume's size.
 */
export const WINDOW_BLOCKS = 64;

/** A block that has something in it. `encoded` is null when the same is stored already. */
type Content = { id: Uint8Array; sha256: Uint8Array; encoded: Encoded | null };
type Fetched = { index: number; content: Content | null; read: boolean };

export type CopyDeps = { idKey: Uint8Array; known: DedupIndex; packs: PackWriter; pages: ManifestWriter };

/** Fetches one change and gets it ready to be sealed. No content is a block of zeros, which is not stored. */
async function fetchBlock(source: BlockSource, change: BlockChange, { idKey, known }: CopyDeps): Promise<Fetched> {
  const { index, token } = change;
  if (token === null) return { index, content: null, read: false };
  const fetched = await source.fetch({ index, token });
  if (fetched.bytes.length !== source.blockBytes || !equalBytes(sha256(fetched.bytes), fetched.sha256))
    throw new Fault('block_checksum_mismatch', `Block ${index} is not what its checksum says.`);
  if (isZero(fetched.bytes)) return { index, content: null, read: true };
  const id = blockId(idKey, fetched.sha256);
  const encoded = known.find(id) ? null : await encode(fetched.bytes);
  return { index, content: { id, sha256: fetched.sha256, encoded }, read: true };
}

/** Refuses a listing that would put blocks in the wrong place. */
function createOrderCheck(source: BlockSource) {
  const end = Math.ceil(source.volumeBytes / source.blockBytes);
  let last = -1;
  return (index: number) => {
    if (!Number.isInteger(index) || index <= last || index >= end)
      throw new Fault('internal', 'The source listed a block out of order or beyond the end of the volume.');
    last = index;
  };
}

/** Where a block lies: where the same one lies already, else its new place. */
async function place({ id, sha256: digest, encoded }: Content, { known, packs }: CopyDeps): Promise<StoredBlock> {
  const same = known.find(id);
  if (same) return same;
  if (!encoded) throw new Fault('internal', 'A block that was known is known no more.');
  const block = await packs.add(encoded, id, digest);
  known.add(id, block);
  return block;
}

/** Takes every change from the source into packs and pages, and waits until all of them are stored. */
export async function copyBlocks(
  source: BlockSource,
  listing: { items: AsyncIterable<BlockChange>; total: () => number | null },
  deps: CopyDeps,
  options: RunOptions,
): Promise<{ blocksRead: number }> {
  const checkOrder = createOrderCheck(source);
  let blocksDone = 0;
  let blocksRead = 0;
  const fetching = mapInOrder(listing.items, WINDOW_BLOCKS, async (change) => {
    assertNotAborted(options.signal);
    return fetchBlock(source, change, deps);
  });
  for await (const { index, content, read } of fetching) {
    assertNotAborted(options.signal);
    checkOrder(index);
    await deps.pages.set(index, content && (await place(content, deps)));
    blocksDone += 1;
    if (read) blocksRead += 1;
    options.onProgress?.({ blocksDone, blocksTotal: listing.total(), bytesStored: deps.packs.bytesStored() });
  }
  await deps.pages.closePages();
  return { blocksRead };
}
