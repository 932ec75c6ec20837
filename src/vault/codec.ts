import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { Fault } from '../core/faults.ts';

/** How a plaintext is coded before it is sealed. */
export const CODEC = { raw: 0, zstd: 1 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Compressed only when it saves at least one part in sixteen; restores of the rest are then free of it. */
const SAVING_MIN = 1 / 16;

const compress = promisify(zstdCompress);
const decompress = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(zstdDecompress);

export type Encoded = { codec: Codec; bytes: Uint8Array };

/** Zstandard level 1, off the main thread; the bytes themselves where that does not pay. */
export async function encode(bytes: Uint8Array): Promise<Encoded> {
  const smaller = await compress(bytes, LEVEL);
  return smaller.length <= bytes.length * (1 - SAVING_MIN)
    ? { codec: CODEC.zstd, bytes: smaller }
    : { codec: CODEC.raw, bytes };
}

/**
 * The bytes again, at most `limitBytes` of them whatever the input claims.
 *
 * @throws Fault `object_corrupt` for input that does not decode or that is longer
 */
export async function decode({ codec, bytes }: Encoded, limitBytes: number): Promise<Uint8Array> {
  if (codec === CODEC.raw) {
    if (bytes.length > limitBytes) throw new Fault('object_corrupt', 'Stored data is longer than it may be.');
    return bytes;
  }
  try {
    return await decompress(bytes, { maxOutputLength: limitBytes });
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
