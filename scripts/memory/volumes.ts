import { createHash } from 'node:crypto';
import {
  type BlockChange,
  type BlockRef,
  type BlockSink,
  type BlockSource,
  BLOCK_BYTES,
} from '../../src/vault/ports.ts';

/** Blocks of 64 TiB, the largest volume of EBS, and what one leaf and one node of a manifest speak of (docs/format.md). */
const BLOCKS_64_TIB = 2 ** 27;
const LEAF_BLOCKS = 1_024;
const NODE_BLOCKS = 512 * LEAF_BLOCKS;

/** A volume that is made up as it is read: `at(n)` is the index of the n-th written block. */
export type Volume = { blockBytes: number; blocks: number; written: number; at: (n: number) => number };
export type VolumeName = 'gib' | 'sparse' | 'pages' | 'index';

export const VOLUMES: Record<VolumeName, Volume & { what: string }> = {
  gib: { what: '1 GiB, all written', blockBytes: BLOCK_BYTES, blocks: 2_048, written: 2_048, at: (n) => n },
  sparse: {
    what: '64 TiB, eight blocks in each of the 256 nodes',
    blockBytes: BLOCK_BYTES,
    blocks: BLOCKS_64_TIB,
    written: 2_048,
    at: (n) => Math.floor(n / 8) * NODE_BLOCKS + (n % 8) * 64 * LEAF_BLOCKS + (n % LEAF_BLOCKS),
  },
  pages: {
    what: 'as many manifest pages as 64 TiB have: a block of 4 KiB in each of 131,072 leaves',
    blockBytes: 4_096,
    blocks: BLOCKS_64_TIB,
    written: BLOCKS_64_TIB / LEAF_BLOCKS,
    at: (n) => n * LEAF_BLOCKS + (n % LEAF_BLOCKS),
  },
  index: {
    what: 'more blocks than the index of known ones holds: 700,000 of 512 bytes',
    blockBytes: 512,
    blocks: 700_000,
    written: 700_000,
    at: (n) => n,
  },
};

/** What an incremental finds changed: one written block in so many. */
const CHANGED_EVERY = 32;
export const changedOf = ({ written }: Volume) => Math.ceil(written / CHANGED_EVERY);

const pool = Buffer.alloc(BLOCK_BYTES);
for (let at = 0; at < pool.length; at += 32) createHash('sha256').update(String(at)).digest().copy(pool, at);

/** Half of it does not compress. */
function fill(bytes: Uint8Array, index: number, generation: number): void {
  bytes.fill(7);
  bytes.set(pool.subarray(0, bytes.length / 2));
  const stamp = Buffer.from(bytes.buffer, bytes.byteOffset, 16);
  stamp.writeDoubleBE(index, 0);
  stamp.writeDoubleBE(generation, 8);
}

/** An image of a volume: its first, or the one after the changes. Nothing of it is kept. */
export function openImage(volume: Volume, generation: 0 | 1): BlockSource {
  const { blockBytes, blocks, written, at } = volume;
  async function* list(every: number): AsyncGenerator<BlockRef> {
    for (let n = 0; n < written; n += every) yield { index: at(n), token: `token-${n}`.padEnd(100, '.') };
  }
  const hasChanged = (token: string) => generation === 1 && Number.parseInt(token.slice(6), 10) % CHANGED_EVERY === 0;
  return {
    volumeBytes: blocks * blockBytes,
    blockBytes,
    list: () => list(1),
    listChanged: async (): Promise<AsyncIterable<BlockChange>> => list(CHANGED_EVERY),
    async fetch({ index, token }, into = new Uint8Array(blockBytes)) {
      await new Promise((resolve) => setImmediate(resolve));
      fill(into, index, hasChanged(token) ? 1 : 0);
      return { bytes: into, sha256: createHash('sha256').update(into).digest() };
    },
  };
}

/** Takes blocks and forgets them. */
export const discard: Pick<BlockSink, 'put' | 'complete'> = { put: async () => {}, complete: async () => {} };
