import { crc32 } from 'node:zlib';
import { Fault } from '../core/faults.ts';
import { createByteReader, createByteWriter, fromHex, toHex } from './bytes.ts';
import { COMMITMENT_BYTES, type ObjectType, SALT_BYTES } from './object-key.ts';

const MAGIC = 0x444d_434c; // "DMCL"
const VERSION = 1;
export const ATTEMPT_BYTES = 16;

const TYPE_CODES: Record<ObjectType, number> = { pack: 1, index: 2, root: 3, checkpoint: 4 };
const CHECKED_BYTES = 8 + ATTEMPT_BYTES + SALT_BYTES + COMMITMENT_BYTES;

/** Every sealed object begins with a header of this many bytes, in the clear. */
export const HEADER_BYTES = CHECKED_BYTES + 4;

export type ObjectHeader = { attempt: string; salt: Uint8Array; commitment: Uint8Array };

/** magic 4, version 1, type 1, zero 2, attempt 16, salt 24, commitment 32, CRC-32 of all that 4. */
export function encodeHeader(type: ObjectType, header: ObjectHeader): Uint8Array {
  const writer = createByteWriter();
  writer.u32(MAGIC);
  writer.u8(VERSION);
  writer.u8(TYPE_CODES[type]);
  writer.u16(0);
  writer.bytes(fromHex(header.attempt));
  writer.bytes(header.salt);
  writer.bytes(header.commitment);
  writer.u32(crc32(writer.done()));
  return writer.done();
}

/**
 * Reads a header. The CRC tells damage from a wrong key, nothing more: what binds the header is the commitment.
 *
 * @throws Fault `object_corrupt` when it is damaged, `unsupported_format` when a later version wrote it
 */
export function decodeHeader(bytes: Uint8Array): ObjectHeader {
  const reader = createByteReader(bytes.subarray(0, HEADER_BYTES));
  const magic = reader.u32();
  const version = reader.u8();
  reader.bytes(3); // The type is for people with a hex dump: the context, not this byte, decides what opens.
  const attempt = toHex(reader.bytes(ATTEMPT_BYTES));
  const salt = reader.bytes(SALT_BYTES);
  const commitment = reader.bytes(COMMITMENT_BYTES);
  if (magic !== MAGIC || reader.u32() !== crc32(bytes.subarray(0, CHECKED_BYTES))) {
    throw new Fault('object_corrupt', 'The header of a stored object is damaged.');
  }
  if (version !== VERSION) {
    throw new Fault(
      'unsupported_format',
      `A stored object has format version ${version}; this program reads ${VERSION}.`,
    );
  }
  return { attempt, salt, commitment };
}
