import type { AwsResponse } from '../service.ts';
import { checksums } from './checksums.ts';
import { lockHeaders, lockKeys, lockOfNew } from './locks.ts';
import { readVersionOf, versionHeader } from './object-lookup.ts';
import type { Bucket, StoredObject } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error, xmlAnswer } from './request.ts';
import { checkPreconditions, keptHeaders, newVersion, preconditionsOf, requireSseKey, sseHeaders } from './writes.ts';

export async function putObject(ask: Ask): Promise<AwsResponse> {
  const { s3, request, key } = ask;
  const bucket = bucketOf(ask);
  const preconditions = preconditionsOf(ask);
  const lock = lockOfNew(ask, bucket);
  requireS3(ask, bucket, 'PutObject', {
    's3:ObjectCreationOperation': 'true',
    ...preconditions.context,
    ...lockKeys(lock, s3.clock.now().getTime()),
  });
  const { kept, etag } = checksums(request);
  const check = () => checkPreconditions(bucket, key, preconditions);
  check();
  const headers = keptHeaders(bucket, request.headers);
  requireSseKey(ask, headers, ['kms:GenerateDataKey']);
  const file = await s3.objects.files.store(request.body);
  const sizeBytes = request.body.length;
  const object: StoredObject = { ...newVersion(ask, bucket), sizeBytes, etag, checksums: kept, headers, ...lock, file };
  await s3.objects.publish(bucket, object, check);
  return {
    status: 200,
    headers: { etag, ...typed(kept), ...versionHeader(bucket, object), ...sseHeaders(headers) },
  };
}

function found(ask: Ask, action = 'GetObject'): { bucket: Bucket; object: StoredObject } {
  const bucket = bucketOf(ask);
  const versionId = ask.request.query.get('versionId');
  if (versionId === null) requireS3(ask, bucket, action);
  else requireS3(ask, bucket, action.replace('Object', 'ObjectVersion'), { 's3:VersionId': versionId });
  return { bucket, object: readVersionOf(ask, bucket) };
}

const objectHeaders = (ask: Ask, bucket: Bucket, object: StoredObject) => ({
  'content-type': 'binary/octet-stream',
  ...object.headers,
  etag: object.etag,
  'last-modified': new Date(object.modifiedAt).toUTCString(),
  'accept-ranges': 'bytes',
  ...versionHeader(bucket, object),
  ...lockHeaders(ask, bucket, object),
});

const typed = (kept: Record<string, string>): Record<string, string> =>
  Object.keys(kept).length === 0 ? {} : { ...kept, 'x-amz-checksum-type': 'FULL_OBJECT' };

/** Only who asks with `x-amz-checksum-mode` is told. Source: S3 API reference, GetObject and HeadObject. */
const askedChecksums = ({ request }: Ask, object: StoredObject): Record<string, string> =>
  request.headers.get('x-amz-checksum-mode') === 'ENABLED' ? typed(object.checksums) : {};

const checksumXml = ({ checksums: kept }: StoredObject) => ({
  ...Object.fromEntries(
    Object.entries(kept).map(([name, value]) => [
      `Checksum${name.replace('x-amz-checksum-', '').toUpperCase()}`,
      value,
    ]),
  ),
  ChecksumType: 'FULL_OBJECT',
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
  if (headers.get('if-none-match') === object.etag) return { status: 304, headers: { etag: object.etag } };
  requireSseKey(ask, object.headers, ['kms:Decrypt']);
  const range = rangeOf(headers.get('range'), object.sizeBytes);
  const body = await ask.s3.objects.files.read(object.file, range);
  const shown = objectHeaders(ask, bucket, object);
  if (range === null) {
    return { status: 200, headers: { ...shown, ...askedChecksums(ask, object) }, body };
  }
  const contentRange = `bytes ${range.start}-${range.start + range.length - 1}/${object.sizeBytes}`;
  return { status: 206, headers: { ...shown, 'content-range': contentRange }, body };
}

export async function headObject(ask: Ask): Promise<AwsResponse> {
  const { bucket, object } = found(ask);
  const shown = { ...objectHeaders(ask, bucket, object), ...askedChecksums(ask, object) };
  const headers = { ...shown, 'content-length': String(object.sizeBytes) };
  return { status: 200, headers };
}

/** `?attributes`: those that `x-amz-object-attributes` asks for. */
export async function getObjectAttributes(ask: Ask): Promise<AwsResponse> {
  const { bucket, object } = found(ask, 'GetObjectAttributes');
  const asked = (ask.request.headers.get('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  const parts = /-(\d+)"$/.exec(object.etag)?.[1];
  const all = {
    ETag: object.etag.replaceAll('"', ''),
    Checksum: Object.keys(object.checksums).length === 0 ? undefined : checksumXml(object),
    ObjectParts: parts === undefined ? undefined : { TotalPartsCount: parts },
    StorageClass: 'STANDARD',
    ObjectSize: object.sizeBytes,
  };
  const answer = xmlAnswer(
    'GetObjectAttributesResponse',
    Object.fromEntries(Object.entries(all).filter(([name]) => asked.includes(name))),
  );
  const headers = {
    ...answer.headers,
    'last-modified': new Date(object.modifiedAt).toUTCString(),
    ...versionHeader(bucket, object),
  };
  return { ...answer, headers };
}
