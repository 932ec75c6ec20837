import { createHash, randomBytes } from 'node:crypto';
import type { AwsResponse } from '../service.ts';
import { checksums } from './checksums.ts';
import { lockKeys, lockOfNew } from './locks.ts';
import { versionHeader } from './object-lookup.ts';
import type { Bucket, Part, StoredObject, Upload } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error, xmlAnswer } from './request.ts';
import { checkPreconditions, keptHeaders, newVersion, preconditionsOf, requireSseKey, sseHeaders } from './writes.ts';
import { elements, elementText } from './xml-body.ts';

const PARTS_MAX = 10_000;
const PART_BYTES_MIN = 5 * 2 ** 20;

function uploadOf({ request, key }: Ask, bucket: Bucket): Upload {
  const upload = bucket.uploads.get(request.query.get('uploadId') ?? '');
  if (upload?.key === key) return upload;
  throw s3Error(
    'NoSuchUpload',
    404,
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
  );
}

export async function createUpload(ask: Ask): Promise<AwsResponse> {
  const { s3, request, key } = ask;
  const bucket = bucketOf(ask);
  // The lock's own checksum rule is about bodies: this request has none.
  const lock = lockOfNew({ ...ask, request: { ...request, headers: withChecksum(request.headers) } }, bucket);
  requireS3(ask, bucket, 'PutObject', lockKeys(lock, s3.clock.now().getTime()));
  const headers = keptHeaders(bucket, request.headers);
  requireSseKey(ask, headers, ['kms:GenerateDataKey']);
  const uploadId = randomBytes(32).toString('base64url');
  const initiatedAt = s3.clock.now().toISOString();
  bucket.uploads.set(uploadId, { uploadId, key, initiatedAt, headers, ...lock, parts: [] });
  s3.objects.changed();
  const answer = xmlAnswer('InitiateMultipartUploadResult', { Bucket: bucket.name, Key: key, UploadId: uploadId });
  return { ...answer, headers: { ...answer.headers, ...sseHeaders(headers) } };
}

function withChecksum(headers: Headers): Headers {
  const copy = new Headers(headers);
  copy.set('x-amz-trailer', '');
  return copy;
}

export async function uploadPart(ask: Ask): Promise<AwsResponse> {
  const { s3, request } = ask;
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'PutObject');
  const upload = uploadOf(ask, bucket);
  if (request.headers.has('x-amz-copy-source'))
    throw s3Error('NotImplemented', 501, 'The sandbox does not copy into parts.');
  const number = Number(request.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > PARTS_MAX)
    throw s3Error('InvalidArgument', 400, `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`);
  const { etag } = checksums(request);
  // Parts under a key are read again when the object is put together.
  requireSseKey(ask, upload.headers, ['kms:GenerateDataKey', 'kms:Decrypt']);
  const file = await s3.objects.files.store(request.body);
  if (bucket.uploads.get(upload.uploadId) !== upload) {
    await s3.objects.files.drop(file);
    return uploadPart(ask); // ended meanwhile: answered as not there
  }
  const modifiedAt = s3.clock.now().toISOString();
  const replaced = upload.parts.find((part) => part.number === number);
  upload.parts = [
    ...upload.parts.filter((part) => part !== replaced),
    { number, etag, sizeBytes: request.body.length, modifiedAt, file },
  ].toSorted((a, b) => a.number - b.number);
  s3.objects.changed();
  if (replaced) await s3.objects.files.drop(replaced.file);
  return { status: 200, headers: { etag, ...sseHeaders(upload.headers) } };
}

/** The parts that a completion names: in order, as they were uploaded, and long enough. */
function partsOf(xml: string, upload: Upload): Part[] {
  const named = elements(xml, 'Part').map((part) => ({
    number: Number(elementText(part, 'PartNumber')),
    etag: `"${(elementText(part, 'ETag') ?? '').replaceAll('"', '')}"`,
  }));
  if (named.length === 0)
    throw s3Error('MalformedXML', 400, 'The XML you provided was not well-formed or did not validate.');
  if (named.some(({ number }, i) => i > 0 && number <= (named[i - 1]?.number ?? 0)))
    throw s3Error('InvalidPartOrder', 400, 'The list of parts was not in ascending order.');
  const parts = named.map(({ number, etag }) => {
    const part = upload.parts.find((it) => it.number === number);
    if (part?.etag === etag) return part;
    throw s3Error('InvalidPart', 400, 'One or more of the specified parts could not be found.', {
      PartNumber: String(number),
    });
  });
  if (parts.slice(0, -1).some(({ sizeBytes }) => sizeBytes < PART_BYTES_MIN))
    throw s3Error('EntityTooSmall', 400, 'Your proposed upload is smaller than the minimum allowed size');
  return parts;
}

