import { at, chaos, LEAF, MAX_BLOCKS, NODE, once, over, range, REAL, type Shape, SMALL, text, zero } from './shapes.ts';

/** Neighbours that one lane takes at a time, and the least that it takes of a scattered listing. */
const STRIPE = 256;

/** Noise, then one byte over and over: zstd saves about the share of the second. */
const partly = (share: number, blockBytes: number) => {
  const bytes = chaos(Math.round(share * 10_000), blockBytes);
  return bytes.fill(7, Math.floor(blockBytes * share));
};
const bytesAt = (bytes: Record<number, number>, blockBytes = SMALL) => {
  const block = new Uint8Array(blockBytes);
  for (const [index, byte] of Object.entries(bytes)) block[Number(index)] = byte;
  return block;
};
const raw = (count: number, blockBytes: number): Shape => ({
  ...once(
    count,
    at(range(0, count), (n) => chaos(n, blockBytes)),
    blockBytes,
  ),
  packBytes: 2 ** 24,
});

const DENSITY: Record<string, Shape> = {
  'that was never written': once(64, new Map()),
  'of written zeros only': once(64, at(range(0, 64), zero)),
  'of one block': once(1, at([0])),
  'of one block of zeros': once(1, at([0], zero)),
  'with its first block only': once(1_000, at([0])),
  'with its last block only': once(1_000, at([999])),
  'with its first and last block': once(1_000, at([0, 999])),
  'that is full': once(200, at(range(0, 200))),
  'with zeros written among data': once(
    200,
    at(range(0, 200), (n) => (n % 3 === 0 ? zero(n) : text(n))),
  ),
  'with every second block': once(600, at(range(0, 600, 2))),
  'with holes of growing length': once(5_000, at(range(0, 70).map((n) => (n * (n + 1)) / 2))),
  'that is dense, then sparse': once(20 * LEAF, over(at(range(0, 700)), at(range(700, 20 * LEAF, 997)))),
  'that is sparse, then dense': once(
    20 * LEAF,
    over(at(range(0, 19 * LEAF, 997)), at(range(19 * LEAF, 19 * LEAF + 700))),
  ),
};

const BORDERS: Record<string, Shape> = {
  'of 777 blocks, which no stripe or leaf divides': once(777, at(range(0, 777))),
  'whose last block is half outside of it': once(10.5, at(range(0, 11))),
  'of a stripe': once(STRIPE, at(range(0, STRIPE))),
  'of a stripe less one block': once(STRIPE - 1, at(range(0, STRIPE - 1))),
  'of a stripe and one block': once(STRIPE + 1, at(range(0, STRIPE + 1))),
  'with a few blocks in each stripe': once(
    40 * STRIPE,
    at(range(0, 40).flatMap((n) => range(n * STRIPE, n * STRIPE + n))),
  ),
  'of a leaf': once(LEAF, at(range(0, LEAF))),
  'of a leaf less one block': once(LEAF - 1, at(range(0, LEAF - 1))),
  'of a leaf and one block': once(LEAF + 1, at(range(0, LEAF + 1))),
  'with two blocks around each leaf border': once(9 * LEAF, at(range(1, 9).flatMap((n) => [n * LEAF - 1, n * LEAF]))),
  'with one block in each of 60 leaves': once(60 * LEAF, at(range(0, 60).map((n) => n * LEAF + ((n * 37) % LEAF)))),
  'with full and empty leaves in turn': once(6 * LEAF, at([0, 2].flatMap((n) => range(n * LEAF, (n + 1) * LEAF)))),
  'with more leaves than wait for a pack': once(NODE, at(range(0, 300).map((n) => n * LEAF))),
  'of a node with one block in each leaf': once(NODE, at(range(5, NODE, LEAF))),
  'with the last block of a node': once(3 * NODE, at([NODE - 1])),
  'with the first block of a second node': once(3 * NODE, at([NODE])),
  'with blocks around a node border': once(3 * NODE, at(range(NODE - 20, NODE + 20))),
  'with one block in each of 40 nodes': once(40 * NODE, at(range(0, 40).map((n) => n * NODE + n * LEAF + n))),
};

