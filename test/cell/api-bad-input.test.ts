import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../src/cell/db/client.ts';
import { newApiKey } from '../../src/core/api-keys.ts';
import { silentLogger } from '../../src/core/log.ts';
import { type Call, type Cell, startCell, type Tenant } from './harness.ts';
import { connectionBody } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const post = (call: Call) => tenant.call('POST', '/v1/connections', call);
const pointers = (json: { errors: { pointer: string }[] }) => json.errors.map(({ pointer }) => pointer);

test('every problem has its media type, its instance, its request id and its page', async () => {
  const { headers, json } = await post({ body: {} });
  expect(headers.get('content-type')).toBe('application/problem+json');
  const id = headers.get('x-request-id');
  expect(id).toMatch(/^req_eu_/);
  expect(json).toMatchObject({ instance: `urn:request:${id}`, type: '/problems/invalid_request', retry: 'never' });
  const sent = await tenant.call('GET', '/v1/tenant', { headers: { 'x-request-id': 'chosen-by-a-client' } });
  expect(sent.headers.get('x-request-id')).toMatch(/^req_eu_/);
  expect(sent.headers.get('cache-control')).toBe('no-store');
});

test('everything that is wrong with a request is said at once: body, query and header', async () => {
  const body = { awsAccountId: '12', awsRegions: [], tag: { key: '', value: 1, more: true }, extra: 1 };
  const headers = { 'idempotency-key': 'x'.repeat(256) };
  const { status, json } = await tenant.call('POST', '/v1/connections?force=true', { body, headers });
  expect(status).toBe(400);
  expect(pointers(json).toSorted()).toEqual(
    [
      '?force',
      'header:idempotency-key',
      '/awsAccountId',
      '/awsRegions',
      '/storage',
      '/tag/key',
      '/tag/value',
      '/tag/more',
      '/extra',
    ].toSorted(),
  );
});

test.each([
  ['?limit=0', '?limit'],
  ['?limit=1001', '?limit'],
  ['?limit=1e999', '?limit'],
  ['?limit=ten', '?limit'],
  ['?limit=1&limit=2', '?limit'],
  ['?sort=up', '?sort'],
  ['?__proto__=1', '?__proto__'],
  ['?constructor=1', '?constructor'],
  ['?resource=%00', '?resource'],
])('the query %s is refused', async (query, pointer) => {
  const { status, json } = await tenant.call('GET', `/v1/audit-events${query}`);
  expect(status).toBe(400);
  expect(pointers(json)).toContain(pointer);
});

test('bytes that are no text, and paths that are no paths, are refused or not found', async () => {
  for (const path of ['/v1/audit-events?resource=%ff', '/v1/audit-events?action=%ed%a0%80', '/v1/connections/%ff'])
    expect((await tenant.call('GET', path)).status, path).toBeLessThan(500);
});

const text = (value: unknown) => ({ raw: JSON.stringify(connectionBody({ tag: { key: 'k', value } })) });
const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
const bytes = (...values: number[]) => new Uint8Array(values);

