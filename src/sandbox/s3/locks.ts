import type { AwsResponse } from '../service.ts';
import type { Bucket, Retention, StoredObject } from './objects.ts';
import { versionOf } from './object-lookup.ts';
import { type Ask, bucketOf, decideS3, requireS3, s3Error, xmlAnswer } from './request.ts';
import { elementText } from './xml-body.ts';

const DAY_MS = 86_400_000;
const CHECKSUM = /^(content-md5|x-amz-checksum-(?!mode|type|algorithm).*|x-amz-trailer)$/;

type Lock = Pick<StoredObject, 'retention' | 'legalHold'>;

const invalid = (message: string) => s3Error('InvalidArgument', 400, message);
const missing = () => s3Error('InvalidRequest', 400, 'Bucket is missing Object Lock Configuration');
const guarded = () => s3Error('AccessDenied', 403, 'Access Denied because object protected by object lock.');

function retentionFrom(mode: string | null, until: string | null, nowMs: number): Retention | null {
  if (mode === null && until === null) return null;
  if (mode === null || until === null)
    throw invalid('x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied');
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') throw invalid('Unknown wormMode directive.');
  const untilMs = Date.parse(until);
  if (Number.isNaN(untilMs)) throw invalid('The retain until date must be provided in ISO 8601 format');
  if (untilMs <= nowMs) throw invalid('The retain until date must be in the future!');
  return { mode, until: new Date(untilMs).toISOString() };
}

/** The condition keys of a lock. Source: service authorization reference for S3. */
export function lockKeys({ retention, legalHold }: Lock, nowMs: number): Record<string, string> {
  return {
    ...(retention
      ? {
          's3:object-lock-mode': retention.mode,
          's3:object-lock-retain-until-date': retention.until,
          's3:object-lock-remaining-retention-days': String(Math.ceil((Date.parse(retention.until) - nowMs) / DAY_MS)),
        }
      : {}),
    ...(legalHold ? { 's3:object-lock-legal-hold': 'ON' } : {}),
  };
}

/**
 * The lock that a new object gets: what its headers say, else the bucket's default. Whoever states one needs the right.
 *
 * @throws AwsError InvalidRequest without Object Lock or a checksum, InvalidArgument, AccessDenied
 */
export function lockOfNew(ask: Ask, bucket: Bucket): Lock {
  const { headers } = ask.request;
  const nowMs = ask.s3.clock.now().getTime();
  const stated = retentionFrom(
    headers.get('x-amz-object-lock-mode'),
    headers.get('x-amz-object-lock-retain-until-date'),
    nowMs,
  );
  const hold = headers.get('x-amz-object-lock-legal-hold');
  if (hold !== null && hold !== 'ON' && hold !== 'OFF') throw invalid('Legal Hold must be either of ON or OFF');
  if ((stated !== null || hold !== null) && bucket.objectLock === null) throw missing();
  const fallback = typeof bucket.objectLock === 'object' ? bucket.objectLock : null;
  const retention =
    stated ?? (fallback && { mode: fallback.mode, until: new Date(nowMs + fallback.days * DAY_MS).toISOString() });
  const lock = { retention, legalHold: hold === 'ON' };
  if (stated) requireS3(ask, bucket, 'PutObjectRetention', lockKeys(lock, nowMs));
  if (hold !== null) requireS3(ask, bucket, 'PutObjectLegalHold', { 's3:object-lock-legal-hold': hold });
  if ((retention || lock.legalHold) && ![...headers.keys()].some((name) => CHECKSUM.test(name)))
    throw s3Error(
      'InvalidRequest',
      400,
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
    );
  return lock;
}

const active = ({ retention }: Lock, nowMs: number) =>
  retention !== null && Date.parse(retention.until) > nowMs ? retention : null;

/** Does Object Lock keep this version now, whoever asks? */
export const isLocked = (object: StoredObject, nowMs: number): boolean =>
  object.legalHold || active(object, nowMs) !== null;

