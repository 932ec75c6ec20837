import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { ACCOUNT, type Login, REGION } from './world.ts';
import { openSandbox } from './support.ts';

type Raw = { method: string; path: string; query: string; headers: Record<string, string>; body: string };
type Options = { service?: string; atMs?: number; signed?: readonly string[]; canonicalPath?: string };

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Signs as the AWS guide describes it, by hand, so that every part can be done wrong on purpose. */
function sign(host: string, login: Login, raw: Raw, options: Options = {}): Record<string, string> {
  const { service = 'sts', atMs = Date.now(), canonicalPath = raw.path } = options;
  const stamp = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, '');
  const headers: Record<string, string> = { ...raw.headers, host, 'x-amz-date': stamp };
  const names = (options.signed ?? Object.keys(headers)).toSorted((a, b) => (a < b ? -1 : 1));
  const canonical = [
    raw.method,
    canonicalPath,
    raw.query,
    ...names.map((name) => `${name}:${headers[name] ?? ''}`),
    '',
    names.join(';'),
    headers['x-amz-content-sha256'] ?? sha256(raw.body),
  ].join('\n');
  const scope = `${stamp.slice(0, 8)}/${REGION}/${service}/aws4_request`;
  const key = scope
    .split('/')
    .reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${login.secretAccessKey}`);
  const signature = createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`)
    .digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${login.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...headers, authorization };
}

/** Sends exactly this, without a client's own ideas of paths and headers. */
function send(url: string, raw: Raw): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const path = raw.query === '' ? raw.path : `${raw.path}?${raw.query}`;
    const request = httpRequest(url, { method: raw.method, path, headers: raw.headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.once('error', reject);
    request.end(raw.body);
  });
}

const WHO: Raw = {
  method: 'POST',
  path: '/',
  query: '',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: 'Action=GetCallerIdentity&Version=2011-06-15',
};
const LIST: Raw = {
  method: 'GET',
  path: '/snapshots/snap-0123456789abcdef0/blocks',
  query: 'maxResults=100',
  headers: {},
  body: '',
};
const EBS: Options = { service: 'ebs' };

async function world() {
  const { control, endpoint } = await openSandbox();
  const login = await control.account(ACCOUNT);
  const { host } = new URL(endpoint);
  /** Signs one request and sends it, with changes that the signature does not know. */
  const attempt = async (raw: Raw, options: Options = {}, changes: Partial<Raw> = {}) => {
    const headers = sign(host, login, raw, options);
    const answer = await send(endpoint, { ...raw, ...changes, headers: { ...headers, ...changes.headers } });
    const code = /<Code>([^<]+)<|"__type":"([^"]+)"/.exec(answer.text);
    return { status: answer.status, code: code?.[1] ?? code?.[2] ?? null, text: answer.text };
  };
  return { attempt, login, endpoint, host };
}