test.each<[string, Call, number, string]>([
  ['cut JSON', { raw: '{"awsAccountId":' }, 400, 'malformed_json'],
  ['an empty body', { raw: '' }, 400, 'malformed_json'],
  ['bytes that are not UTF-8', { raw: bytes(0x22, 0xff, 0x22) }, 400, 'malformed_json'],
  ['single quotes', { raw: "{'a':1}" }, 400, 'malformed_json'],
  ['NaN', { raw: '{"awsAccountId":NaN}' }, 400, 'malformed_json'],
  ['null', { raw: 'null' }, 400, 'invalid_request'],
  ['an array', { raw: '[]' }, 400, 'invalid_request'],
  ['a string', { raw: '"x"' }, 400, 'invalid_request'],
  [
    'a huge number',
    { raw: JSON.stringify(connectionBody()).replace('"222222222222"', '1e400') },
    400,
    'invalid_request',
  ],
  ['a NUL character', text('a\u0000b'), 400, 'invalid_request'],
  ['a lone surrogate', text('\ud800'), 400, 'invalid_request'],
  ['nesting of 10,000 levels', { raw: deep(10_000) }, 400, 'invalid_request'],
  ['nesting inside a field', { raw: `{"tag":${deep(200_000)}}` }, 400, 'invalid_request'],
  ['__proto__', { raw: '{"__proto__":{"restore":true}}' }, 400, 'invalid_request'],
  ['constructor', { raw: '{"constructor":{"prototype":{}}}' }, 400, 'invalid_request'],
  ['a key with NUL', { raw: '{"a\\u0000":1}' }, 400, 'invalid_request'],
  [
    'form data',
    { raw: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    415,
    'unsupported_media_type',
  ],
  ['no content type', { raw: '{}', headers: { 'content-type': '' } }, 415, 'unsupported_media_type'],
  ['another JSON', { raw: '{}', headers: { 'content-type': 'application/jsonp' } }, 415, 'unsupported_media_type'],
  ['a compressed body', { raw: '{}', headers: { 'content-encoding': 'gzip' } }, 415, 'unsupported_media_type'],
  ['a body over 1 MiB', { raw: `"${'x'.repeat(2 ** 20)}"` }, 413, 'body_too_large'],
])('%s is refused, and nothing is created', async (_, call, status, code) => {
  const { json, status: actual } = await post(call);
  expect([actual, json.code]).toEqual([status, code]);
  expect((await tenant.call('GET', '/v1/connections')).json.items).toEqual([]);
});

test('a streamed body over the limit is refused without being read to its end', async () => {
  let sent = 0;
  const raw = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1;
      controller.enqueue(new Uint8Array(2 ** 18).fill(0x20));
      if (sent > 1000) controller.close();
    },
  });
  expect((await post({ raw })).status).toBe(413);
  expect(sent).toBeLessThan(20);
});

test('a body where none belongs is refused unless it is empty', async () => {
  const path = '/v1/backup-jobs/bjob_eu_nope/abort';
  expect((await tenant.call('POST', path, { body: { force: true } })).json.errors).toEqual([
    { pointer: '/force', detail: 'unknown field' },
  ]);
  expect((await tenant.call('POST', path, { body: {} })).status).toBe(404);
  expect((await tenant.call('POST', path)).status).toBe(404);
});

test('an unknown address is 404, a known one with another method 405 and says which it has', async () => {
  expect((await tenant.call('GET', '/v1/nothing')).json).toMatchObject({ status: 404, code: 'not_found' });
  expect((await cell.anonymous('GET', '/nothing')).json).toMatchObject({ status: 404, code: 'not_found' });
  const wrong = await tenant.call('PATCH', '/v1/connections');
  expect(wrong.json).toMatchObject({ status: 405, code: 'method_not_allowed' });
  expect(wrong.headers.get('allow')).toBe('POST, GET, HEAD');
  expect((await tenant.call('PUT', '/v1/connections/x')).headers.get('allow')).toBe('GET, HEAD, DELETE');
});

test('a cell in the query is taken as the router left it', async () => {
  expect((await tenant.call('GET', '/v1/connections?cell=eu&limit=5')).status).toBe(200);
  expect((await tenant.call('GET', '/v1/tenant?cell=eu')).status).toBe(200);
});

test('an unknown error says nothing about itself and is logged with its causes', async () => {
  const rotate = () => Promise.reject(new Error('outer secret', { cause: new Error('inner secret') }));
  const broken = await startCell({ certificates: { current: () => expect.unreachable(), rotate } });
  try {
    const { status, json, text, headers } = await broken.operator('POST', '/v1/operator/certificate/rotate');
    expect([status, json.code]).toEqual([500, 'internal']);
    expect(text).not.toContain('secret');
    const line = broken.logged.find((entry) => entry.includes('request.failed')) ?? '';
    expect(line).toContain('outer secret ← Error: inner secret');
    expect(line).toContain(headers.get('x-request-id'));
  } finally {
    await broken.close();
  }
});

test('a database that cannot be reached is 503, with a time to wait and without a word of the statement', async () => {
  const nowhere = openDatabase({ url: 'postgres://x:y@127.0.0.1:1/none', maxConnections: 1, log: silentLogger });
  const cut = await startCell({ db: nowhere.db });
  try {
    const { key, parts } = newApiKey('dk', 'eu');
    const { status, json, headers } = await cut.as(key)('GET', '/v1/connections');
    expect([status, json.code, json.retry]).toEqual([503, 'unavailable', 'now']);
    expect(headers.get('retry-after')).toBe('2');
    expect(cut.logged.join('')).toContain('unavailable');
    expect(cut.logged.join('')).not.toContain(parts.id);
  } finally {
    await nowhere.close();
    await cut.close();
  }
});
