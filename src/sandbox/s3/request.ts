import { AwsError, type AwsRequest, type AwsResponse, type ServiceDeps } from '../service.ts';
import { toXml, type Xml } from '../wire/xml.ts';
import type { Bucket, Objects } from './objects.ts';

export type S3 = ServiceDeps & { objects: Objects };
export type Ask = { s3: S3; request: AwsRequest; bucketName: string; key: string };

export const s3Error = (code: string, status: number, message: string, extra: Record<string, string> = {}) =>
  new AwsError(code, status, message, extra);

export const xmlAnswer = (root: string, members: { [name: string]: Xml }): AwsResponse => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?><${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${toXml(members)}</${root}>`,
});

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

/** May the caller: identity, session and bucket policy together. */
export function decideS3(
  { s3, request, key }: Ask,
  bucket: Bucket,
  action: string,
  context: Record<string, string> = {},
) {
  const arn = `arn:${bucket.awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws'}:s3:::${bucket.name}`;
  return s3.authorize(
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
}

/** Throws unless the caller may. */
export function requireS3(ask: Ask, bucket: Bucket, action: string, context: Record<string, string> = {}): void {
  const decision = decideS3(ask, bucket, action, context);
  if (!decision.allowed) throw s3Error('AccessDenied', 403, decision.reason);
}
