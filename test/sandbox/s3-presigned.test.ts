import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Bucket, openBucket } from './s3-bucket.ts';
import { allow, type Login, policyOf, REGION } from './world.ts';

type Url = { method?: string; key?: string; seconds?: number; atMs?: number; more?: Record<string, string> };

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Presigns as the S3 guide describes it, by hand, so that every part can be done wrong on purpose. */
function presign(endpoint: string, login: Login, url: Url = {}): string {
  const { method = 'GET', key = 'a', seconds = 60, atMs = Date.now(), more = {} } = url;
  const stamp = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${stamp.slice(0, 8)}/${REGION}/s3/aws4_request`;
  const query = Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${login.accessKeyId}/${scope}`,
    'X-Amz-Date': stamp,
    'X-Amz-Expires': String(seconds),
    'X-Amz-SignedHeaders': 'host',
    ...(login.sessionToken === undefined ? {} : { 'X-Amz-Security-Token': login.sessionToken }),
    ...more,
  })
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .toSorted()
    .join('&');
  const path = `/${Bucket}/${key}`;
  const { host } = new URL(endpoint);
  const canonical = [method, path, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const hash = createHash('sha256').update(canonical).digest('hex');
  const signingKey = scope
    .split('/')
    .reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${login.secretAccessKey}`);
  const signature = hmac(signingKey, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${hash}`).toString('hex');
  return `${endpoint}${path}?${query}&X-Amz-Signature=${signature}`;
}

async function ask(url: string, init: { method?: string; body?: string } = {}) {
  const response = await fetch(url, init);
  const text = await response.text();
  return `${response.status} ${/<Code>(\w+)</.exec(text)?.[1] ?? text}`;
}

describe('a presigned URL', () => {
  test('reads and writes for whoever holds it, without credentials', async () => {
    const { endpoint, owner, put, get } = await openBucket({ versions: true });
    const { VersionId = '' } = await put('a', 'one');
    await put('a', 'two');
    expect(await ask(presign(endpoint, owner))).toBe('200 two');
    expect(await ask(presign(endpoint, owner, { more: { versionId: VersionId } }))).toBe('200 one');
    expect(await ask(presign(endpoint, owner, { method: 'PUT', key: 'b' }), { method: 'PUT', body: 'new' })).toBe(
      '200 ',
    );
    expect(await get('b')).toBe('new');
  });

  test('ends when it says so, and lives a week at most', async () => {
    const { endpoint, owner, put, tick } = await openBucket();
    await put('a', 'x');
    const [short, week] = [presign(endpoint, owner), presign(endpoint, owner, { seconds: 604_800 })];
    tick(61_000);
    expect(await ask(short)).toBe('403 AccessDenied');
    tick(6 * 86_400_000);
    expect(await ask(week)).toBe('200 x');
    tick(86_400_000);
    expect(await ask(week)).toBe('403 AccessDenied');
    expect(await ask(presign(endpoint, owner, { seconds: 604_801 }))).toBe('400 AuthorizationQueryParametersError');
    expect(await ask(presign(endpoint, owner, { atMs: Date.now() + 30 * 86_400_000 }))).toBe('403 AccessDenied');
  });

  test('opens one object for one method, as it was signed', async () => {
    const { endpoint, owner, put } = await openBucket();
    for (const key of ['a', 'b']) await put(key, 'x');
    const url = presign(endpoint, owner);
    expect(await ask(url.replace(`${Bucket}/a`, `${Bucket}/b`))).toBe('403 SignatureDoesNotMatch');
    expect(await ask(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=61'))).toBe('403 SignatureDoesNotMatch');
    expect(await ask(`${url}&versionId=null`)).toBe('403 SignatureDoesNotMatch');
    expect(await ask(url, { method: 'DELETE' })).toBe('403 SignatureDoesNotMatch');
    expect(await ask(presign(endpoint, { ...owner, secretAccessKey: 'wrong' }))).toBe('403 SignatureDoesNotMatch');
  });

  test('gives no more than its signer has, session policy and end of session included', async () => {
    const { endpoint, put, asSession, tick } = await openBucket();
    for (const key of ['own/a', 'other/a']) await put(key, 'x');
    const rights = (prefix: string) => policyOf(allow('s3:GetObject', `arn:aws:s3:::${Bucket}/${prefix}`));
    const { s3 } = await asSession(rights('*'), rights('own/*'));
    const login = await s3.config.credentials();
    const session: Login = { ...login, sessionToken: login.sessionToken ?? '' };
    const url = (key: string) => presign(endpoint, session, { key, seconds: 86_400 });
    const own = url('own/a');
    expect(await ask(own)).toBe('200 x');
    expect(await ask(url('other/a'))).toBe('403 AccessDenied');
    tick(3_700_000);
    expect(await ask(own)).toBe('400 ExpiredToken');
  });
});
