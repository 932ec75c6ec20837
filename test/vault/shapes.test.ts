import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encode } from '../../src/vault/codec.ts';
import { differences, expectedOf, restoreShape } from './shape-run.ts';
import { at, chaos, range, text, zero } from './shapes.ts';
import { HISTORIES } from './shapes-histories.ts';
import { anyShape } from './shapes-random.ts';
import { SINGLE } from './shapes-single.ts';

describe('byte for byte comes back a volume', () => {
  test.each(Object.entries(SINGLE))('%s', async (_, shape) => {
    expect(await restoreShape(shape)).toEqual(expectedOf(shape));
  });
});

test('byte for byte comes back every point of a random volume', async () => {
  const property = fc.asyncProperty(anyShape, async (shape) => {
    expect(await restoreShape(shape)).toEqual(expectedOf(shape));
  });
  await fc.assert(property, { numRuns: 15 });
});

test('there are more than a hundred shapes, and those at the border of compression are on both sides of it', () => {
  expect(Object.keys({ ...SINGLE, ...HISTORIES }).length).toBeGreaterThan(100);
  const border = SINGLE['whose blocks save about a sixteenth']?.images[0]?.content.values() ?? [];
  expect(new Set([...border].map((bytes) => encode(bytes).codec))).toEqual(new Set([0, 1]));
});

test('one bit, one block too few or too many would be noticed; zeros and absence are the same', () => {
  const image = at(range(0, 10));
  const bit = text(4).map((byte, n) => (n === 511 ? byte ^ 1 : byte));
  const flipped = new Map(image).set(3, chaos(3)).set(4, bit);
  expect(differences(image, flipped)).toEqual([3, 4]);
  expect(differences(image, at(range(0, 9)))).toEqual([9]);
  expect(differences(image, at(range(0, 11)))).toEqual([10]);
  expect(differences(image, new Map(image).set(11, zero(11)))).toEqual([]);
});
