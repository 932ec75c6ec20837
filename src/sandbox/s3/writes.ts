import { type Bucket, currentOf, newVersionId, type StoredObject } from './objects.ts';
import { type Ask, s3Error } from './request.ts';

const KEPT_HEADERS = [
  'content-type',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'cache-control',
  'content-encoding',
];
const SSE = 'x-amz-server-side-encryption';
const SSE_KEY = 'x-amz-server-side-encryption-aws-kms-key-id';

type Preconditions = { ifNoneMatch: string | null; ifMatch: string | null };

/** The conditions of a write, and the condition keys that IAM sees of them. */
export function preconditionsOf({ request: { headers } }: Ask): Preconditions & { context: Record<string, string> } {
  const ifNoneMatch = headers.get('if-none-match');
  const ifMatch = headers.get('if-match');
  if (ifNoneMatch !== null && ifNoneMatch !== '*') throw s3Error('NotImplemented', 501, 'If-None-Match takes only *.');
  const context = {
    ...(ifNoneMatch === null ? {} : { 's3:if-none-match': ifNoneMatch }),
    ...(ifMatch === null ? {} : { 's3:if-match': ifMatch }),
  };
  return { ifNoneMatch, ifMatch, context };
}

/** @throws AwsError PreconditionFailed; NoSuchKey when the object to match does not exist */
export function checkPreconditions(bucket: Bucket, key: string, { ifNoneMatch, ifMatch }: Preconditions): void {
  const current = currentOf(bucket, key);
  const failed = (Condition: string) =>
    s3Error('PreconditionFailed', 412, 'At least one of the pre-conditions you specified did not hold', { Condition });
  if (ifNoneMatch === '*' && current) throw failed('If-None-Match');
  if (ifMatch === null) return;
  if (!current) throw s3Error('NoSuchKey', 404, 'The specified key does not exist.');
  if (ifMatch !== '*' && current.etag !== ifMatch) throw failed('If-Match');
}

/** What an object keeps of the headers it was put with, and the bucket's key. `aws-chunked` is how it came, not what it is. */
export function keptHeaders(bucket: Bucket, headers: Headers): Record<string, string> {
  const kept = [...headers].filter(([name]) => KEPT_HEADERS.includes(name) || name.startsWith('x-amz-meta-'));
  const byDefault =
    headers.has(SSE) || bucket.defaultKey === null ? {} : { [SSE]: 'aws:kms', [SSE_KEY]: bucket.defaultKey };
  return {
    ...byDefault,
    ...Object.fromEntries(
      kept
        .map(([name, value]) => [name, name === 'content-encoding' ? value.replace(/^aws-chunked,?\s*/, '') : value])
        .filter(([, value]) => value !== ''),
    ),
  };
}

/** An object under a named KMS key takes that key's consent to be written, and to be read. */
export function requireSseKey({ s3, request }: Ask, headers: Record<string, string>, actions: readonly string[]): void {
  const kmsKey = headers[SSE_KEY];
  if (headers[SSE] === 'aws:kms' && kmsKey !== undefined)
    s3.keys.require(request, kmsKey, actions, `s3.${request.awsRegion}.amazonaws.com`);
}

export const sseHeaders = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name === SSE || name === SSE_KEY));

/** The members that every new version has. */
export function newVersion(
  { s3, key }: Ask,
  bucket: Bucket,
): Pick<StoredObject, 'key' | 'versionId' | 'deleteMarker' | 'modifiedAt'> {
  return {
    key,
    versionId: bucket.versioning === 'Enabled' ? newVersionId() : 'null',
    deleteMarker: false,
    modifiedAt: s3.clock.now().toISOString(),
  };
}
