import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { AwsRequest } from '../service.ts';
import { s3Error } from './request.ts';

/**
 * SHA-256 and ETag of a body, after what the request states about it was compared.
 *
 * @throws AwsError BadDigest
 */
export function checksums({ headers, body }: AwsRequest): { sha256: string; etag: string } {
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
  for (const [name, actual] of stated) {
    const value = headers.get(name);
    if (value !== null && value !== actual())
      throw s3Error('BadDigest', 400, `The value of ${name} did not match the calculated checksum.`);
  }
  return { sha256, etag: `"${createHash('md5').update(body).digest('hex')}"` };
}