const composite = (parts: readonly Part[]) => {
  const digests = parts.map(({ etag }) => Buffer.from(etag.replaceAll('"', ''), 'hex'));
  return `"${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}"`;
};

export async function completeUpload(ask: Ask): Promise<AwsResponse> {
  const { s3, request, key } = ask;
  const bucket = bucketOf(ask);
  const preconditions = preconditionsOf(ask);
  requireS3(ask, bucket, 'PutObject', { 's3:ObjectCreationOperation': 'true', ...preconditions.context });
  const upload = uploadOf(ask, bucket);
  const parts = partsOf(request.body.toString('utf8'), upload);
  const check = () => {
    uploadOf(ask, bucket);
    checkPreconditions(bucket, key, preconditions);
  };
  check();
  requireSseKey(ask, upload.headers, ['kms:Decrypt']);
  const { headers, retention, legalHold } = upload;
  const object: StoredObject = {
    ...newVersion(ask, bucket),
    sizeBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
    etag: composite(parts),
    checksums: {},
    headers,
    retention,
    legalHold,
    file: await s3.objects.files.join(parts.map((part) => part.file)),
  };
  await s3.objects.publish(bucket, object, check);
  await s3.objects.removeUpload(bucket, upload);
  const answer = xmlAnswer('CompleteMultipartUploadResult', { Bucket: bucket.name, Key: key, ETag: object.etag });
  return { ...answer, headers: { ...answer.headers, ...versionHeader(bucket, object), ...sseHeaders(headers) } };
}

export async function abortUpload(ask: Ask): Promise<AwsResponse> {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'AbortMultipartUpload');
  await ask.s3.objects.removeUpload(bucket, uploadOf(ask, bucket));
  return { status: 204 };
}

export async function listParts(ask: Ask): Promise<AwsResponse> {
  const { query } = ask.request;
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListMultipartUploadParts');
  const upload = uploadOf(ask, bucket);
  const marker = Number(query.get('part-number-marker') ?? 0);
  const MaxParts = Math.min(1_000, Number(query.get('max-parts') ?? 1_000));
  const rest = upload.parts.filter(({ number }) => number > marker);
  const page = rest.slice(0, MaxParts);
  return xmlAnswer('ListPartsResult', {
    Bucket: bucket.name,
    Key: upload.key,
    UploadId: upload.uploadId,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? marker,
    MaxParts,
    IsTruncated: rest.length > page.length,
    StorageClass: 'STANDARD',
    Part: page.map((part) => ({
      PartNumber: part.number,
      LastModified: part.modifiedAt,
      ETag: part.etag,
      Size: part.sizeBytes,
    })),
  });
}

/** ListMultipartUploads, by key and then by when they began. */
export function listUploads(ask: Ask): AwsResponse {
  const { query } = ask.request;
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListBucketMultipartUploads');
  const prefix = query.get('prefix') ?? '';
  const order = ({ key, initiatedAt }: Upload) => `${key}\0${initiatedAt}`;
  const uploads = [...bucket.uploads.values()]
    .filter(({ key }) => key.startsWith(prefix))
    .toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
  const [keyMarker, idMarker] = [query.get('key-marker') ?? '', query.get('upload-id-marker') ?? ''];
  const after = uploads.findIndex((it) => it.key === keyMarker && it.uploadId === idMarker);
  const rest = after >= 0 ? uploads.slice(after + 1) : uploads.filter(({ key }) => keyMarker === '' || key > keyMarker);
  const MaxUploads = Math.min(1_000, Number(query.get('max-uploads') ?? 1_000));
  const page = rest.slice(0, MaxUploads);
  return xmlAnswer('ListMultipartUploadsResult', {
    Bucket: bucket.name,
    Prefix: prefix,
    KeyMarker: keyMarker,
    UploadIdMarker: idMarker,
    NextKeyMarker: page.at(-1)?.key,
    NextUploadIdMarker: page.at(-1)?.uploadId,
    MaxUploads,
    IsTruncated: rest.length > page.length,
    Upload: page.map(({ key, uploadId, initiatedAt }) => ({
      Key: key,
      UploadId: uploadId,
      Initiated: initiatedAt,
      StorageClass: 'STANDARD',
    })),
  });
}
