import { type Bucket, currentOf, type StoredObject } from './objects.ts';
import { type Ask, s3Error } from './request.ts';

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

export const namedVersion = (bucket: Bucket, key: string, versionId: string): StoredObject | undefined =>
  bucket.objects.get(key)?.find((it) => it.versionId === versionId);

/** How a version shows in an answer; a bucket that never had versions shows none. */
export const versionHeader = (bucket: Bucket, { versionId }: StoredObject): Record<string, string> =>
  bucket.versioning === null ? {} : { 'x-amz-version-id': versionId };
