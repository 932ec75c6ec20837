import type { MemoryImage } from '../../src/vault/memory.ts';
import {
  at,
  chain,
  chaos,
  LEAF,
  MAX_BLOCKS,
  NODE,
  over,
  range,
  REAL,
  type Shape,
  text,
  without,
  zero,
} from './shapes.ts';

const SIZE = 64;
const some = at(range(0, 60));
/** Three leaves, each with its first block, its last, and every third. */
const three = at([...range(0, 3 * LEAF, 3), LEAF - 1, 2 * LEAF - 1, 3 * LEAF - 1]);
const dense = at(range(0, LEAF + 200));
/** The same bytes elsewhere. */
const moved = (content: MemoryImage, to: (index: number) => number): MemoryImage =>
  new Map([...content].map(([index, bytes]) => [to(index), bytes]));
const fresh = (n: number) => text(100_000 + n);

const CHANGES: Record<string, Shape> = {
  'in which nothing changes': chain(SIZE, some, some),
  'in which one block changes': chain(SIZE, some, over(some, at([7], fresh))),
  'in which the first and last block change': chain(SIZE, some, over(some, at([0, 59], fresh))),
  'in which all blocks change': chain(SIZE, some, at(range(0, 60), fresh)),
  'in which a block appears': chain(SIZE, some, over(some, at([62], fresh))),
  'in which a block is gone': chain(SIZE, some, without(some, [7])),
  'in which a block is overwritten with zeros': chain(SIZE, some, over(some, at([7], zero))),
  'in which a block is gone and comes back': chain(SIZE, some, without(some, [7]), some),
  'in which a block is gone and another comes': chain(SIZE, some, without(some, [7]), over(some, at([7], fresh))),
  'in which written zeros are gone': chain(SIZE, over(some, at([7], zero)), without(some, [7])),
  'in which text becomes noise and text again': chain(
    SIZE,
    some,
    at(range(0, 60), (n) => chaos(n)),
    some,
  ),
  'in which all blocks become equal': chain(
    SIZE,
    some,
    at(range(0, 60), () => fresh(1)),
  ),
  'in which equal blocks come apart': chain(
    SIZE,
    at(range(0, 60), () => fresh(1)),
    some,
  ),
  'in which every second block changes': chain(
    2_048,
    at(range(0, 2_048)),
    over(at(range(0, 2_048)), at(range(0, 2_048, 2), fresh)),
  ),
  'in which single blocks of many leaves change': chain(
    50 * LEAF,
    at(range(0, 50 * LEAF, 64)),
    over(
      at(range(0, 50 * LEAF, 64)),
      at(
        range(0, 50).map((n) => n * LEAF + ((n * 64) % LEAF)),
        fresh,
      ),
    ),
  ),
  'in which the ends of every leaf change': chain(
    3 * LEAF,
    three,
    over(
      three,
      at(
        [0, 1, 2].flatMap((n) => [n * LEAF, n * LEAF + LEAF - 1]),
        fresh,
      ),
    ),
  ),
};

const REPEATS: Record<string, Shape> = {
  'in which a block of the base comes again elsewhere': chain(
    SIZE,
    some,
    over(
      some,
      at([62], () => text(3)),
    ),
  ),
  'in which a block moves': chain(
    SIZE,
    some,
    over(
      without(some, [3]),
      at([62], () => text(3)),
    ),
  ),
  'in which two blocks change places': chain(
    SIZE,
    some,
    over(
      some,
      at([3], () => text(40)),
      at([40], () => text(3)),
    ),
  ),
  'in which all blocks move by one': chain(
    3 * LEAF,
    dense,
    moved(dense, (index) => index + 1),
  ),
  'in which a leaf is copied to another': chain(
    5 * LEAF,
    three,
    over(
      three,
      moved(three, (index) => index + 2 * LEAF),
    ),
  ),
  'in which two leaves change places': chain(
    3 * LEAF,
    three,
    moved(three, (index) => (index + 2 * LEAF) % (3 * LEAF)),
  ),
};

const EMPTY: Record<string, Shape> = {
  'that begins empty': chain(SIZE, new Map(), some),
  'that becomes empty': chain(SIZE, some, new Map()),
  'that becomes empty and full again': chain(SIZE, some, new Map(), some),
  'whose middle leaf becomes empty': chain(3 * LEAF, three, without(three, range(LEAF, 2 * LEAF))),
  'whose leaf becomes empty and is filled again': chain(
    3 * LEAF,
    three,
    without(three, range(LEAF, 2 * LEAF)),
    over(three, at(range(LEAF, LEAF + 9), fresh)),
  ),
  'whose leaf is zeroed': chain(3 * LEAF, three, over(three, at(range(LEAF, 2 * LEAF), zero))),
  'whose node becomes empty': chain(
    3 * NODE,
    at(range(0, 3 * NODE, NODE / 4)),
    without(at(range(0, 3 * NODE, NODE / 4)), range(NODE, 2 * NODE, NODE / 4)),
  ),
  'whose node becomes empty and is filled again': chain(
    3 * NODE,
    at([1, NODE + 1, 2 * NODE]),
    at([1, 2 * NODE]),
    at([1, NODE + 9, 2 * NODE], fresh),
  ),
  'whose nodes all become empty': chain(3 * NODE, at([1, NODE + 1, 2 * NODE]), new Map()),
};

