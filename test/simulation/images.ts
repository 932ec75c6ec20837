import type { MemoryImage } from '../../src/vault/memory.ts';
import { block, noise } from '../vault/fixture.ts';
import type { Random } from './random.ts';

/** Different contents that blocks of a history have: few, so that the same ones come again. */
const CONTENTS = 24;
const made = new Map<string, Uint8Array>();

/** One of the contents: every third does not compress, and number 0 is zeros. */
function content(number: number, blockBytes: number): Uint8Array {
  const name = `${blockBytes}/${number}`;
  const bytes =
    made.get(name) ??
    (number === 0
      ? new Uint8Array(blockBytes)
      : number % 3 === 0
        ? noise(number, blockBytes)
        : block(number, blockBytes));
  made.set(name, bytes);
  return bytes;
}

/** Two blocks of a leaf, one of the next leaf, one of the next node: where a run of neighbours may begin. */
const STARTS = [0, 1_020, 1_024, 524_284, 524_288];

export type Disk = { blockBytes: number; volumeBytes: number; image: MemoryImage; places: readonly number[] };

/** A small disk, its blocks in a few places that are far apart. */
export function createDisk(random: Random, blockBytesOfAll?: number): Disk {
  const blockBytes = blockBytesOfAll ?? random.pick([64, 128, 512]);
  const starts = STARTS.filter(() => random.chance(0.5));
  const places = (starts.length > 0 ? starts : [0]).flatMap((start) =>
    Array.from({ length: random.between(1, 4) }, (_, n) => start + n),
  );
  const distinct = [...new Set(places)].toSorted((a, b) => a - b);
  const volumeBytes = blockBytes * ((distinct.at(-1) ?? 0) + random.between(1, 40));
  const image: MemoryImage = new Map(distinct.map((index) => [index, content(random.below(CONTENTS), blockBytes)]));
  return { blockBytes, volumeBytes, image, places: distinct };
}

/** The disk some writes later. Blocks come to hold others' contents, zeros, or nothing at all; now and then it is made larger. */
export function written(disk: Disk, random: Random): Disk {
  const image = new Map(disk.image);
  for (let n = random.between(0, 6); n > 0; n -= 1) {
    const place = random.pick(disk.places);
    if (random.chance(0.1)) image.delete(place);
    else image.set(place, content(random.below(CONTENTS), disk.blockBytes));
  }
  const grown = random.chance(0.05) ? disk.blockBytes * random.between(1, 2_000) : 0;
  return { ...disk, image, volumeBytes: disk.volumeBytes + grown };
}

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** Where a restored image is not what was backed up, in words; null: they are the same. */
export function differenceOf(restored: MemoryImage, image: MemoryImage): string | null {
  for (const [index, bytes] of image)
    if (!isZero(bytes) && Buffer.compare(bytes, restored.get(index) ?? new Uint8Array()) !== 0)
      return `block ${index} is ${restored.has(index) ? 'another' : 'missing'}`;
  for (const [index, bytes] of restored)
    if (!isZero(bytes) && !image.has(index)) return `block ${index} is there, and was never written`;
  for (const [index, bytes] of restored)
    if (!isZero(bytes) && isZero(image.get(index) ?? bytes)) return `block ${index} is not zero any more`;
  return null;
}
