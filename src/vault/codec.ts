import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { Fault } from '../core/faults.ts';

/** How a plaintext is coded before it is sealed. */
export const CODEC = { raw: 0, zstd: 1 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Compressed only when it saves at least one part in sixteen; restores of the rest are then free of it. */
const SAVING_MIN = 1 / 16;

/** A block is decoded in one piece, up to this length; what may be longer, and seldom is (pages), in smaller ones. */
const ONE_PIECE_MAX = 2 ** 20;
const PIECE_BYTES = 65_536;

/** Room for one byte more than there can be: a piece that is filled to its end makes Node allocate another one. */
const pieceFor = (limitBytes: number) => (limitBytes <= ONE_PIECE_MAX ? limitBytes + 1 : PIECE_BYTES);

export type Encoded = { codec: Codec; bytes: Uint8Array };
type Compress = (bytes: Uint8Array) => Uint8Array;

/** What we use of Node's own stream around a zstd context. It is not documented: see `persistentContext`. */
type ZstdHandle = {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    outputBytes: number,
  ): void;
};

/** zstd's own bound (ZSTD_compressBound), with room to spare. */
const boundOf = (bytes: number) => bytes + Math.ceil(bytes / 128) + 1_024;

/**
 * Compresses with one zstd context for all blocks: making one for each costs a sixth of the time. Node offers that only by
 * the inside of its stream, so the first use proves itself, and null says that this Node works otherwise.
 *
 * What it gives lies in a buffer of its own, and is overwritten by the next call.
 */
function persistentContext(): Compress | null {
  const stream = createZstdCompress(LEVEL) as unknown as { _handle?: ZstdHandle; _writeState?: Uint32Array };
  const { _handle: handle, _writeState: state } = stream;
  if (typeof handle?.writeSync !== 'function' || state === undefined) return null;
  let output = Buffer.alloc(0);
  const compress: Compress = (bytes) => {
    if (output.length < boundOf(bytes.length)) output = Buffer.allocUnsafeSlow(boundOf(bytes.length));
    handle.writeSync(constants.ZSTD_e_end, bytes, 0, bytes.length, output, 0, output.length);
    const [left = 0, unread = 0] = state;
    // Never seen; a frame that is not whole must not be stored.
    return unread === 0 && left > 0 ? output.subarray(0, output.length - left) : zstdCompressSync(bytes, LEVEL);
  };
  return provesItself(compress) ? compress : null;
}

/** Two blocks after another come back as they were, and are about as small as the documented way makes them. */
function provesItself(compress: Compress): boolean {
  const probes = [1, 2].map((seed) => Buffer.from(Array.from({ length: 4_096 }, (_, n) => (n * seed) % 61)));
  try {
    return probes.every((probe) => {
      const frame = compress(probe);
      const usual = zstdCompressSync(probe, LEVEL).length;
      return Math.abs(frame.length - usual) < 64 && zstdDecompressSync(frame).equals(probe);
    });
  } catch {
    return false;
  }
}

let ofThread: Compress | null = null;

/**
 * Zstandard level 1, or the bytes themselves where that does not pay. All encoders of a thread are one: what it gives may be
 * overwritten by the next call of any of them, so it is used before anything is awaited.
 */
export function createEncoder(): (bytes: Uint8Array) => Encoded {
  ofThread ??= persistentContext() ?? ((bytes: Uint8Array) => zstdCompressSync(bytes, LEVEL));
  const compress = ofThread;
  return (bytes) => {
    const smaller = compress(bytes);
    return smaller.length <= bytes.length * (1 - SAVING_MIN)
      ? { codec: CODEC.zstd, bytes: smaller }
      : { codec: CODEC.raw, bytes };
  };
}

/** One encoding by itself, for pages and roots: the bytes are the caller's. */
export function encode(bytes: Uint8Array): Encoded {
  const encoded = createEncoder()(bytes);
  return encoded.codec === CODEC.raw ? encoded : { codec: encoded.codec, bytes: Uint8Array.from(encoded.bytes) };
}

/**
 * The bytes again, at most `limitBytes` of them whatever the input claims.
 *
 * @throws Fault `object_corrupt` for input that does not decode or that is longer
 */
export function decode({ codec, bytes }: Encoded, limitBytes: number): Uint8Array {
  if (codec === CODEC.raw) {
    if (bytes.length > limitBytes) throw new Fault('object_corrupt', 'Stored data is longer than it may be.');
    return bytes;
  }
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: limitBytes, chunkSize: pieceFor(limitBytes) });
  } catch (cause) {
    throw new Fault('object_corrupt', 'Stored data does not decompress.', { cause });
  }
}

export function isCodec(value: number): value is Codec {
  return value === CODEC.raw || value === CODEC.zstd;
}

let zeros = Buffer.alloc(0);

/** Are all of these bytes zero? About 7 µs for a block of zeros, at once for most others. */
export function isZero(bytes: Uint8Array): boolean {
  if (zeros.length < bytes.length) zeros = Buffer.alloc(bytes.length);
  return zeros.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;
}
