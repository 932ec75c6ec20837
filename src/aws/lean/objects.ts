import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { PutOptions } from '../../vault/ports.ts';
import { encoded, type Service } from './service.ts';

/** The two calls of S3 that move data. Errors are named as the SDK's: `NoSuchKey`, `PreconditionFailed`, … */
export type ObjectCalls = {
  /** Creates an object, and only creates it. */
  putNew(at: ObjectPlace, bytes: Uint8Array, options?: PutOptions): Promise<void>;
  /** The object, or `length` bytes from `start`. */
  get(at: ObjectPlace, range?: { start: number; length: number }): Promise<Uint8Array>;
};

export type ObjectPlace = { bucket: string; expectedBucketOwner: string; key: string };

/** More than any object that we write, and what a process can hold. */
const OBJECT_BYTES_MAX = 268_435_456;
const ANSWER_BYTES_MAX = 65_536;
/** The hash of no bytes at all. */
const EMPTY_SHA256 = createHash('sha256').digest('hex');

/**
 * How the bytes are vouched for: by a signed SHA-256, which S3 checks and keeps; where that would have to be computed under TLS, by
 * a CRC-32, which is a tenth of the work.
 * Source: S3 user guide, "Checking object integrity"; API reference, "x-amz-content-sha256".
 */
function integrity(bytes: Uint8Array, base: URL, known: Uint8Array | undefined): Record<string, string> {
  if (known === undefined && base.protocol === 'https:') {
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(bytes));
    return { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'x-amz-checksum-crc32': sum.toString('base64') };
  }
  const sum = Buffer.from(known ?? createHash('sha256').update(bytes).digest());
  return { 'x-amz-content-sha256': sum.toString('hex'), 'x-amz-checksum-sha256': sum.toString('base64') };
}

/** Compliance mode: nobody shortens it. Source: S3 API reference, PutObject. */
const lockHeaders = (until: Date | undefined): Record<string, string> =>
  until === undefined
    ? {}
    : { 'x-amz-object-lock-mode': 'COMPLIANCE', 'x-amz-object-lock-retain-until-date': until.toISOString() };

/** @param baseOf the address of a bucket, by path or by host */
export function openObjectCalls(parts: { service: Service; baseOf: (bucket: string) => Promise<URL> }): ObjectCalls {
  const { service, baseOf } = parts;
  const pathOf = (key: string) => `/${key.split('/').map(encoded).join('/')}`;
  return {
    async putNew({ bucket, expectedBucketOwner, key }, bytes, { sha256, lockUntil } = {}) {
      const base = await baseOf(bucket);
      await service.call({
        base,
        method: 'PUT',
        path: pathOf(key),
        query: {},
        headers: {
          'content-type': 'application/octet-stream',
          'if-none-match': '*',
          'x-amz-expected-bucket-owner': expectedBucketOwner,
          ...lockHeaders(lockUntil),
          ...integrity(bytes, base, sha256),
        },
        body: bytes,
        bodyBytesMax: ANSWER_BYTES_MAX,
      });
    },
    async get({ bucket, expectedBucketOwner, key }, range) {
      const { body } = await service.call({
        base: await baseOf(bucket),
        method: 'GET',
        path: pathOf(key),
        query: {},
        headers: {
          'x-amz-content-sha256': EMPTY_SHA256,
          'x-amz-expected-bucket-owner': expectedBucketOwner,
          ...(range === undefined ? {} : { range: `bytes=${range.start}-${range.start + range.length - 1}` }),
        },
        body: null,
        bodyBytesMax: range?.length ?? OBJECT_BYTES_MAX,
      });
      return body;
    },
  };
}
