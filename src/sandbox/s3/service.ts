import type { AwsResponse, AwsService, ServiceDeps } from '../service.ts';
import { createBucket, deleteBucket, headBucket, listBuckets } from './bucket-operations.ts';
import { bucketSetting, SETTING_NAMES } from './bucket-settings.ts';
import { copyObject } from './copies.ts';
import { deleteObject, deleteObjects } from './deletes.ts';
import { tidy } from './lifecycle.ts';
import { listObjects, listVersions } from './listings.ts';
import { objectLegalHold, objectRetention } from './locks.ts';
import { abortUpload, completeUpload, createUpload, listParts, listUploads, uploadPart } from './multipart.ts';
import { getObject, getObjectAttributes, headObject, putObject } from './object-operations.ts';
import { openObjects } from './objects.ts';
import { s3OperationName } from './operation-name.ts';
import { type Ask, s3Error } from './request.ts';

type Handler = (ask: Ask) => AwsResponse | Promise<AwsResponse>;

/** Operations by AWS's names; those on settings of a bucket stand apart. */
const OPERATIONS: Record<string, Handler> = {
  CreateBucket: createBucket,
  HeadBucket: headBucket,
  DeleteBucket: deleteBucket,
  ListObjects: listObjects,
  ListObjectsV2: listObjects,
  ListObjectVersions: listVersions,
  ListMultipartUploads: listUploads,
  PutObject: putObject,
  GetObject: getObject,
  HeadObject: headObject,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  CopyObject: copyObject,
  GetObjectAttributes: getObjectAttributes,
  GetObjectRetention: objectRetention,
  PutObjectRetention: objectRetention,
  GetObjectLegalHold: objectLegalHold,
  PutObjectLegalHold: objectLegalHold,
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPart,
  ListParts: listParts,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
};

/** What may stand in a query; anything else would name another operation. */
const KNOWN = {
  object: new Set(['x-id', 'versionId', 'uploads', 'uploadId', 'partNumber', 'part-number-marker', 'max-parts']),
  bucket: new Set([
    'x-id',
    'list-type',
    'prefix',
    'delimiter',
    'max-keys',
    'continuation-token',
    'start-after',
    'encoding-type',
    'fetch-owner',
    'delete',
    'versions',
    'key-marker',
    'version-id-marker',
    'uploads',
    'upload-id-marker',
    'max-uploads',
    ...SETTING_NAMES,
  ]),
};
const OBJECT_PARTS = new Set(['retention', 'legal-hold', 'attributes']);

/** Headers that ask for more than the sandbox has, and their values (absent: the empty text) that ask for nothing. */
const NOT_OFFERED: readonly { header: string; harmless: readonly string[] }[] = [
  { header: 'x-amz-tagging', harmless: [''] },
  { header: 'x-amz-acl', harmless: ['', 'private', 'bucket-owner-full-control'] },
  { header: 'x-amz-storage-class', harmless: ['', 'STANDARD'] },
  { header: 'x-amz-server-side-encryption-customer-algorithm', harmless: [''] },
  { header: 'x-amz-website-redirect-location', harmless: [''] },
];

/** Refuses what the sandbox has not: done as a plain call, it would store or answer something else than was asked for. */
function refuseUnknown({ request, key }: Ask): void {
  const known = key === '' ? KNOWN.bucket : KNOWN.object;
  const unknown = [...request.query.keys()].find(
    (name) => !known.has(name) && !(key !== '' && OBJECT_PARTS.has(name)) && !/^x-amz-/i.test(name),
  );
  if (unknown !== undefined) throw s3Error('NotImplemented', 501, `The sandbox does not offer ?${unknown}.`);
  const { headers } = request;
  const option = NOT_OFFERED.find(({ header, harmless }) => !harmless.includes(headers.get(header) ?? ''));
  if (option) throw s3Error('NotImplemented', 501, `The sandbox does not offer ${option.header}.`);
  if (request.query.has('partNumber') && !request.query.has('uploadId'))
    throw s3Error('NotImplemented', 501, 'The sandbox does not read single parts.');
  if (request.query.has('versions') && request.query.has('delimiter'))
    throw s3Error('NotImplemented', 501, 'The sandbox does not group versions.');
}

async function route(ask: Ask): Promise<AwsResponse> {
  const { s3, request, key, bucketName } = ask;
  refuseUnknown(ask);
  const bucket = s3.objects.buckets.get(bucketName);
  if (bucket) await tidy(s3.objects, bucket, s3.clock.now());
  const setting = key === '' ? SETTING_NAMES.find((name) => request.query.has(name)) : undefined;
  if (setting !== undefined) return bucketSetting(ask, setting);
  const name = s3OperationName(request);
  const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (operation) return operation(ask);
  throw s3Error('MethodNotAllowed', 405, 'The specified method is not allowed against this resource.');
}

/** S3 (REST-XML), addressed by path. */
export function createS3(deps: ServiceDeps): AwsService {
  const objects = openObjects(deps.dir);
  const s3 = { ...deps, objects };
  return {
    async handle(request) {
      const [, bucketName = '', key = ''] = /^\/([^/]+)\/?(.*)$/s.exec(request.path) ?? [];
      if (bucketName === '') return listBuckets({ s3, request });
      return route({ s3, request, bucketName, key: decodeURIComponent(key) });
    },
    save: () => objects.save(),
  };
}
