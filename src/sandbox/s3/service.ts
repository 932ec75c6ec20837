import type { AwsResponse, AwsService, ServiceDeps } from '../service.ts';
import { bucketSetting, createBucket, deleteBucket, headBucket, listObjects } from './bucket-operations.ts';
import { deleteObject, deleteObjects, getObject, headObject, putObject } from './object-operations.ts';
import { openObjects } from './objects.ts';
import { type Ask, s3Error } from './request.ts';

const SETTINGS = [
  'location',
  'policy',
  'versioning',
  'encryption',
  'publicAccessBlock',
  'object-lock',
  'lifecycle',
  'tagging',
  'ownershipControls',
];

const OBJECT: Record<string, (ask: Ask) => Promise<AwsResponse>> = {
  PUT: putObject,
  GET: getObject,
  HEAD: headObject,
  DELETE: deleteObject,
};
const BUCKET: Record<string, (ask: Ask) => AwsResponse> = {
  PUT: createBucket,
  GET: listObjects,
  HEAD: headBucket,
  DELETE: deleteBucket,
};

function route(ask: Ask): AwsResponse | Promise<AwsResponse> {
  const { request, key } = ask;
  const { method, query } = request;
  if (key !== '') {
    if (query.has('uploadId') || query.has('uploads'))
      throw s3Error('NotImplemented', 501, 'The sandbox has no multipart uploads yet.');
    const handler = OBJECT[method];
    if (handler) return handler(ask);
  } else {
    const setting = SETTINGS.find((name) => query.has(name));
    if (setting) return bucketSetting(ask, setting);
    if (method === 'POST' && query.has('delete')) return deleteObjects(ask);
    const handler = BUCKET[method];
    if (handler) return handler(ask);
  }
  throw s3Error('MethodNotAllowed', 405, 'The specified method is not allowed against this resource.');
}

/** S3 (REST-XML), addressed by path. */
export function createS3(deps: ServiceDeps): AwsService {
  const objects = openObjects(deps.dir);
  const s3 = { ...deps, objects };
  return {
    async handle(request) {
      const [, bucketName = '', key = ''] = /^\/([^/]+)\/?(.*)$/s.exec(request.path) ?? [];
      if (bucketName === '') throw s3Error('NotImplemented', 501, 'The sandbox does not list buckets.');
      return route({ s3, request, bucketName, key: decodeURIComponent(key) });
    },
    save: () => objects.save(),
  };
}
