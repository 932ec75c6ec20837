import { Fault } from '../core/faults.ts';
import { createByteReader, createByteWriter, fromHex, toHex } from '../crypto/bytes.ts';
import { ATTEMPT_BYTES, HEADER_BYTES } from '../crypto/object-header.ts';
import { TAG_BYTES } from '../crypto/sealed-object.ts';
import { type Codec, isCodec } from './codec.ts';
import type { AttemptRef, ObjectRef } from './layout.ts';

/** Blocks that one manifest page speaks of: 2 GiB of a volume. A change rewrites the pages it touches and no others. */
export const PAGE_BLOCKS = 4_096;

const DIGEST_BYTES = 32;

/** Where a block lies. `pack.sha256` is null while the pack is still being filled. */
export type StoredBlock = {
  pack: PackRef;
  /** Number of the slot in its pack, and where its sealed bytes lie in the object. */
  slot: number;
  offset: number;
  lengthBytes: number;
  codec: Codec;
  /** SHA-256 of the block's own bytes: its identity, and what a restore must find again. */
  sha256: Uint8Array;
};

export type PackRef = AttemptRef & { ordinal: number; sha256: string | null };

/** The stored blocks of a page by block index; an index that is not there reads as zeros. */
export type PageBlocks = Map<number, StoredBlock>;

/** The name of a pack that is closed. */
export function closedPack(pack: PackRef): ObjectRef {
  if (pack.sha256 === null) throw new Fault('internal', 'A page refers to a pack that is not closed.');
  return { ...pack, sha256: pack.sha256 };
}

const attemptName = ({ runId, attempt }: AttemptRef) => `${runId}/${attempt}`;
const packName = (pack: PackRef) => `${attemptName(pack)}/${pack.ordinal}`;

/** Gives each distinct value a number in order of first appearance. */
function createTable<T>(nameOf: (value: T) => string) {
  const numbers = new Map<string, number>();
  const values: T[] = [];
  return {
    values,
    numberOf(value: T): number {
      const name = nameOf(value);
      const known = numbers.get(name);
      if (known !== undefined) return known;
      numbers.set(name, values.length);
      return values.push(value) - 1;
    },
  };
}

/** A page as bytes: tables of attempts and packs, then 45 bytes for each stored block, ascending. See docs/format.md. */
export function encodePage(page: number, blocks: PageBlocks): Uint8Array {
  const ordered = [...blocks].toSorted(([a], [b]) => a - b);
  const attempts = createTable<AttemptRef>(attemptName);
  const packs = createTable<PackRef>(packName);
  for (const [, { pack }] of ordered) {
    attempts.numberOf(pack);
    packs.numberOf(pack);
  }
  const writer = createByteWriter();
  writer.u32(page);
  writer.u16(attempts.values.length);
  for (const { runId, attempt } of attempts.values) {
    writer.text(runId);
    writer.bytes(fromHex(attempt));
  }
  writer.u16(packs.values.length);
  for (const pack of packs.values) {
    writer.u16(attempts.numberOf(pack));
    writer.u32(pack.ordinal);
    writer.bytes(fromHex(closedPack(pack).sha256));
  }
  writer.u16(ordered.length);
  for (const [index, block] of ordered) {
    writer.u16(index - page * PAGE_BLOCKS);
    writer.u16(packs.numberOf(block.pack));
    writer.u16(block.slot);
    writer.u32(block.offset);
    writer.u32(block.lengthBytes);
    writer.u8(block.codec);
    writer.bytes(block.sha256);
  }
  return writer.done();
}

/** @throws Fault `object_corrupt` for bytes that are not page `page` */
export function decodePage(page: number, bytes: Uint8Array): PageBlocks {
  const corrupt = () => new Fault('object_corrupt', `Manifest page ${page} is damaged.`);
  const entry = <T>(table: readonly T[], number: number): T => {
    const value = table[number];
    if (value === undefined) throw corrupt();
    return value;
  };
  const reader = createByteReader(bytes);
  const times = <T>(count: number, read: () => T): T[] => Array.from({ length: count }, read);
  if (reader.u32() !== page) throw corrupt();
  const attempts = times(reader.u16(), () => ({ runId: reader.text(), attempt: toHex(reader.bytes(ATTEMPT_BYTES)) }));
  const packs = times(reader.u16(), () => ({
    ...entry(attempts, reader.u16()),
    ordinal: reader.u32(),
    sha256: toHex(reader.bytes(DIGEST_BYTES)),
  }));
  const blocks: PageBlocks = new Map();
  let last = -1;
  for (let left = reader.u16(); left > 0; left -= 1) {
    const within = reader.u16();
    const pack = entry(packs, reader.u16());
    const [slot, offset, lengthBytes, codec] = [reader.u16(), reader.u32(), reader.u32(), reader.u8()];
    const sha256 = reader.bytes(DIGEST_BYTES);
    const sound = within > last && within < PAGE_BLOCKS && offset >= HEADER_BYTES && lengthBytes > TAG_BYTES;
    if (!sound || !isCodec(codec)) throw corrupt();
    blocks.set(page * PAGE_BLOCKS + within, { pack, slot, offset, lengthBytes, codec, sha256 });
    last = within;
  }
  reader.end();
  return blocks;
}
