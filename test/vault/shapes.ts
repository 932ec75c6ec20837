import type { MemoryImage } from '../../src/vault/memory.ts';
import { LEAF_BLOCKS } from '../../src/vault/leaf.ts';
import { NODE_LEAVES } from '../../src/vault/node.ts';
import { block, noise } from './fixture.ts';

/** What an image is compared with: the point before it, the first one, or none. */
export type Base = 'previous' | 'first' | 'none';
/** What happened to the base since: its snapshot or its manifest is gone. */
export type Loss = 'snapshot' | 'manifest';

export type Image = {
  content: MemoryImage;
  /** Size of the volume at that time, in blocks; the last one may stand for part of a block. */
  blocks: number;
  base: Base;
  lost?: Loss;
  kind: 'full' | 'incremental';
  reason: string | null;
};

/**
 * The history of one volume: each image becomes a point. `packBytes` is when a pack is closed, if not at what 32 blocks take:
 * that is how it is with blocks of EBS. `keeps` says which points a prune leaves at the end.
 */
export type Shape = {
  blockBytes: number;
  images: readonly Image[];
  packBytes?: number;
  keeps?: (point: number) => boolean;
};

/** Enough for the engine: it takes the block size from the source. */
export const SMALL = 512;
export const LEAF = LEAF_BLOCKS;
export const NODE = LEAF_BLOCKS * NODE_LEAVES;
/** Blocks of EBS, and of the largest volume it has. */
export const REAL = 524_288;
export const MAX_BLOCKS = 2 ** 27;

export const text = (seed: number, blockBytes = SMALL) => block(seed, blockBytes);
export const chaos = (seed: number, blockBytes = SMALL) => noise(seed + 1, blockBytes);
export const zero = (_: number, blockBytes = SMALL) => new Uint8Array(blockBytes);

type Make = (index: number) => Uint8Array;

/** Indexes from `from` to before `to`. */
export const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, n) => from + n * step);

export const at = (indexes: Iterable<number>, make: Make = text): Map<number, Uint8Array> =>
  new Map([...indexes].map((index) => [index, make(index)]));

/** Later ones over earlier ones. */
export const over = (...layers: readonly MemoryImage[]): MemoryImage => new Map(layers.flatMap((layer) => [...layer]));

export const without = (content: MemoryImage, indexes: Iterable<number>): MemoryImage => {
  const gone = new Set(indexes);
  return new Map([...content].filter(([index]) => !gone.has(index)));
};

/** A volume of one image. */
export const once = (blocks: number, content: MemoryImage, blockBytes = SMALL): Shape => ({
  blockBytes,
  images: [{ content, blocks, base: 'none', kind: 'full', reason: null }],
});

export type Next = Partial<Omit<Image, 'content'>> & { content: MemoryImage };

/** A volume of several images, each after the first an incremental of the one before unless it says otherwise. */
export function chain(blocks: number, first: MemoryImage, ...rest: readonly (MemoryImage | Next)[]): Shape {
  const images: Image[] = [{ content: first, blocks, base: 'none', kind: 'full', reason: null }];
  for (const one of rest) {
    const next: Next = 'content' in one ? one : { content: one };
    const blocksBefore = images.at(-1)?.blocks ?? blocks;
    images.push({ blocks: blocksBefore, base: 'previous', kind: 'incremental', reason: null, ...next });
  }
  return { blockBytes: SMALL, images };
}
