import { zstdCompressSync, constants } from 'node:zlib';
import { expect, test } from 'vitest';
import { blockAt } from '../../scripts/bench/image.ts';

const indexes = Array.from({ length: 60 }, (_, index) => index);

test('an image is the same each time it is generated', () => {
  for (const index of indexes.slice(0, 8)) expect(blockAt(index, 0)).toEqual(blockAt(index, 0));
});

test('text compresses about 2.5:1 under zstd-1, and some blocks do not compress', () => {
  const ratios = indexes.flatMap((index) => {
    const block = blockAt(index, 0);
    if (!block) return [];
    const packed = zstdCompressSync(block, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
    return [block.length / packed.length];
  });
  const text = ratios.filter((ratio) => ratio > 1.07);
  expect(ratios.length).toBeLessThan(indexes.length);
  expect(text.length).toBeLessThan(ratios.length);
  for (const ratio of text) expect(ratio).toSatisfy((value: number) => value > 2.2 && value < 2.9);
});
