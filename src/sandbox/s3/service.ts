import type { AwsResponse, AwsService, ServiceDeps } from '../service.ts';
import {
  bucketSetting,
  createBucket,
  deleteBucket,
  headBucket,
  listBuckets,
  listObjects,
} from './bucket-operations.ts';
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

/** What may stand in the query of a plain object or bucket call; anything else would name another operation. */
const PLAIN = {
  object: new Set(['x-id']),
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
    ...SETTINGS,
  ]),
};

/** Refuses what the sandbox has not: done as a plain call, it would store or answer something else than was asked for. */
function refuseUnknown({ request, key }: Ask): void {
  const known = key === '' ? PLAIN.bucket : PLAIN.object;
  const unknown = [...request.query.keys()].find((name) => !known.has(name));
  if (unknown !== undefined) throw s3Error('NotImplemented', 501, `The sandbox does not offer ?${unknown}.`);
  if (request.headers.has('x-amz-copy-source'))
    throw s3Error('NotImplemented', 501, 'The sandbox does not copy objects.');
}

function route(ask: Ask): AwsResponse | Promise<AwsResponse> {
  const { request, key } = ask;
  const { method, query } = request;
  refuseUnknown(ask);
  if (key !== '') {
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
      if (bucketName === '') return listBuckets({ s3, request });
      return route({ s3, request, bucketName, key: decodeURIComponent(key) });
    },
    save: () => objects.save(),
  };
}
