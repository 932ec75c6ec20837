import { AwsError, type AwsRequest, type ServiceDeps } from '../service.ts';
import type { Bucket, Objects } from './objects.ts';

export type S3 = ServiceDeps & { objects: Objects };
export type Ask = { s3: S3; request: AwsRequest; bucketName: string; key: string };

export const s3Error = (code: string, status: number, message: string, extra: Record<string, string> = {}) =>
  new AwsError(code, status, message, extra);

/**
 * The bucket of a request: it must exist, lie in the region that was signed for, and belong to whom the client says.
 */
export function bucketOf({ s3, request, bucketName }: Ask): Bucket {
  const bucket = s3.objects.buckets.get(bucketName);
  if (!bucket) throw s3Error('NoSuchBucket', 404, 'The specified bucket does not exist', { BucketName: bucketName });
  if (bucket.awsRegion !== request.awsRegion) {
    throw s3Error(
      'AuthorizationHeaderMalformed',
      400,
      `The authorization header is malformed; the region '${request.awsRegion}' is wrong; expecting '${bucket.awsRegion}'`,
      { Region: bucket.awsRegion },
    );
  }
  const expected = request.headers.get('x-amz-expected-bucket-owner');
  if (expected !== null && expected !== bucket.accountId) throw s3Error('AccessDenied', 403, 'Access Denied');
  return bucket;
}

/** Throws unless the caller may: identity, session and bucket policy together. */
export function requireS3(
  { s3, request, key }: Ask,
  bucket: Bucket,
  action: string,
  context: Record<string, string> = {},
): void {
  const arn = `arn:${bucket.awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws'}:s3:::${bucket.name}`;
  const decision = s3.authorize(
    request.caller,
    {
      action: `s3:${action}`,
      resource: key === '' ? arn : `${arn}/${key}`,
      resourceAccountId: bucket.accountId,
      context,
      ...(bucket.policy === null ? {} : { resourcePolicy: bucket.policy }),
    },
    request,
  );
  if (!decision.allowed) throw s3Error('AccessDenied', 403, decision.reason);
}
