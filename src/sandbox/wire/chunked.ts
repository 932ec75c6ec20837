import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { AwsError } from '../service.ts';

const bad = (message: string) => new AwsError('InvalidRequest', 400, message);

function checkTrailer(trailer: string, payload: Buffer): void {
  const [, algorithm, stated] = /x-amz-checksum-(sha256|crc32):([A-Za-z0-9+/=]+)/.exec(trailer) ?? [];
  if (algorithm === undefined) return;
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(payload));
  const actual = algorithm === 'sha256' ? createHash('sha256').update(payload).digest() : crc;
  if (actual.toString('base64') !== stated)
    throw new AwsError('BadDigest', 400, `The ${algorithm} you specified did not match the calculated checksum.`);
}

/**
 * The payload of an `aws-chunked` body (S3 uploads of streams): `<hex size>[;chunk-signature=…]\r\n<data>\r\n … 0\r\n` and
 * trailers. Other bodies are returned as they are. A SHA-256 or CRC-32 trailer is checked; the signatures of single chunks
 * are not.
 */
export function decodeChunked(headers: Headers, body: Buffer): Buffer {
  if (!(headers.get('x-amz-content-sha256') ?? '').startsWith('STREAMING-')) return body;
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf('\r\n', at);
    if (end < 0) throw bad('The chunked body ends early.');
    const size = Number.parseInt(body.toString('latin1', at, end), 16);
    if (!Number.isInteger(size) || size < 0) throw bad('The chunked body has a chunk without a size.');
    at = end + 2;
    if (size === 0) break;
    if (at + size + 2 > body.length) throw bad('The chunked body ends early.');
    parts.push(body.subarray(at, at + size));
    at += size + 2;
  }
  const payload = Buffer.concat(parts);
  const stated = Number(headers.get('x-amz-decoded-content-length') ?? payload.length);
  if (stated !== payload.length) throw bad('The decoded length is not the stated one.');
  checkTrailer(body.toString('latin1', at), payload);
  return payload;
}
