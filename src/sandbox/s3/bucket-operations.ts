import type { AwsResponse } from '../service.ts';
import { PLAIN_BUCKET } from './objects.ts';
import { type Ask, bucketOf, requireS3, s3Error, xmlAnswer } from './request.ts';

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
  const locks = request.headers.get('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true';
  s3.objects.buckets.set(bucketName, {
    ...PLAIN_BUCKET,
    name: bucketName,
    accountId: caller.accountId,
    awsRegion,
    createdAt: s3.clock.now().toISOString(),
    // Object Lock takes versions, and turns them on.
    ...(locks ? { objectLock: 'enabled' as const, versioning: 'Enabled' as const } : {}),
    objects: new Map(),
    uploads: new Map(),
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
  return xmlAnswer('ListAllMyBucketsResult', { Owner: { ID: caller.accountId }, Buckets: { Bucket } });
}

export function headBucket(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'ListBucket');
  return { status: 200, headers: { 'x-amz-bucket-region': bucket.awsRegion } };
}

/** A bucket goes only without any object, version, delete marker or unfinished upload. */
export function deleteBucket(ask: Ask): AwsResponse {
  const bucket = bucketOf(ask);
  requireS3(ask, bucket, 'DeleteBucket');
  if (bucket.objects.size > 0 || bucket.uploads.size > 0)
    throw s3Error('BucketNotEmpty', 409, 'The bucket you tried to delete is not empty');
  ask.s3.objects.buckets.delete(bucket.name);
  ask.s3.objects.changed();
  return { status: 204 };
}
