const BUCKET: Record<string, string> = {
  PUT: 'CreateBucket',
  GET: 'ListObjects',
  HEAD: 'HeadBucket',
  DELETE: 'DeleteBucket',
};
const OBJECT: Record<string, string> = {
  PUT: 'PutObject',
  GET: 'GetObject',
  HEAD: 'HeadObject',
  DELETE: 'DeleteObject',
};

/** Sub-resources of a bucket and the name that Get, Put and Delete go before. */
const BUCKET_PARTS: Record<string, string> = {
  location: 'BucketLocation',
  policy: 'BucketPolicy',
  versioning: 'BucketVersioning',
  encryption: 'BucketEncryption',
  publicAccessBlock: 'PublicAccessBlock',
  'object-lock': 'ObjectLockConfiguration',
  lifecycle: 'BucketLifecycleConfiguration',
  tagging: 'BucketTagging',
  ownershipControls: 'BucketOwnershipControls',
};
const OBJECT_PARTS: Record<string, string> = {
  retention: 'ObjectRetention',
  'legal-hold': 'ObjectLegalHold',
  attributes: 'ObjectAttributes',
  tagging: 'ObjectTagging',
};
const VERBS: Record<string, string> = { GET: 'Get', PUT: 'Put', DELETE: 'Delete' };

function partOf(parts: Record<string, string>, method: string, query: URLSearchParams): string | null {
  const name = Object.keys(parts).find((part) => query.has(part));
  return name === undefined ? null : `${VERBS[method] ?? method}${parts[name]}`;
}

function multipart(method: string, query: URLSearchParams, copies: boolean): string | null {
  if (query.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
  if (!query.has('uploadId')) return null;
  const names: Record<string, string> = {
    PUT: copies ? 'UploadPartCopy' : 'UploadPart',
    GET: 'ListParts',
    POST: 'CompleteMultipartUpload',
    DELETE: 'AbortMultipartUpload',
  };
  return names[method] ?? null;
}

/** The name that AWS has for an S3 request: method and path alone do not tell. Source: S3 API reference. */
export function s3OperationName(request: {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
}): string {
  const { method, path, query, headers } = request;
  const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/s.exec(path) ?? [];
  if (bucket === '') return 'ListBuckets';
  const copies = headers.has('x-amz-copy-source');
  const upload = multipart(method, query, copies);
  if (upload !== null) return upload;
  if (key !== '')
    return partOf(OBJECT_PARTS, method, query) ?? (copies ? 'CopyObject' : (OBJECT[method] ?? `${method}Object`));
  if (query.has('delete')) return 'DeleteObjects';
  if (query.has('versions')) return 'ListObjectVersions';
  if (query.get('list-type') === '2') return 'ListObjectsV2';
  return partOf(BUCKET_PARTS, method, query) ?? BUCKET[method] ?? `${method}Bucket`;
}