const grown = (blocks: number, ...tail: number[]) => ({ content: over(some, at(tail, fresh)), blocks });
const GROWTH: Record<string, Shape> = {
  'that grows by a block': chain(60, some, grown(61)),
  'that grows, its tail not written': chain(60, some, grown(10 * LEAF)),
  'that grows, its tail written': chain(60, some, grown(64, 60, 61, 62, 63)),
  'that grows over a leaf border': chain(LEAF, at(range(0, LEAF)), {
    content: at(range(0, LEAF + 5)),
    blocks: LEAF + 5,
  }),
  'that grows over a node border': chain(60, some, grown(NODE + 1, NODE)),
  'that grows to 64 TiB': chain(60, some, grown(MAX_BLOCKS, MAX_BLOCKS - 1)),
  'that grows three times': chain(60, some, grown(100, 99), grown(3 * LEAF, 99, 2 * LEAF), grown(2 * NODE, 99, NODE)),
};

const BASES: Record<string, Shape> = {
  'whose base is of another lineage': chain(SIZE, some, {
    content: over(some, at([1], fresh)),
    lost: 'snapshot',
    kind: 'full',
    reason: 'lineage_lost',
  }),
  "whose base's manifest is gone": chain(SIZE, some, {
    content: over(some, at([1], fresh)),
    lost: 'manifest',
    kind: 'full',
    reason: 'base_unreadable',
  }),
  'that is smaller than its base': chain(SIZE, some, {
    content: at(range(0, 30)),
    blocks: 30,
    kind: 'full',
    reason: 'base_mismatch',
  }),
  'with two incrementals of one base': chain(SIZE, some, over(some, at([1], fresh)), {
    content: over(some, at([2], fresh)),
    base: 'first',
  }),
  'with a full one on top of incrementals': chain(SIZE, some, over(some, at([1], fresh)), {
    content: over(some, at([2], fresh)),
    base: 'none',
    kind: 'full',
  }),
  'that goes on after its lineage was lost': chain(
    SIZE,
    some,
    { content: over(some, at([1], fresh)), lost: 'snapshot', kind: 'full', reason: 'lineage_lost' },
    over(some, at([1, 2], fresh)),
  ),
};

/** Every image changes, adds and removes some blocks of the one before. */
function long(points: number, blocks: number): Shape {
  const first = at(range(0, blocks, Math.ceil(blocks / 200)));
  let content: MemoryImage = first;
  const rest = range(1, points).map((n) => {
    const changed = at(
      range(0, 6).map((k) => (n * 37 + k * 101) % blocks),
      (index) => text(n * 10_000 + index),
    );
    content = over(without(content, [(n * 53) % blocks, (n * 59) % blocks]), changed);
    return content;
  });
  return chain(blocks, first, ...rest);
}

const oneLeaf = (points: number): Shape => {
  const images = range(1, points + 1).map((n) =>
    at(range(0, n * 16), (index) => text(Math.floor(index / 16) * 1_000 + index)),
  );
  return chain(LEAF, new Map(), ...images);
};

const LONG: Record<string, Shape> = {
  'of 30 incrementals': long(31, 300),
  'of 30 incrementals over four leaves': long(31, 4 * LEAF),
  'whose leaf has blocks of 20 runs': oneLeaf(20),
  'of which every second point is pruned': { ...long(16, 300), keeps: (point) => point % 2 === 1 },
  'of which all points but the last are pruned': { ...long(12, 300), keeps: (point) => point === 11 },
  'of which all points but the first are pruned': { ...long(12, 300), keeps: (point) => point === 0 },
  'of which all points but first and last are pruned': {
    ...long(12, 300),
    keeps: (point) => point === 0 || point === 11,
  },
};

const real = at([0, 1, 2, 2 ** 26, MAX_BLOCKS - 1], (n) => (n % 2 ? text(n, REAL) : chaos(n, REAL)));
const LARGE: Record<string, Shape> = {
  'of 64 TiB and blocks of 512 KiB': {
    ...chain(
      MAX_BLOCKS,
      real,
      over(
        without(real, [1, 2 ** 26]),
        at([2, 2 ** 26 + 1], (n) => chaos(n + 9, REAL)),
      ),
    ),
    blockBytes: REAL,
  },
};

/** Volumes that are backed up again and again. */
export const HISTORIES: Record<string, Shape> = {
  ...CHANGES,
  ...REPEATS,
  ...EMPTY,
  ...GROWTH,
  ...BASES,
  ...LONG,
  ...LARGE,
};
