import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { AwsResponse } from '../service.ts';
import type { StoredObject } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error } from './request.ts';
import { toXml } from '../wire/xml.ts';

const KEPT_HEADERS = [
  'content-type',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'cache-control',
  'content-encoding',
];

function checksums({ request }: Ask): { sha256: string; etag: string } {
  const { headers, body } = request;
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

export async function putObject(ask: Ask): Promise<AwsResponse> {
  const { s3, request, key } = ask;
  const bucket = bucketOf(ask);
  const ifNoneMatch = request.headers.get('if-none-match');
  const ifMatch = request.headers.get('if-match');
  requireS3(ask, bucket, 'PutObject', {
    's3:ObjectCreationOperation': 'true',
    ...(ifNoneMatch === null ? {} : { 's3:if-none-match': ifNoneMatch }),
    ...(ifMatch === null ? {} : { 's3:if-match': ifMatch }),
  });
  const { sha256, etag } = checksums(ask);
  if (ifNoneMatch !== null && ifNoneMatch !== '*') throw s3Error('NotImplemented', 501, 'If-None-Match takes only *.');
  const check = () => checkPreconditions(bucket.objects.get(key), { ifNoneMatch, ifMatch });
  check();
  const headers = keptHeaders(request.headers);
  requireSseKey(ask, headers, 'kms:GenerateDataKey');
  const object: StoredObject = {
    key,
    sizeBytes: request.body.length,
    etag,
    sha256,
    modifiedAt: s3.clock.now().toISOString(),
    headers,
  };
  await s3.objects.write(bucket, object, request.body, check);
  return { status: 200, headers: { etag, 'x-amz-checksum-sha256': sha256 } };
}

function checkPreconditions(
  current: StoredObject | undefined,
  { ifNoneMatch, ifMatch }: { ifNoneMatch: string | null; ifMatch: string | null },
): void {
  const failed = (Condition: string) =>
    s3Error('PreconditionFailed', 412, 'At least one of the pre-conditions you specified did not hold', { Condition });
  if (ifNoneMatch === '*' && current) throw failed('If-None-Match');
  if (ifMatch !== null && !current) throw s3Error('NoSuchKey', 404, 'The specified key does not exist.');
  if (ifMatch !== null && current?.etag !== ifMatch) throw failed('If-Match');
}

/** What an object keeps of the headers it was put with. `aws-chunked` is how it came, not what it is. */
function keptHeaders(headers: Headers): Record<string, string> {
  const kept = [...headers].filter(([name]) => KEPT_HEADERS.includes(name) || name.startsWith('x-amz-meta-'));
  return Object.fromEntries(
    kept
      .map(([name, value]) => [name, name === 'content-encoding' ? value.replace(/^aws-chunked,?\s*/, '') : value])
      .filter(([, value]) => value !== ''),
  );
}

/** An object under a named KMS key takes that key's consent to be written, and to be read. */
function requireSseKey({ s3, request }: Ask, headers: Record<string, string>, action: string): void {
  const kmsKey = headers['x-amz-server-side-encryption-aws-kms-key-id'];
  if (headers['x-amz-server-side-encryption'] === 'aws:kms' && kmsKey !== undefined)
    s3.keys.require(request, kmsKey, [action], `s3.${request.awsRegion}.amazonaws.com`);
}

function found(ask: Ask, action = 'GetObject') {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, action);
  const object = bucket.objects.get(ask.key);
  if (!object) throw s3Error('NoSuchKey', 404, 'The specified key does not exist.', { Key: ask.key });
  return { bucket, object };
}

const objectHeaders = (object: StoredObject) => ({
  'content-type': 'binary/octet-stream',
  ...object.headers,
  etag: object.etag,
  'last-modified': new Date(object.modifiedAt).toUTCString(),
  'accept-ranges': 'bytes',
});

function rangeOf(header: string | null, sizeBytes: number): { start: number; length: number } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  const start = match[1] === '' ? Math.max(0, sizeBytes - Number(match[2])) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? sizeBytes - 1 : Math.min(sizeBytes - 1, Number(match[2]));
  if (start >= sizeBytes || end < start) throw s3Error('InvalidRange', 416, 'The requested range is not satisfiable');
  return { start, length: end - start + 1 };
}

export async function getObject(ask: Ask): Promise<AwsResponse> {
  const { bucket, object } = found(ask);
  const { headers } = ask.request;
  const ifMatch = headers.get('if-match');
  if (ifMatch !== null && ifMatch !== object.etag)
    throw s3Error('PreconditionFailed', 412, 'At least one of the pre-conditions you specified did not hold');
  requireSseKey(ask, object.headers, 'kms:Decrypt');
  const range = rangeOf(headers.get('range'), object.sizeBytes);
  const body = await ask.s3.objects.read(bucket, ask.key, range);
  if (range === null) {
    const checksum = headers.get('x-amz-checksum-mode') === 'ENABLED' ? { 'x-amz-checksum-sha256': object.sha256 } : {};
    return { status: 200, headers: { ...objectHeaders(object), ...checksum }, body };
  }
  const contentRange = `bytes ${range.start}-${range.start + range.length - 1}/${object.sizeBytes}`;
  return { status: 206, headers: { ...objectHeaders(object), 'content-range': contentRange }, body };
}

export async function headObject(ask: Ask): Promise<AwsResponse> {
  const { object } = found(ask);
  return { status: 200, headers: { ...objectHeaders(object), 'content-length': String(object.sizeBytes) } };
}

export async function deleteObject(ask: Ask): Promise<AwsResponse> {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'DeleteObject');
  await ask.s3.objects.remove(bucket, ask.key);
  return { status: 204 };
}

/** DeleteObjects: up to 1,000 keys, each with its own answer. */
export async function deleteObjects(ask: Ask): Promise<AwsResponse> {
  const bucket = bucketOf(ask);
  const unescape = (text: string) =>
    text.replace(
      /&(amp|lt|gt|quot|apos);/g,
      (_, name: string) => ({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" })[name] ?? '',
    );
  const keys = [...ask.request.body.toString('utf8').matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) =>
    unescape(match[1] ?? ''),
  );
  if (keys.length > 1_000) throw s3Error('MalformedXML', 400, 'At most 1,000 keys can be deleted at once.');
  const [Deleted, Errors]: [{ Key: string }[], { Key: string; Code: string; Message: string }[]] = [[], []];
  for (const key of keys) {
    try {
      requireS3({ ...ask, key }, bucket, 'DeleteObject');
      await ask.s3.objects.remove(bucket, key);
      Deleted.push({ Key: key });
    } catch (error) {
      Errors.push({ Key: key, Code: 'AccessDenied', Message: error instanceof Error ? error.message : '' });
    }
  }
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?><DeleteResult>${toXml({ Deleted, Error: Errors })}</DeleteResult>`,
  };
}
