import { hash } from 'node:crypto';
import { Fault } from '../core/faults.ts';

/** Raw SHA-256 of the bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function fromHex(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Writes the format's binary fields: integers are big-endian, texts are UTF-8 after their length in two bytes. */
export function createByteWriter() {
  let buffer = Buffer.alloc(1_024);
  let used = 0;
  const reserve = (length: number): { into: Buffer; at: number } => {
    if (used + length > buffer.length) {
      const larger = Buffer.alloc(Math.max(buffer.length * 2, used + length));
      buffer.copy(larger, 0, 0, used);
      buffer = larger;
    }
    used += length;
    return { into: buffer, at: used - length };
  };
  const writer = {
    u8(value: number) {
      const { into, at } = reserve(1);
      into.writeUInt8(value, at);
    },
    u16(value: number) {
      const { into, at } = reserve(2);
      into.writeUInt16BE(value, at);
    },
    u32(value: number) {
      const { into, at } = reserve(4);
      into.writeUInt32BE(value, at);
    },
    u64(value: number) {
      const { into, at } = reserve(8);
      into.writeBigUInt64BE(BigInt(value), at);
    },
    bytes(value: Uint8Array) {
      const { into, at } = reserve(value.length);
      into.set(value, at);
    },
    text(value: string) {
      const encoded = Buffer.from(value, 'utf8');
      writer.u16(encoded.length);
      writer.bytes(encoded);
    },
    done: (): Uint8Array => buffer.subarray(0, used),
  };
  return writer;
}

/**
 * Reads what `createByteWriter` wrote. Every read is checked against the end.
 *
 * @throws Fault `object_corrupt` when the bytes end too early, or when `end` finds some left over
 */
export function createByteReader(bytes: Uint8Array) {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number): number => {
    if (at + length > view.length) throw new Fault('object_corrupt', 'A stored object ends too early.');
    at += length;
    return at - length;
  };
  const reader = {
    /** A count in two bytes, then that many entries. */
    table<T>(entry: (number: number) => T): T[] {
      return Array.from({ length: reader.u16() }, (_, number) => entry(number));
    },
    u8: () => view.readUInt8(take(1)),
    u16: () => view.readUInt16BE(take(2)),
    u32: () => view.readUInt32BE(take(4)),
    u64: () => Number(view.readBigUInt64BE(take(8))),
    bytes(length: number): Uint8Array {
      const from = take(length);
      return view.subarray(from, from + length);
    },
    text: () => Buffer.from(reader.bytes(reader.u16())).toString('utf8'),
    end() {
      if (at !== view.length) throw new Fault('object_corrupt', 'A stored object is longer than it says.');
    },
  };
  return reader;
}
