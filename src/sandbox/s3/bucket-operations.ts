import { parsePolicy } from '../iam/policy.ts';
import type { AwsResponse } from '../service.ts';
import { toXml, type Xml } from '../wire/xml.ts';
import { type Ask, bucketOf, requireS3, s3Error } from './request.ts';

const xml = (root: string, members: { [name: string]: Xml }): AwsResponse => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?><${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${toXml(members)}</${root}>`,
});

export function createBucket({ s3, request, bucketName }: Ask): AwsResponse {
  const { caller, awsRegion } = request;
  const decision = s3.authorize(caller, { action: 's3:CreateBucket', resource: `arn:aws:s3:::${bucketName}` }, request);
  if (!decision.allowed) throw s3Error('AccessDenied', 403, decision.reason);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucketName))
    throw s3Error('InvalidBucketName', 400, 'The specified bucket is not valid.');
  const location = /<LocationConstraint[^>]*>([^<]*)</.exec(request.body.toString('utf8'))?.[1] ?? 'us-east-1';
  if (location !== awsRegion) {
    throw s3Error(
      'IllegalLocationConstraintException',
      400,
      `The ${location} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  }
  const known = s3.objects.buckets.get(bucketName);
  if (known)
    throw known.accountId === caller.accountId
      ? s3Error(
          'BucketAlreadyOwnedByYou',
          409,
          'Your previous request to create the named bucket succeeded and you already own it.',
        )
      : s3Error('BucketAlreadyExists', 409, 'The requested bucket name is not available.');
  s3.objects.buckets.set(bucketName, {
    name: bucketName,
    accountId: caller.accountId,
    awsRegion,
    createdAt: s3.clock.now().toISOString(),
    policy: null,
    versioning: null,
    encryption: null,
    objects: new Map(),
  });
  s3.objects.changed();
  return { status: 200, headers: { location: `/${bucketName}` } };
}

/** The caller's own buckets, of every region. */
export function listBuckets({ s3, request }: Pick<Ask, 's3' | 'request'>): AwsResponse {
  const { caller } = request;
  const decision = s3.authorize(caller, { action: 's3:ListAllMyBuckets', resource: '*' }, request);
  if (!decision.allowed) throw s3Error('AccessDenied', 403, decision.reason);
  const Bucket = [...s3.objects.buckets.values()]
    .filter((bucket) => bucket.accountId === caller.accountId)
    .map(({ name, createdAt, awsRegion }) => ({ Name: name, CreationDate: createdAt, BucketRegion: awsRegion }));
  return xml('ListAllMyBucketsResult', { Owner: { ID: caller.accountId }, Buckets: { Bucket } });
}

export function headBucket(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListBucket');
  return { status: 200, headers: { 'x-amz-bucket-region': bucket.awsRegion } };
}

export function deleteBucket(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'DeleteBucket');
  if (bucket.objects.size > 0) throw s3Error('BucketNotEmpty', 409, 'The bucket you tried to delete is not empty');
  ask.s3.objects.buckets.delete(bucket.name);
  ask.s3.objects.changed();
  return { status: 204 };
}

/** ListObjectsV2. The continuation token is the last key, so that pages stay right while objects come and go. */
export function listObjects(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListBucket');
  const { query } = ask.request;
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const size = Math.min(1_000, Number(query.get('max-keys') ?? 1_000));
  const token = query.get('continuation-token');
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64').toString('utf8');
  const written = query.get('encoding-type') === 'url' ? encodeURIComponent : (key: string) => key;
  const Contents: Xml[] = [];
  const prefixes = new Set<string>();
  let last = '';
  let truncated = false;
  for (const key of [...bucket.objects.keys()].toSorted()) {
    if (!key.startsWith(prefix) || key <= after) continue;
    const rest = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const common = rest < 0 ? null : key.slice(0, rest + delimiter.length);
    if (common !== null && (prefixes.has(common) || after.startsWith(common))) continue;
    if (Contents.length + prefixes.size === size) {
      truncated = true;
      break;
    }
    last = key;
    const object = bucket.objects.get(key);
    if (common !== null) prefixes.add(common);
    else
      Contents.push({
        Key: written(key),
        LastModified: object?.modifiedAt,
        ETag: object?.etag,
        Size: object?.sizeBytes,
        StorageClass: 'STANDARD',
      });
  }
  return xml('ListBucketResult', {
    Name: bucket.name,
    Prefix: written(prefix),
    EncodingType: query.get('encoding-type') ?? undefined,
    KeyCount: Contents.length + prefixes.size,
    MaxKeys: size,
    IsTruncated: truncated,
    NextContinuationToken: truncated ? Buffer.from(last).toString('base64') : undefined,
    Contents,
    CommonPrefixes: [...prefixes].map((common) => ({ Prefix: written(common) })),
  });
}

function checkPolicy(text: string): void {
  try {
    parsePolicy(text, 'resource');
  } catch (error) {
    throw s3Error('MalformedPolicy', 400, error instanceof Error ? error.message : 'Policies must be valid JSON');
  }
}

/** Sub-resources of a bucket (`?policy`, `?versioning`, …) that are kept and given back. */
export function bucketSetting(ask: Ask, name: string): AwsResponse {
  const { request, s3 } = ask;
  const bucket = bucketOf(ask);
  const text = request.body.toString('utf8');
  const verb = request.method === 'GET' ? 'Get' : request.method === 'DELETE' ? 'Delete' : 'Put';
  switch (name) {
    case 'location':
      requireS3(ask, bucket, 'GetBucketLocation');
      return {
        status: 200,
        headers: { 'content-type': 'application/xml' },
        // A bucket of us-east-1 has no location constraint.
        body: `<?xml version="1.0" encoding="UTF-8"?><LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${bucket.awsRegion === 'us-east-1' ? '' : bucket.awsRegion}</LocationConstraint>`,
      };
    case 'policy': {
      requireS3(ask, bucket, `${verb}BucketPolicy`);
      if (verb === 'Get') {
        if (bucket.policy === null) throw s3Error('NoSuchBucketPolicy', 404, 'The bucket policy does not exist');
        return { status: 200, headers: { 'content-type': 'application/json' }, body: bucket.policy };
      }
      if (verb === 'Put') checkPolicy(text);
      bucket.policy = verb === 'Put' ? text : null;
      s3.objects.changed();
      return { status: 204 };
    }
    case 'versioning': {
      requireS3(ask, bucket, `${verb}BucketVersioning`);
      if (verb === 'Get') return xml('VersioningConfiguration', { Status: bucket.versioning });
      bucket.versioning = /<Status>(Enabled|Suspended)</.exec(text)?.[1] ?? null;
      if (bucket.versioning === 'Enabled') {
        bucket.versioning = null;
        throw s3Error('NotImplemented', 501, 'The sandbox does not keep versions yet.');
      }
      s3.objects.changed();
      return { status: 200 };
    }
    default:
      throw s3Error('NotImplemented', 501, `The sandbox does not offer ?${name}.`);
  }
}
