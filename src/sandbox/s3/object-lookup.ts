import { type Bucket, currentOf, type StoredObject } from './objects.ts';
import { type Ask, requireS3, s3Error } from './request.ts';

/**
 * The version that a request names, or the current one.
 *
 * @throws AwsError NoSuchKey, NoSuchVersion; MethodNotAllowed for a delete marker that was named
 */
export function versionOf({ request, key }: Ask, bucket: Bucket): StoredObject {
  const versionId = request.query.get('versionId');
  if (versionId === null) {
    const current = currentOf(bucket, key);
    if (!current) throw s3Error('NoSuchKey', 404, 'The specified key does not exist.', { Key: key });
    return current;
  }
  const version = namedVersion(bucket, key, versionId);
  if (!version) {
    throw s3Error('NoSuchVersion', 404, 'The specified version does not exist.', { Key: key, VersionId: versionId });
  }
  if (version.deleteMarker)
    throw s3Error('MethodNotAllowed', 405, 'The specified method is not allowed against this resource.', {
      Method: request.method,
      ResourceType: 'DeleteMarker',
    });
  return version;
}

/**
 * The same for a request that reads: only who may list the bucket is told that no object has this key. All of the bucket, for the
 * question names no prefix. Source: S3 API reference, GetObject, "Permissions"; that a right to list which depends on `s3:prefix` is not
 * enough is our reading.
 *
 * @throws AwsError also AccessDenied
 */
export function readVersionOf(ask: Ask, bucket: Bucket): StoredObject {
  const isNamed = ask.request.query.has('versionId');
  if (!isNamed && !currentOf(bucket, ask.key)) requireS3({ ...ask, key: '' }, bucket, 'ListBucket');
  return versionOf(ask, bucket);
}

export const namedVersion = (bucket: Bucket, key: string, versionId: string): StoredObject | undefined =>
  bucket.objects.get(key)?.find((it) => it.versionId === versionId);

/** How a version shows in an answer; a bucket that never had versions shows none. */
export const versionHeader = (bucket: Bucket, { versionId }: StoredObject): Record<string, string> =>
  bucket.versioning === null ? {} : { 'x-amz-version-id': versionId };
