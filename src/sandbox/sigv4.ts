import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { checkPresignedTime, withoutSignature } from './presigned.ts';
import { AwsError } from './service.ts';
import type { Signed } from './signed.ts';

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
const SKEW_MS = 5 * 60_000;
const SKEW_S3_MS = 15 * 60_000;
const SIGNING_KEYS = new Map<string, Buffer>();
const SIGNING_KEYS_MAX = 1_000;

/** The parts of the header, or null when the request is not signed in this way. */
export function parseAuthorization(header: string | null): Signed | null {
  const match = AUTHORIZATION.exec(header ?? '');
  if (!match) return null;
  const [, accessKeyId = '', date = '', awsRegion = '', service = '', headers = '', signature = ''] = match;
  return { accessKeyId, date, awsRegion, service, signedHeaders: headers.split(';'), signature };
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();

function signingKey(secret: string, { date, awsRegion, service }: Signed): Buffer {
  const id = `${secret}/${date}/${awsRegion}/${service}`;
  const known = SIGNING_KEYS.get(id);
  if (known) return known;
  if (SIGNING_KEYS.size >= SIGNING_KEYS_MAX) SIGNING_KEYS.clear();
  const key = hmac(hmac(hmac(hmac(`AWS4${secret}`, date), awsRegion), service), 'aws4_request');
  SIGNING_KEYS.set(id, key);
  return key;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new AwsError('InvalidURI', 400, "Couldn't parse the specified URI.");
  }
}

const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function canonicalQuery(search: string): string {
  if (search === '') return '';
  const pairs = search.split('&').map((part) => {
    const [name = '', value = ''] = part.split(/=(.*)/s).map((piece) => encode(decode(piece.replaceAll('+', ' '))));
    return [name, value] as const;
  });
  return pairs
    .toSorted((a, b) => (a[0] === b[0] ? (a[1] < b[1] ? -1 : 1) : a[0] < b[0] ? -1 : 1))
    .map((pair) => pair.join('='))
    .join('&');
}

/** Every service but S3 encodes the path once more for the signature. */
function canonicalPath(path: string, service: string): string {
  if (service !== 's3') return path.split('/').map(encode).join('/');
  return path
    .split('/')
    .map((part) => encode(decode(part)))
    .join('/');
}

function requestTime(text: string): { text: string; ms: number } {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) throw new AwsError('IncompleteSignature', 403, 'The request must carry a valid X-Amz-Date.');
  const [, y, mo, d, h, mi, s] = match;
  return { text, ms: Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`) };
}

/** The hash that was signed for the body; a plain hash must be the body's own. */
function payloadHash(headers: Headers, body: Buffer): string {
  const stated = headers.get('x-amz-content-sha256');
  // A body that is not hashed: TLS or, for EBS, a signed checksum stands for it; or its chunks are signed one by one.
  if (stated !== null && /^(UNSIGNED-PAYLOAD|STREAMING-[A-Z0-9-]+)$/.test(stated)) return stated;
  const actual = sha256(body);
  if (stated === null || stated === actual) return actual;
  throw new AwsError(
    'XAmzContentSHA256Mismatch',
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  );
}

/**
 * Verifies a signature as AWS does (Signature Version 4): time, payload, canonical request.
 *
 * @throws AwsError SignatureDoesNotMatch, RequestTimeTooSkewed, …
 */
export function verifySignature(
  request: { method: string; path: string; search: string; headers: Headers; body: Buffer },
  signed: Signed,
  credentials: { secretAccessKey: string; nowMs: number },
): void {
  const { headers } = request;
  const { presigned } = signed;
  const time = requestTime(presigned?.time ?? headers.get('x-amz-date') ?? '');
  if (presigned) checkPresignedTime(time.ms, presigned.expiresSeconds, credentials.nowMs);
  else if (Math.abs(time.ms - credentials.nowMs) > (signed.service === 's3' ? SKEW_S3_MS : SKEW_MS)) {
    const code = signed.service === 's3' ? 'RequestTimeTooSkewed' : 'SignatureDoesNotMatch';
    throw new AwsError(code, 403, `Signature not yet current or expired: ${time.text}`);
  }
  if (!signed.signedHeaders.includes('host'))
    throw new AwsError('SignatureDoesNotMatch', 403, "'Host' must be a signed header.");
  const unsigned = [...headers.keys()].find(
    (name) => name.startsWith('x-amz-') && !signed.signedHeaders.includes(name),
  );
  if (unsigned !== undefined)
    throw new AwsError(
      'AccessDenied',
      403,
      `There were headers present in the request which were not signed: ${unsigned}`,
    );
  const canonical = [
    request.method,
    canonicalPath(request.path, signed.service),
    canonicalQuery(presigned ? withoutSignature(request.search) : request.search),
    ...signed.signedHeaders.map((name) => `${name}:${(headers.get(name) ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    signed.signedHeaders.join(';'),
    presigned && !headers.has('x-amz-content-sha256') ? 'UNSIGNED-PAYLOAD' : payloadHash(headers, request.body),
  ].join('\n');
  const scope = `${signed.date}/${signed.awsRegion}/${signed.service}/aws4_request`;
  const toSign = `AWS4-HMAC-SHA256\n${time.text}\n${scope}\n${sha256(canonical)}`;
  const expected = hmac(signingKey(credentials.secretAccessKey, signed), toSign);
  if (time.text.startsWith(signed.date) && timingSafeEqual(expected, Buffer.from(signed.signature, 'hex'))) return;
  throw new AwsError(
    'SignatureDoesNotMatch',
    403,
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
  );
}