describe('a signature', () => {
  test('made by the guide is accepted', async () => {
    const { attempt } = await world();
    expect(await attempt(WHO)).toMatchObject({ status: 200, code: null });
    const answer = await attempt(LIST, EBS);
    expect(answer.status).toBe(404);
    expect(answer.text).toContain('SNAPSHOT_NOT_FOUND');
  });

  test('does not cover another body, path, query, method or header', async () => {
    const { attempt } = await world();
    const refused = { status: 403, code: 'SignatureDoesNotMatch' };
    expect(await attempt(WHO, {}, { body: WHO.body.replace('GetCallerIdentity', 'AssumeRole') })).toMatchObject(
      refused,
    );
    expect(await attempt(WHO, {}, { path: '/other' })).toMatchObject(refused);
    expect(await attempt(WHO, {}, { query: 'a=b' })).toMatchObject(refused);
    expect(await attempt(WHO, {}, { method: 'PUT' })).toMatchObject(refused);
    expect(await attempt(WHO, {}, { headers: { 'content-type': 'text/plain' } })).toMatchObject(refused);
    for (const changes of [{ path: LIST.path.replace('snap-0', 'snap-1') }, { query: 'maxResults=101' }]) {
      const answer = await attempt(LIST, EBS, changes);
      expect(answer.status).toBe(403);
      expect(answer.text).not.toContain('SNAPSHOT_NOT_FOUND');
    }
  });

  test('needs the right secret, a known key, and its own day, region and service', async () => {
    const { login, endpoint, host } = await world();
    const status = async (other: Login, edit: (authorization: string) => string = (it) => it) => {
      const headers = sign(host, other, WHO);
      const answer = await send(endpoint, {
        ...WHO,
        headers: { ...headers, authorization: edit(headers['authorization'] ?? '') },
      });
      return answer.status;
    };
    expect(await status(login)).toBe(200);
    expect(await status({ ...login, secretAccessKey: 'wrong' })).toBe(403);
    expect(await status({ ...login, accessKeyId: 'AKIAUNKNOWN' })).toBe(403);
    expect(await status(login, (it) => it.replace(`/${REGION}/`, '/us-east-1/'))).toBe(403);
    expect(await status(login, (it) => it.replace('/sts/', '/iam/'))).toBe(403);
    expect(await status(login, (it) => it.replace(/\/\d{8}\//, '/20200101/'))).toBe(403);
    expect(await status(login, () => 'Bearer something')).toBe(403);
  });

  test('is too old after five minutes, and not yet good that much before', async () => {
    const { attempt } = await world();
    const minutes = (count: number) => ({ atMs: Date.now() + count * 60_000 });
    expect((await attempt(WHO, minutes(-4))).status).toBe(200);
    expect((await attempt(WHO, minutes(-6))).code).toBe('SignatureDoesNotMatch');
    expect((await attempt(WHO, minutes(6))).code).toBe('SignatureDoesNotMatch');
  });

  test('must cover the host and every x-amz header that is sent', async () => {
    const { attempt } = await world();
    expect((await attempt(WHO, { signed: ['content-type', 'x-amz-date'] })).code).toBe('SignatureDoesNotMatch');
    const sneaked = await attempt(WHO, {}, { headers: { 'x-amz-expected-bucket-owner': ACCOUNT } });
    expect(sneaked).toMatchObject({ status: 403, code: 'AccessDenied' });
  });

  test('of a stated payload hash holds for that payload only', async () => {
    const { attempt } = await world();
    const stated = (hash: string) => ({ ...WHO, headers: { ...WHO.headers, 'x-amz-content-sha256': hash } });
    expect((await attempt(stated(sha256(WHO.body)))).status).toBe(200);
    const tampered = { body: WHO.body.replace('GetCallerIdentity', 'AssumeRole') };
    expect((await attempt(stated(sha256(WHO.body)), {}, tampered)).code).toBe('XAmzContentSHA256Mismatch');
    expect((await attempt(stated('anything'))).code).toBe('XAmzContentSHA256Mismatch');
  });
});

describe('the path of a signature', () => {
  test('is encoded twice, except for S3, where it is encoded once', async () => {
    const { attempt } = await world();
    const encoded: Raw = { method: 'GET', path: '/a%20b', query: '', headers: {}, body: '' };
    expect((await attempt(encoded, { service: 'ebs', canonicalPath: '/a%2520b' })).status).toBe(404);
    expect((await attempt(encoded, { service: 'ebs' })).status).toBe(403);
    const object = { ...encoded, path: '/bucket/a%20b', headers: { 'x-amz-content-sha256': sha256('') } };
    expect(await attempt(object, { service: 's3' })).toMatchObject({ status: 404, code: 'NoSuchBucket' });
    expect((await attempt(object, { service: 's3', canonicalPath: '/bucket/a%2520b' })).code).toBe(
      'SignatureDoesNotMatch',
    );
  });

  test('that cannot be decoded is the client’s mistake', async () => {
    const { attempt } = await world();
    const raw: Raw = { method: 'GET', path: '/bucket/%zz', query: '', headers: {}, body: '' };
    expect(await attempt(raw, { service: 's3' })).toMatchObject({ status: 400, code: 'InvalidURI' });
    expect((await attempt({ ...LIST, query: 'a=%zz' }, EBS)).status).toBe(400);
  });

  test('may hold its query in any order', async () => {
    const { attempt } = await world();
    const raw = { ...LIST, query: 'maxResults=100&pageToken=x' };
    const answer = await attempt(raw, EBS, { query: 'pageToken=x&maxResults=100' });
    expect(answer.text).toContain('SNAPSHOT_NOT_FOUND');
  });
});

describe('a body that is not JSON', () => {
  test('is a ValidationException of EBS', async () => {
    const { attempt } = await world();
    const answer = await attempt({ method: 'POST', path: '/snapshots', query: '', headers: {}, body: '{' }, EBS);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('INVALID_PARAMETER_VALUE');
  });
});
