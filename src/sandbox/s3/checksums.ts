import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { AwsRequest } from '../service.ts';
import { s3Error } from './request.ts';

const MD5_BYTES = 16;

/** Full-object checksums that a PUT can state. Source: S3 API reference, PutObject, request headers. */
const KEPT = ['sha256', 'sha1', 'crc32', 'crc32c', 'crc64nvme'].map((name) => `x-amz-checksum-${name}`);

/**
 * The checksums that S3 keeps with an object, by header, and its ETag, after what the request states was compared. Where
 * the request's headers state none, a SHA-256 is kept (AWS: CRC-64/NVME).
 *
 * @throws AwsError BadDigest; InvalidDigest for a Content-MD5 that is none. Source: S3 API reference, error responses.
 */
export function checksums({ headers, body }: AwsRequest): { kept: Record<string, string>; etag: string } {
  const digest = (algorithm: string) => createHash(algorithm).update(body).digest('base64');
  const sha256 = digest('sha256');
  const crc = () => {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(crc32(body));
    return value.toString('base64');
  };
  const stated: [string, () => string][] = [
    ['x-amz-checksum-sha256', () => sha256],
    ['x-amz-checksum-sha1', () => digest('sha1')],
    ['x-amz-checksum-crc32', crc],
    ['content-md5', () => digest('md5')],
  ];
  const md5 = headers.get('content-md5');
  if (md5 !== null && Buffer.from(md5, 'base64').length !== MD5_BYTES)
    throw s3Error('InvalidDigest', 400, 'The Content-MD5 you specified was invalid.');
  for (const [name, actual] of stated) {
    const value = headers.get(name);
    if (value !== null && value !== actual())
      throw s3Error('BadDigest', 400, `The value of ${name} did not match the calculated checksum.`);
  }
  const kept = KEPT.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return {
    kept: kept.length > 0 ? Object.fromEntries(kept) : { 'x-amz-checksum-sha256': sha256 },
    etag: `"${createHash('md5').update(body).digest('hex')}"`,
  };
}
