import { AwsError, type AwsResponse } from '../service.ts';
import { requireUnlocked } from './locks.ts';
import { namedVersion } from './object-lookup.ts';
import type { Bucket } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error, xmlAnswer } from './request.ts';
import { checkPreconditions } from './writes.ts';
import { elements, elementText } from './xml-body.ts';

const KEYS_MAX = 1_000;

type Deleted = { marker: boolean; versionId: string | null };

async function remove(ask: Ask, bucket: Bucket, versionId: string | null): Promise<Deleted> {
  const { s3, key } = ask;
  if (versionId === null) {
    requireS3(ask, bucket, 'DeleteObject');
    checkPreconditions(bucket, key, { ifNoneMatch: null, ifMatch: ask.request.headers.get('if-match') });
    const marker = await s3.objects.remove(bucket, key, s3.clock.now().toISOString());
    return { marker: marker !== null, versionId: marker?.versionId ?? null };
  }
  requireS3(ask, bucket, 'DeleteObjectVersion', { 's3:VersionId': versionId });
  const version = namedVersion(bucket, key, versionId);
  // A version that is not there is gone already.
  if (!version) return { marker: false, versionId };
  requireUnlocked(ask, bucket, version);
  await s3.objects.removeVersion(bucket, version);
  return { marker: version.deleteMarker, versionId };
}

export async function deleteObject(ask: Ask): Promise<AwsResponse> {
  const { marker, versionId } = await remove(ask, bucketOf(ask), ask.request.query.get('versionId'));
  return {
    status: 204,
    headers: {
      ...(marker ? { 'x-amz-delete-marker': 'true' } : {}),
      ...(versionId === null ? {} : { 'x-amz-version-id': versionId }),
    },
  };
}

/** DeleteObjects: up to 1,000 keys or versions, each with its own answer. */
export async function deleteObjects(ask: Ask): Promise<AwsResponse> {
  const bucket = bucketOf(ask);
  const xml = ask.request.body.toString('utf8');
  const wanted = elements(xml, 'Object').map((object) => ({
    Key: elementText(object, 'Key') ?? '',
    VersionId: elementText(object, 'VersionId'),
  }));
  if (wanted.length === 0 || wanted.length > KEYS_MAX)
    throw s3Error('MalformedXML', 400, 'The XML you provided was not well-formed or did not validate.');
  const done: { [name: string]: string | boolean | undefined }[] = [];
  const failed: { [name: string]: string | undefined }[] = [];
  for (const { Key, VersionId } of wanted) {
    try {
      const { marker, versionId } = await remove({ ...ask, key: Key }, bucket, VersionId ?? null);
      const DeleteMarkerVersionId = marker ? (versionId ?? undefined) : undefined;
      done.push({ Key, VersionId, DeleteMarker: marker || undefined, DeleteMarkerVersionId });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      failed.push({ Key, VersionId, Code: error.code, Message: error.message });
    }
  }
  return xmlAnswer('DeleteResult', {
    ...(elementText(xml, 'Quiet') === 'true' ? {} : { Deleted: done }),
    Error: failed,
  });
}
