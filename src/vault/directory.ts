import { createByteReader, createByteWriter } from '../crypto/bytes.ts';
import { HEADER_BYTES } from '../crypto/object-header.ts';
import { type OpenedObject, DIRECTORY_SLOT, TAG_BYTES } from '../crypto/sealed-object.ts';
import { Fault } from '../core/faults.ts';
import { type Codec, decode, isCodec } from './codec.ts';
import { corrupt, DIGEST_BYTES } from './places.ts';

/** Directories expand to at most this: 4,096 slots of 41 bytes are far less. */
const DIRECTORY_BYTES_MAX = 64 * 2 ** 20;

/** Where a slot of a pack lies, how it is coded, and the id of its block. */
export type DirectoryEntry = { offset: number; lengthBytes: number; codec: Codec; id: Uint8Array };

export function encodeDirectory(entries: readonly DirectoryEntry[]): Uint8Array {
  const writer = createByteWriter();
  writer.u16(entries.length);
  for (const { offset, lengthBytes, codec, id } of entries) {
    writer.u32(offset);
    writer.u32(lengthBytes);
    writer.u8(codec);
    writer.bytes(id);
  }
  return writer.done();
}

/** What follows the blocks of a pack: codec, the directory's slot, their length, and the header. */
export function encodeTail(codec: Codec, sealed: Uint8Array, header: Uint8Array): Uint8Array {
  const writer = createByteWriter();
  writer.u8(codec);
  writer.bytes(sealed);
  writer.u32(sealed.length + 1);
  writer.bytes(header);
  return writer.done();
}

/** The header of a pack, which is at its end. Throws Fault `object_corrupt` for a tail that is too short to have one. */
export function headerOfTail(tail: Uint8Array): Uint8Array {
  if (tail.length < 1 + TAG_BYTES + 4 + HEADER_BYTES) throw corrupt('The end of a stored pack');
  return tail.subarray(tail.length - HEADER_BYTES);
}

/**
 * Opens the directory in the tail of a pack.
 *
 * @param offset where the tail begins in the pack: blocks lie before it
 * @throws Fault `object_corrupt`, `unsupported_format`
 */
export function openDirectory(pack: OpenedObject, tail: Uint8Array, offset: number): DirectoryEntry[] {
  const region = tail.subarray(0, tail.length - HEADER_BYTES - 4);
  const length = createByteReader(tail.subarray(region.length, region.length + 4)).u32();
  if (length !== region.length) throw corrupt('The end of a stored pack');
  const codec = region[0] ?? 0;
  const bytes = pack.open({ number: DIRECTORY_SLOT, codec, id: new Uint8Array() }, region.subarray(1));
  if (!isCodec(codec)) throw new Fault('unsupported_format', `A stored pack has the unknown codec ${codec}.`);
  const reader = createByteReader(decode({ codec, bytes }, DIRECTORY_BYTES_MAX));
  const entries = reader.table(() => {
    const [at, lengthBytes, slotCodec] = [reader.u32(), reader.u32(), reader.u8()];
    const id = reader.bytes(DIGEST_BYTES);
    if (!isCodec(slotCodec))
      throw new Fault('unsupported_format', `A stored block has the unknown codec ${slotCodec}.`);
    if (lengthBytes <= TAG_BYTES || at + lengthBytes > offset) throw corrupt('A pack directory');
    return { offset: at, lengthBytes, codec: slotCodec, id };
  });
  reader.end();
  return entries;
}