const CONTENT: Record<string, Shape> = {
  'that does not compress': once(
    300,
    at(range(0, 300), (n) => chaos(n)),
  ),
  'of all ones': once(
    100,
    at(range(0, 100), () => new Uint8Array(SMALL).fill(255)),
  ),
  'of blocks with one byte at their end': once(
    100,
    at(range(0, 100), (n) => bytesAt({ [SMALL - 1]: n + 1 })),
  ),
  'of blocks with one byte at their start': once(
    100,
    at(range(0, 100), (n) => bytesAt({ 0: n + 1 })),
  ),
  'of equal blocks': once(
    1_500,
    at(range(0, 1_500), () => text(7)),
  ),
  'of equal blocks that do not compress': once(
    300,
    at(range(0, 300), () => chaos(7)),
  ),
  'of three blocks over and over': once(
    900,
    at(range(0, 900), (n) => text(n % 3)),
  ),
  'whose leaves are all the same': once(
    4 * LEAF,
    at(range(0, 4 * LEAF), (n) => text(n % LEAF)),
  ),
  'whose second half mirrors the first': once(
    800,
    at(range(0, 800), (n) => text(Math.min(n, 799 - n))),
  ),
  'whose blocks save about a sixteenth': once(
    200,
    at(range(0, 200), (n) => partly(0.9 + n / 2_000, 4_096)),
    4_096,
  ),
  'of blocks of 1,000 bytes': once(
    120,
    at(range(0, 120), (n) => (n % 2 ? text(n, 1_000) : chaos(n, 1_000))),
    1_000,
  ),
  'of blocks of 64 KiB': once(
    40,
    at(range(0, 40), (n) => (n % 3 ? text(n, 65_536) : chaos(n, 65_536))),
    65_536,
  ),
};

/** A slot takes 16 bytes more than its block: a pack is closed at 16 MiB or 4,096 slots. */
const PACKS: Record<string, Shape> = {
  'that fills a pack of 16 MiB to the byte': raw(256, 65_520),
  'that fills all of a pack but one block': raw(255, 65_520),
  'that fills a pack and one block': raw(257, 65_520),
  'that fills the 4,096 slots of a pack': raw(4_096, SMALL),
  'that fills the slots of a pack, and one': raw(4_097, SMALL),
  'that fills bytes and slots of a pack at once': raw(4_096, 4_080),
};

const realBlock = (n: number) => (n % 2 ? chaos(n, REAL) : text(n, REAL));
const LARGE: Record<string, Shape> = {
  'of 40 blocks of 512 KiB': once(
    64,
    at(range(0, 40), (n) => (n % 4 === 3 ? zero(n, REAL) : realBlock(n))),
    REAL,
  ),
  'of 64 TiB that was never written': once(MAX_BLOCKS, new Map(), REAL),
  'of 64 TiB with its first and last block': once(MAX_BLOCKS, at([0, MAX_BLOCKS - 1], realBlock), REAL),
  'of 64 TiB with three blocks': once(MAX_BLOCKS, at([0, 2 ** 26 + 1, MAX_BLOCKS - 1], realBlock), REAL),
  'with one block in each of the 256 nodes of 64 TiB': once(
    MAX_BLOCKS,
    at(range(0, 256).map((n) => n * NODE + ((n * 40_503) % NODE))),
  ),
  'of 8,192 nodes, with blocks in the first and the last': once(2 ** 32, at([0, 2 ** 32 - 1])),
};

/** Volumes that are backed up once. */
export const SINGLE: Record<string, Shape> = { ...DENSITY, ...BORDERS, ...CONTENT, ...PACKS, ...LARGE };
