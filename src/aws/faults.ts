import type { Clock } from '../core/clock.ts';
import { Fault, type FaultCode, isFault } from '../core/faults.ts';

/** What the SDKs throw, as far as we read it. */
type AwsFailure = { name: string; message: string; status: number; reason: string; requestId: string };

function read(error: unknown): AwsFailure {
  const it = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: string;
    message?: string;
    Code?: string;
    code?: string;
    Reason?: string;
    $metadata?: { httpStatusCode?: number; requestId?: string };
  };
  // A connection that ends in the middle of a body is Node's own error: its kind is in `code`.
  const name = it.name === 'Error' && it.code !== undefined ? it.code : it.name;
  return {
    name: name ?? it.Code ?? 'Unknown',
    message: it.message ?? '',
    status: it.$metadata?.httpStatusCode ?? 0,
    reason: it.Reason ?? '',
    requestId: it.$metadata?.requestId ?? '',
  };
}

const THROTTLED = new Set([
  'RequestThrottledException',
  'ThrottlingException',
  'Throttling',
  'RequestLimitExceeded',
  'SlowDown',
  'TooManyRequestsException',
  'SnapshotCreationPerVolumeRateExceeded',
  'ConcurrentLimitExceededException',
  'ConcurrentSnapshotLimitExceeded',
]);
const DENIED = new Set(['AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation']);
const REVOKED = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'AuthFailure',
  'InvalidAccessKeyId',
]);
/** What more of the account's quotas, or of AWS's capacity, would mend. Source: EC2 developer guide, error codes. */
const QUOTA = new Set([
  'AttachmentLimitExceeded',
  'InstanceLimitExceeded',
  'InsufficientFreeAddressesInSubnet',
  'InsufficientInstanceCapacity',
  'InsufficientVolumeCapacity',
  'LimitExceededException',
  'MaxIOPSLimitExceeded',
  'PrivateIpAddressLimitExceeded',
  'ResourceLimitExceeded',
  'ServiceQuotaExceededException',
  'SnapshotLimitExceeded',
  'VcpuLimitExceeded',
  'VolumeLimitExceeded',
]);
const UNREACHABLE = new Set([
  'TimeoutError',
  'ECONNREFUSED',
  'ECONNRESET',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'NetworkingError',
  'InternalServerException',
  'InternalError',
  'InternalFailure',
  'ServiceUnavailable',
  'Unavailable',
  'KMSInternalException',
  'DependencyTimeoutException',
  'KeyUnavailableException',
]);

const CODES: Record<string, FaultCode> = {
  'InvalidInstanceID.NotFound': 'instance_not_found',
  IncorrectInstanceState: 'instance_terminated',
  'InvalidSnapshot.NotFound': 'aws_resource_not_found',
  'InvalidVolume.NotFound': 'aws_resource_not_found',
  ResourceNotFoundException: 'aws_resource_not_found',
  NoSuchKey: 'object_missing',
  NotFound: 'object_missing',
  InvalidRange: 'object_corrupt',
  NoSuchBucket: 'store_unavailable',
  DisabledException: 'key_access_denied',
  KMSInvalidStateException: 'key_access_denied',
  NotFoundException: 'key_access_denied',
  InvalidCiphertextException: 'wrong_key',
  IncorrectKeyException: 'wrong_key',
};

function codeOf(failure: AwsFailure): FaultCode {
  const { name, reason, status } = failure;
  if (reason === 'UNRELATED_SNAPSHOTS') return 'snapshots_unrelated';
  if (reason === 'DEPENDENCY_ACCESS_DENIED') return 'key_access_denied';
  if (THROTTLED.has(name)) return 'aws_throttled';
  if (DENIED.has(name)) return 'missing_permission';
  if (REVOKED.has(name)) return 'role_not_assumable';
  if (QUOTA.has(name)) return 'aws_quota_exceeded';
  const known = CODES[name];
  if (known) return known;
  return UNREACHABLE.has(name) || status >= 500 ? 'unavailable' : 'aws_rejected';
}

/** The action and resource that AWS's sentence names: "… is not authorized to perform: X on resource: Y …". */
function deniedAction(message: string): { action?: string; resource?: string } {
  const [, action, resource] = /not authorized to perform: ([\w:*]+)(?: on resource: (\S+))?/.exec(message) ?? [];
  return { ...(action === undefined ? {} : { action }), ...(resource === undefined ? {} : { resource }) };
}

/**
 * Whatever a call to AWS ended with, as a Fault that says what was being done and what is missing. Every AWS error of
 * the product goes through here.
 *
 * @param doing what was tried, such as `read blocks of snap-1`
 */
export function toAwsFault(error: unknown, doing: string, awsRegion: string): Fault {
  if (isFault(error)) return error;
  const failure = read(error);
  const code = codeOf(failure);
  const denied = code === 'missing_permission' || code === 'key_access_denied' ? deniedAction(failure.message) : {};
  const facts = {
    awsRegion,
    awsError: failure.name,
    ...(failure.requestId === '' ? {} : { awsRequestId: failure.requestId }),
    ...denied,
  };
  const texts: Partial<Record<FaultCode, string>> = {
    missing_permission: `AWS refused to ${doing}: the role lacks ${denied.action ?? 'a permission'}${denied.resource ? ` on ${denied.resource}` : ''}. Add it to the role's policy, then verify the connection.`,
    key_access_denied: `A KMS key refused while trying to ${doing}: ${failure.message || failure.name}. Allow the role to use the key, and list it in the connection.`,
    role_not_assumable: `AWS no longer accepts the role's session while trying to ${doing}. The role was changed or deleted; make it again, then verify the connection.`,
    aws_throttled: `AWS asks to slow down while trying to ${doing}. It is tried again by itself.`,
    unavailable: `AWS could not be reached to ${doing}. It is tried again by itself.`,
  };
  return new Fault(code, texts[code] ?? `AWS answered ${failure.name} when asked to ${doing}: ${failure.message}`, {
    cause: error,
    facts,
  });
}

/** Runs a call to AWS; what it throws is a Fault. */
export async function asking<T>(doing: string, awsRegion: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toAwsFault(error, doing, awsRegion);
  }
}

/** Name of an AWS error, for the few places that decide by it. */
export function awsErrorName(error: unknown): string {
  return read(error).name;
}

/** Does this error ask us to slow down? */
export function isThrottle(error: unknown): boolean {
  return THROTTLED.has(read(error).name);
}

/** How long a thing that was just made may still be unknown to AWS's other calls: they are eventually consistent. */
const UNKNOWN_FOR_MS = 60_000;
const UNKNOWN_WAIT_MS = 1_000;

/** Asks about something that was just made; that AWS does not know it yet is not taken for an answer at once. */
export async function askingOfNew<T>(
  doing: string,
  awsRegion: string,
  call: () => Promise<T>,
  options: { clock: Clock; signal: AbortSignal },
): Promise<T> {
  const { clock, signal } = options;
  for (let waitedMs = 0; ; waitedMs += UNKNOWN_WAIT_MS) {
    try {
      return await asking(doing, awsRegion, call);
    } catch (error) {
      if (!isFault(error, 'aws_resource_not_found') || waitedMs >= UNKNOWN_FOR_MS) throw error;
      await clock.sleep(UNKNOWN_WAIT_MS, signal);
      signal.throwIfAborted();
    }
  }
}

/** The `Reason` that the EBS direct APIs send with a refusal. */
export function reasonOf(error: unknown): string {
  return read(error).reason;
}
