import type { AwsResponse } from '../service.ts';
import { lockKeys, lockOfNew } from './locks.ts';
import { readVersionOf, versionHeader } from './object-lookup.ts';
import type { StoredObject } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error, xmlAnswer } from './request.ts';
import { checkPreconditions, keptHeaders, newVersion, preconditionsOf, requireSseKey, sseHeaders } from './writes.ts';

/** The object that `x-amz-copy-source` names, with the caller's right to read it. */
function sourceOf(ask: Ask): { ask: Ask; object: StoredObject } {
  const { request } = ask;
  const [path = '', search = ''] = (request.headers.get('x-amz-copy-source') ?? '').split('?');
  const [, bucketName = '', key = ''] = /^\/?([^/]+)\/(.+)$/s.exec(decodeURIComponent(path)) ?? [];
  if (key === '') throw s3Error('InvalidArgument', 400, 'Invalid copy source object key');
  const query = new URLSearchParams(search);
  const headers = new Headers(request.headers);
  const owner = headers.get('x-amz-source-expected-bucket-owner');
  headers.delete('x-amz-expected-bucket-owner');
  if (owner !== null) headers.set('x-amz-expected-bucket-owner', owner);
  const source = { ...ask, bucketName, key, request: { ...request, query, headers } };
  const bucket = bucketOf(source);
  requireS3(source, bucket, query.has('versionId') ? 'GetObjectVersion' : 'GetObject');
  const object = readVersionOf(source, bucket);
  const ifMatch = headers.get('x-amz-copy-source-if-match');
  if (ifMatch !== null && ifMatch !== object.etag)
    throw s3Error('PreconditionFailed', 412, 'At least one of the pre-conditions you specified did not hold');
  requireSseKey(source, object.headers, ['kms:Decrypt']);
  return { ask: source, object };
}

/** CopyObject, within a region. Metadata goes along unless it is to be replaced; encryption and lock are the new object's own. */
export async function copyObject(ask: Ask): Promise<AwsResponse> {
  const { s3, request, key } = ask;
  const bucket = bucketOf(ask);
  const preconditions = preconditionsOf(ask);
  const lock = lockOfNew(ask, bucket);
  requireS3(ask, bucket, 'PutObject', {
    's3:ObjectCreationOperation': 'true',
    ...preconditions.context,
    ...lockKeys(lock, s3.clock.now().getTime()),
  });
  const source = sourceOf(ask);
  const replaces = request.headers.get('x-amz-metadata-directive') === 'REPLACE';
  if (
    !replaces &&
    source.ask.bucketName === bucket.name &&
    source.ask.key === key &&
    !source.ask.request.query.has('versionId')
  )
    throw s3Error(
      'InvalidRequest',
      400,
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  const own = keptHeaders(bucket, request.headers);
  const inherited = Object.entries(source.object.headers).filter(
    ([name]) => !name.startsWith('x-amz-server-side-encryption'),
  );
  const headers = replaces ? own : { ...Object.fromEntries(inherited), ...sseHeaders(own) };
  requireSseKey(ask, headers, ['kms:GenerateDataKey']);
  const check = () => checkPreconditions(bucket, key, preconditions);
  check();
  const file = await s3.objects.files.join([source.object.file]);
  const { sizeBytes, etag, checksums } = source.object;
  const object: StoredObject = { ...newVersion(ask, bucket), sizeBytes, etag, checksums, headers, ...lock, file };
  await s3.objects.publish(bucket, object, check);
  const answer = xmlAnswer('CopyObjectResult', { ETag: etag, LastModified: object.modifiedAt });
  return { ...answer, headers: { ...answer.headers, ...versionHeader(bucket, object), ...sseHeaders(headers) } };
}
