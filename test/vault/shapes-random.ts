import fc from 'fast-check';
import type { MemoryImage } from '../../src/vault/memory.ts';
import {
  at,
  chaos,
  type Image,
  LEAF,
  MAX_BLOCKS,
  NODE,
  over,
  range,
  type Shape,
  text,
  without,
  zero,
} from './shapes.ts';

/** A run of blocks: where it begins (of the volume's size), how many, how far apart. */
const write = fc.record({
  from: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  count: fc.integer({ min: 1, max: 60 }),
  step: fc.constantFrom(1, 1, 1, 2, 63, 64, 255, 256, 257, LEAF - 1, LEAF, LEAF + 1, NODE),
  content: fc.constantFrom('text', 'noise', 'zeros', 'gone', 'equal', 'moved' as const),
  seed: fc.nat(3),
});
const image = fc.record({
  writes: fc.array(write, { maxLength: 5 }),
  base: fc.constantFrom('previous', 'previous', 'previous', 'first', 'none' as const),
  lost: fc.nat(4).map((n) => n === 0),
  grows: fc.constantFrom(0, 0, 1, LEAF, NODE),
  kept: fc.boolean(),
});
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;
type Step = typeof image extends fc.Arbitrary<infer T> ? T : never;

function written(before: MemoryImage, blocks: number, { from, count, step, content, seed }: Write, blockBytes: number) {
  const start = Math.floor(from * blocks);
  const indexes = range(start, start + count * step, step).filter((index) => index < blocks);
  if (content === 'gone') return without(before, indexes);
  const had = [...before.values()];
  const make = {
    text: (index: number) => text(seed * 10 + (index % 7_919), blockBytes),
    noise: (index: number) => chaos(seed * 10 + (index % 7_919), blockBytes),
    zeros: (index: number) => zero(index, blockBytes),
    equal: () => text(seed, blockBytes),
    moved: (index: number) => had[index % had.length] ?? text(index, blockBytes),
  }[content];
  return over(before, at(indexes, make));
}

function shapeOf(blockBytes: number, firstBlocks: number, steps: readonly Step[], prunes: boolean): Shape {
  const images: Image[] = [];
  let content: MemoryImage = new Map();
  let blocks = firstBlocks;
  for (const step of steps) {
    blocks += images.length === 0 ? 0 : step.grows;
    for (const one of step.writes) content = written(content, blocks, one, blockBytes);
    const base = images.length === 0 ? 'none' : step.base;
    const lost = step.lost && base !== 'none';
    const kind = base === 'none' || lost ? 'full' : 'incremental';
    const reason = lost ? 'lineage_lost' : null;
    images.push({ content, blocks, base, kind, reason, ...(lost ? { lost: 'snapshot' as const } : {}) });
  }
  return { blockBytes, images, ...(prunes ? { keeps: (point) => steps[point]?.kept ?? false } : {}) };
}

/** Volumes that nobody thought of. */
export const anyShape: fc.Arbitrary<Shape> = fc
  .tuple(
    fc.constantFrom(64, 512, 1_000, 4_096),
    fc.oneof(fc.integer({ min: 1, max: 3 * LEAF }), fc.constantFrom(LEAF, 3 * NODE, MAX_BLOCKS)),
    fc.array(image, { minLength: 1, maxLength: 6 }),
    fc.boolean(),
  )
  .map((parts) => shapeOf(...parts));
