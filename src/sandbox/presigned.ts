import { AwsError } from './service.ts';
import type { Signed } from './signed.ts';

const EXPIRES_MAX_SECONDS = 7 * 86_400;
const EARLY_MS = 15 * 60_000;
const SIGNING = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/i;

const refused = (message: string) => new AwsError('AuthorizationQueryParametersError', 400, message);

/**
 * The signature that a presigned S3 URL carries in its query, or null when it carries none. Source: S3 API reference,
 * "Authenticating requests: using query parameters".
 *
 * @throws AwsError AuthorizationQueryParametersError
 */
export function parsePresigned(search: string): Signed | null {
  const query = new URLSearchParams(search);
  const given = (name: string) => query.get(name) ?? '';
  if (!query.has('X-Amz-Signature')) return null;
  if (given('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256')
    throw refused('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  const credential = /^([^/]+)\/(\d{8})\/([^/]+)\/(s3)\/aws4_request$/.exec(given('X-Amz-Credential'));
  if (!credential || !/^[0-9a-f]{64}$/.test(given('X-Amz-Signature')))
    throw refused('Error parsing the X-Amz-Credential parameter; the Credential is mal-formed');
  const expiresSeconds = Number(given('X-Amz-Expires') || Number.NaN);
  if (!Number.isInteger(expiresSeconds) || expiresSeconds < 0) throw refused('X-Amz-Expires should be a number');
  if (expiresSeconds > EXPIRES_MAX_SECONDS)
    throw refused(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    );
  const [, accessKeyId = '', date = '', awsRegion = '', service = ''] = credential;
  return {
    accessKeyId,
    date,
    awsRegion,
    service,
    signedHeaders: given('X-Amz-SignedHeaders').split(';'),
    signature: given('X-Amz-Signature'),
    presigned: { time: given('X-Amz-Date'), expiresSeconds, securityToken: query.get('X-Amz-Security-Token') },
  };
}

/** @throws AwsError AccessDenied when the URL is not valid yet, or no more */
export function checkPresignedTime(signedMs: number, expiresSeconds: number, nowMs: number): void {
  if (nowMs < signedMs - EARLY_MS) throw new AwsError('AccessDenied', 403, 'Request is not yet valid');
  if (nowMs > signedMs + expiresSeconds * 1_000) throw new AwsError('AccessDenied', 403, 'Request has expired');
}

/** The part of a presigned query that was signed. */
export const withoutSignature = (search: string): string =>
  search
    .split('&')
    .filter((part) => !part.startsWith('X-Amz-Signature='))
    .join('&');

/**
 * Headers as S3 takes them from a presigned URL: what a signer moved into the query counts as a header, and the decision
 * point finds the session where it always is.
 */
export function addPresignedHeaders(headers: Headers, search: string, signed: Signed): void {
  for (const [name, value] of new URLSearchParams(search))
    if (/^x-amz-/i.test(name) && !SIGNING.test(name) && !headers.has(name)) headers.set(name, value);
  headers.set('authorization', `AWS4-HMAC-SHA256 Credential=${signed.accessKeyId}/${signed.date}`);
  const token = signed.presigned?.securityToken ?? null;
  if (token !== null) headers.set('x-amz-security-token', token);
}
