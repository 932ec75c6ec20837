import { AwsError } from '../service.ts';

type Words = readonly [code: string, status: number];
type ByService = { [service: string]: Words | undefined; other: Words };

/** Throttling in each service's words. Sources: the services' API models and "Common errors" pages. */
const THROTTLED: ByService = {
  ebs: ['RequestThrottledException', 400],
  ec2: ['RequestLimitExceeded', 503],
  kms: ['ThrottlingException', 400],
  s3: ['SlowDown', 503],
  other: ['Throttling', 400],
};
const DENIED: ByService = {
  ebs: ['AccessDeniedException', 403],
  ec2: ['UnauthorizedOperation', 403],
  kms: ['AccessDeniedException', 400],
  other: ['AccessDenied', 403],
};
const EXPIRED: ByService = {
  ebs: ['ExpiredTokenException', 403],
  ec2: ['RequestExpired', 403],
  kms: ['ExpiredTokenException', 400],
  s3: ['ExpiredToken', 400],
  other: ['ExpiredToken', 403],
};
const BROKEN: ByService = {
  ebs: ['InternalServerException', 500],
  kms: ['KMSInternalException', 500],
  iam: ['ServiceFailure', 500],
  sts: ['InternalFailure', 500],
  other: ['InternalError', 500],
};
const GATEWAY: Record<number, string> = { 502: 'BadGateway', 503: 'ServiceUnavailable', 504: 'GatewayTimeout' };

const NOT_FOUND: ByService = {
  ebs: ['ResourceNotFoundException', 404],
  kms: ['NotFoundException', 400],
  s3: ['NoSuchKey', 404],
  iam: ['NoSuchEntity', 404],
  // STS never says that a role does not exist.
  sts: ['AccessDenied', 403],
  other: ['ValidationError', 400],
};
/** EC2's words for a thing that is not there, by what the operation's name ends with. */
const EC2_NOT_FOUND: readonly [RegExp, string][] = [
  [/Snapshots?(Attribute|Tier)?$/, 'InvalidSnapshot.NotFound'],
  [/Volumes?(Attribute|Status)?$/, 'InvalidVolume.NotFound'],
  [/Images?(Attribute)?$/, 'InvalidAMIID.NotFound'],
  [/./, 'InvalidInstanceID.NotFound'],
];

const refusal = (service: string, table: ByService, message: string, extra: Record<string, string> = {}) => {
  const [code, status] = table[service] ?? table.other;
  return new AwsError(code, status, message, extra);
};

/** Too many requests, as this service says it; `reason` is EBS direct's word for which limit. */
export const throttled = (service: string, reason = 'ACCOUNT_THROTTLED'): AwsError =>
  refusal(service, THROTTLED, 'Rate exceeded', service === 'ebs' ? { Reason: reason } : {});

/** No right (any more). */
export const denied = (service: string): AwsError =>
  refusal(
    service,
    DENIED,
    'You are not authorized to perform this operation.',
    service === 'ebs' ? { Reason: 'UNAUTHORIZED_ACCOUNT' } : {},
  );

/** A session past its end. */
export const expiredToken = (service: string): AwsError =>
  refusal(service, EXPIRED, 'The security token included in the request is expired');

/** A failure inside AWS, or in front of it. */
export const broken = (service: string, status: number): AwsError =>
  status === 500
    ? refusal(service, BROKEN, 'An internal error has occurred. Retry your request.')
    : new AwsError(GATEWAY[status] ?? 'InternalError', status, 'The service is not available. Retry your request.');

/** A thing that exists and is not seen yet. */
export function notFound(service: string, operation: string): AwsError {
  const message = 'The requested resource does not exist.';
  if (service === 'ec2')
    return new AwsError(EC2_NOT_FOUND.find(([name]) => name.test(operation))?.[1] ?? '', 400, message);
  if (service === 's3' && /Bucket|ListObject/.test(operation)) return new AwsError('NoSuchBucket', 404, message);
  return refusal(service, NOT_FOUND, message, service === 'ebs' ? { Reason: 'SNAPSHOT_NOT_FOUND' } : {});
}