function bypasses(ask: Ask, bucket: Bucket): boolean {
  return (
    ask.request.headers.get('x-amz-bypass-governance-retention')?.toLowerCase() === 'true' &&
    decideS3(ask, bucket, 'BypassGovernanceRetention').allowed
  );
}

/** @throws AwsError AccessDenied when the version's lock forbids deleting it */
export function requireUnlocked(ask: Ask, bucket: Bucket, object: StoredObject): void {
  const retention = active(object, ask.s3.clock.now().getTime());
  if (object.legalHold || retention?.mode === 'COMPLIANCE') throw guarded();
  if (retention && !bypasses(ask, bucket)) throw guarded();
}

/** A lock may always become stricter. COMPLIANCE never weaker, GOVERNANCE only with the right to bypass it. */
function requireChange(ask: Ask, bucket: Bucket, change: { from: StoredObject; to: Retention | null }): void {
  const held = active(change.from, ask.s3.clock.now().getTime());
  if (!held) return;
  const longer = change.to !== null && change.to.until >= held.until;
  if (longer && (change.to?.mode === held.mode || change.to?.mode === 'COMPLIANCE')) return;
  if (held.mode === 'COMPLIANCE' || !bypasses(ask, bucket)) throw guarded();
}

/** `?retention`: GetObjectRetention and PutObjectRetention. */
export async function objectRetention(ask: Ask): Promise<AwsResponse> {
  const { s3, request } = ask;
  const bucket = bucketOf(ask);
  const reads = request.method === 'GET';
  const xml = request.body.toString('utf8');
  const nowMs = s3.clock.now().getTime();
  const to = reads
    ? null
    : retentionFrom(elementText(xml, 'Mode') ?? null, elementText(xml, 'RetainUntilDate') ?? null, nowMs);
  const context = lockKeys({ retention: to, legalHold: false }, nowMs);
  requireS3(ask, bucket, reads ? 'GetObjectRetention' : 'PutObjectRetention', context);
  if (bucket.objectLock === null) throw missing();
  const object = versionOf(ask, bucket);
  if (reads) {
    if (!object.retention) throw noLock();
    return xmlAnswer('Retention', { Mode: object.retention.mode, RetainUntilDate: object.retention.until });
  }
  requireChange(ask, bucket, { from: object, to });
  object.retention = to;
  s3.objects.changed();
  return { status: 200 };
}

const noLock = () =>
  s3Error('NoSuchObjectLockConfiguration', 404, 'The specified object does not have a ObjectLock configuration');

/** `?legal-hold`: GetObjectLegalHold and PutObjectLegalHold. */
export async function objectLegalHold(ask: Ask): Promise<AwsResponse> {
  const { s3, request } = ask;
  const bucket = bucketOf(ask);
  const reads = request.method === 'GET';
  const status = elementText(request.body.toString('utf8'), 'Status');
  const context = status === undefined ? {} : { 's3:object-lock-legal-hold': status };
  requireS3(ask, bucket, reads ? 'GetObjectLegalHold' : 'PutObjectLegalHold', context);
  if (bucket.objectLock === null) throw missing();
  const object = versionOf(ask, bucket);
  if (reads) return xmlAnswer('LegalHold', { Status: object.legalHold ? 'ON' : 'OFF' });
  if (status !== 'ON' && status !== 'OFF') throw s3Error('MalformedXML', 400, 'Status must be ON or OFF.');
  object.legalHold = status === 'ON';
  s3.objects.changed();
  return { status: 200 };
}

/** Headers that show an object's lock to those who may see it. */
export function lockHeaders(ask: Ask, bucket: Bucket, object: StoredObject): Record<string, string> {
  if (bucket.objectLock === null) return {};
  const { retention, legalHold } = object;
  return {
    ...(retention && decideS3(ask, bucket, 'GetObjectRetention').allowed
      ? {
          'x-amz-object-lock-mode': retention.mode,
          'x-amz-object-lock-retain-until-date': retention.until,
        }
      : {}),
    ...(legalHold && decideS3(ask, bucket, 'GetObjectLegalHold').allowed
      ? { 'x-amz-object-lock-legal-hold': 'ON' }
      : {}),
  };
}
