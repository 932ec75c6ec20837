import { beforeAll, describe, expect, test } from 'vitest';
import { newApiKey } from '../../src/core/api-keys.ts';
import type { Clock } from '../../src/core/clock.ts';
import { CLIENT_ADDRESS_HEADER, type SigningKey, verifyRequest } from '../../src/core/http-signature.ts';
import { newId } from '../../src/core/ids.ts';
import { createRouter } from '../../src/router/app.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const CELLS = { us: 'https://us.cell.test', eu: 'https://eu.cell.test:8443' };
const ROUTER = 'http://router.test';
const clock: Clock = { now: () => NOW, sleep: () => Promise.resolve() };

let signingKey: SigningKey;
let publicKey: JsonWebKey;

/** A cell that records what reaches it and answers as told. */
function fakeCell(answer: (request: Request) => Response | Promise<Response> = () => Response.json({})) {
  const requests: Request[] = [];
  const fetch = async (request: Request) => {
    requests.push(request);
    return answer(request);
  };
  const app = createRouter({ cells: CELLS, signingKey, clock, fetch, clientAddress: () => '192.0.2.7' });
  const send = async (path: string, init: RequestInit = {}) => app.fetch(new Request(ROUTER + path, init));
  return { requests, send, last: () => requests.at(-1)! };
}

const bearer = (cell: string) => ({ authorization: `Bearer ${newApiKey('dk', cell).key}` });

/** Chunks that a test sends one by one. */
function manualStream() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let cancelled!: () => void;
  const whenCancelled = new Promise<void>((resolve) => {
    cancelled = resolve;
  });
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel: () => cancelled(),
  });
  const push = (text: string) => controller.enqueue(new TextEncoder().encode(text));
  return { stream, push, end: () => controller.close(), whenCancelled };
}

/** A request body that counts how often it is asked for data. */
function watchedBody() {
  let reads = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        reads += 1;
        controller.enqueue(new Uint8Array(1024));
      },
    },
    { highWaterMark: 0 },
  );
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
  return { init, reads: () => reads };
}

async function nextText(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | null> {
  const { done, value } = await reader.read();
  return done ? null : new TextDecoder().decode(value);
}

async function expectProblem(response: Response, status: number, code: string) {
  const problem = (await response.json()) as Record<string, unknown>;
  expect({ status: response.status, type: response.headers.get('content-type') }).toEqual({
    status,
    type: 'application/problem+json',
  });
  expect(problem).toMatchObject({ status, code, type: `/problems/${code}` });
  expect(problem['instance']).toBe(`urn:request:${response.headers.get('x-request-id')}`);
  expect(response.headers.get('cache-control')).toBe('no-store');
  return problem;
}

function choosing(): void {
  const id = (cell: string) => newId('connection', cell, NOW);

  test.each(['us', 'eu'] as const)('a key of %s goes to that cell, whatever else the request names', async (cell) => {
    const other = cell === 'us' ? 'eu' : 'us';
    const router = fakeCell();
    await router.send(`/v1/connections/${id(other)}?cell=${other}&x=%2F1`, { headers: bearer(cell) });
    expect(router.last().url).toBe(`${CELLS[cell]}/v1/connections/${router.last().url.split('/')[5]}`);
    expect(router.last().url).toMatch(new RegExp(`\\?cell=${other}&x=%2F1$`));
  });

  test('an operator key is as good as a tenant key', async () => {
    const router = fakeCell();
    await router.send('/v1/tenants', { headers: { authorization: `bearer ${newApiKey('ok', 'eu').key}` } });
    expect(router.last().url).toBe(`${CELLS.eu}/v1/tenants`);
  });

  test.each([
    ['/openapi.json?cell=eu', CELLS.eu],
    ['/reference?cell=us', CELLS.us],
    ['/problems/not_found?cell=eu', CELLS.eu],
    ['/readyz?cell=eu', CELLS.eu],
    ['/openapi.json', CELLS.us],
  ])('the open path %s needs no key', async (path, base) => {
    const router = fakeCell();
    expect((await router.send(path)).status).toBe(200);
    expect(router.last().url).toBe(base + path);
  });

  test('a path that looks like another host stays a path of the cell', async () => {
    const router = fakeCell();
    for (const path of ['//evil.example/v1', '/\\evil.example/v1', '/..//evil.example/v1', '/@evil.example:1/v1'])
      await router.send(path, { headers: bearer('eu') });
    expect(router.requests).toHaveLength(4);
    expect(router.requests.map(({ url }) => new URL(url).origin)).toEqual(Array(4).fill(CELLS.eu));
  });
}

function refusals(): void {
  const good = newApiKey('dk', 'eu').key;
  const flipped = good.slice(0, -1) + (good.endsWith('0') ? '1' : '0');

  test.each([
    ['no credential', null],
    ['an empty one', ''],
    ['another scheme', `Basic ${good}`],
    ['a bare key', good],
    ['a key whose checksum is wrong', `Bearer ${flipped}`],
    ['a cut key', `Bearer ${good.slice(0, -1)}`],
    ['two keys', `Bearer ${good}, Bearer ${good}`],
    ['a key of another kind', `Bearer xx${good.slice(2)}`],
  ])('%s is 401, and the cell hears nothing', async (_, authorization) => {
    const router = fakeCell();
    const { init, reads } = watchedBody();
    const response = await router.send('/v1/connections?cell=eu', {
      ...init,
      headers: authorization === null ? {} : { authorization },
    });
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    const problem = await expectProblem(response, 401, 'unauthorized');
    expect(JSON.stringify(problem)).not.toContain(good.slice(3, 20));
    expect(router.requests).toHaveLength(0);
    expect(reads()).toBe(0);
  });

  test.each(['zz', 'constructor', 'tostring'])('a key of the unknown cell %s is 421 before the body', async (cell) => {
    const router = fakeCell();
    const { init, reads } = watchedBody();
    const response = await router.send('/v1/connections', { ...init, headers: bearer(cell) });
    expect((await expectProblem(response, 421, 'misdirected_request'))['detail']).toContain('us, eu');
    expect(reads()).toBe(0);
    expect(router.requests).toHaveLength(0);
  });

  test('an open path asked of an unknown cell is 421', async () => {
    const router = fakeCell();
    for (const cell of ['zz', '__proto__', 'constructor', '', '%00'])
      await expectProblem(await router.send(`/openapi.json?cell=${cell}`), 421, 'misdirected_request');
    expect(router.requests).toHaveLength(0);
  });

  test('an unreachable cell is 503 with Retry-After, and no detail leaks', async () => {
    const router = fakeCell(() => {
      throw new Error('connect ECONNREFUSED 10.0.0.9:8443');
    });
    const response = await router.send('/v1/connections', { headers: bearer('eu') });
    expect(response.headers.get('retry-after')).toBe('5');
    const problem = await expectProblem(response, 503, 'unavailable');
    expect(JSON.stringify(problem)).not.toMatch(/10\.0\.0\.9|ECONN|cell\.test/);
  });
}

function headersOfRequests(): void {
  const STRIPPED = {
    'keep-alive': 'timeout=5',
    te: 'trailers',
    upgrade: 'h2c',
    'proxy-authorization': 'Basic x',
    'proxy-connection': 'close',
    'x-hop': 'named by Connection',
    forwarded: 'for=203.0.113.9',
    via: '1.1 evil',
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-real-ip': '203.0.113.9',
    'true-client-ip': '203.0.113.9',
    'cf-connecting-ip': '203.0.113.9',
    'x-domicile-tenant': 'ten_eu_x',
    expect: '100-continue',
  };
  const KEPT = {
    'content-type': 'application/json',
    'idempotency-key': 'k-1',
    'last-event-id': '7',
    accept: 'text/event-stream',
    'user-agent': 'domicile/1',
  };

  /** As it would arrive: a `Request` of a runtime may drop some by itself, so they are set on the Headers directly. */
  async function arriving(headers: Record<string, string>) {
    const router = fakeCell();
    await router.send('/v1/connections', { headers: { ...headers, ...bearer('eu') } });
    return router.last();
  }

  test.each(Object.entries(STRIPPED))('%s does not go on to the cell', async (name, value) => {
    const request = await arriving({ connection: 'keep-alive, X-Hop', [name]: value });
    expect(request.headers.has(name)).toBe(false);
    expect(request.headers.has('connection')).toBe(false);
  });

  test.each(Object.entries(KEPT))('%s goes on as it is', async (name, value) => {
    expect((await arriving({ [name]: value })).headers.get(name)).toBe(value);
  });

  test('a Connection header of nonsense is no error', async () => {
    const request = await arriving({ connection: 'a b, ,"q", x-hop', 'x-hop': '1' });
    expect(request.headers.has('x-hop')).toBe(false);
  });

  test("the client's own word on its address and the router's signature is replaced", async () => {
    const claimed = {
      [CLIENT_ADDRESS_HEADER]: '203.0.113.9',
      signature: 'router=:AA==:',
      'signature-input': 'router=()',
    };
    const { headers } = await arriving(claimed);
    expect(headers.get(CLIENT_ADDRESS_HEADER)).toBe('192.0.2.7');
    expect(headers.get('signature')).not.toContain(':AA==:');
    expect(headers.get('accept-encoding')).toBe('identity');
  });

  test('what goes on is signed, with a key, without one, and for its own cell only', async () => {
    const router = fakeCell();
    await router.send('/v1/connections?a=1&b=%20', { method: 'POST', body: '{}', headers: bearer('eu') });
    await router.send('/openapi.json?cell=eu');
    const verify = (request: Request, authority: string) =>
      verifyRequest(request, {
        keys: [{ keyId: signingKey.keyId, publicKey }],
        authorities: [authority],
        now: NOW,
        firstUse: () => true,
      });
    for (const request of router.requests) {
      expect(await verify(request, 'eu.cell.test:8443')).toEqual({ kind: 'valid', clientAddress: '192.0.2.7' });
      expect(await verify(request, 'us.cell.test')).toEqual({ kind: 'invalid', reason: 'authority' });
    }
    expect(router.requests).toHaveLength(2);
    expect(new Set(router.requests.map(({ headers }) => headers.get('signature-input'))).size).toBe(2);
  });
}

function streams(): void {
  test('the first chunk of a body is at the cell before the second is sent', async () => {
    const upload = manualStream();
    const router = fakeCell(async (request) => {
      const reader = request.body!.getReader();
      const first = await nextText(reader);
      upload.push('two'); // sent only now: a router that waits for the whole body would never get here
      const second = await nextText(reader);
      upload.end();
      return Response.json([first, second, await nextText(reader)]);
    });
    upload.push('one');
    const init = { method: 'POST', body: upload.stream, duplex: 'half', headers: bearer('eu') } as RequestInit;
    expect(await (await router.send('/v1/connections', init)).json()).toEqual(['one', 'two', null]);
  });

  test('each server-sent event is at the client before the next is sent', async () => {
    const events = manualStream();
    const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' };
    const router = fakeCell(() => new Response(events.stream, { headers }));
    const response = await router.send('/v1/backup-jobs/x/events', { headers: bearer('eu') });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = response.body!.getReader();
    for (const event of ['id: 1\n\n', 'id: 2\n\n', 'id: 3\n\n']) {
      events.push(event);
      expect(await nextText(reader)).toBe(event);
    }
    events.end();
    expect(await nextText(reader)).toBeNull();
  });

  test('a client that goes away while the cell works ends the request to the cell', async () => {
    let atCell!: () => void;
    const arrived = new Promise<void>((resolve) => {
      atCell = resolve;
    });
    let ended = false;
    const router = fakeCell(
      (request) =>
        new Promise((_, reject) => {
          request.signal.addEventListener('abort', () => {
            ended = true;
            reject(new Error('aborted'));
          });
          atCell();
        }),
    );
    const client = new AbortController();
    const response = router.send('/v1/connections', { headers: bearer('eu'), signal: client.signal });
    await arrived;
    expect(ended).toBe(false);
    client.abort();
    await response.catch(() => null);
    expect(ended).toBe(true);
  });

  test('a client that stops reading an answer ends it at the cell', async () => {
    const events = manualStream();
    const router = fakeCell(() => new Response(events.stream));
    const response = await router.send('/v1/backup-jobs/x/events', { headers: bearer('eu') });
    await response.body!.cancel();
    await expect(events.whenCancelled).resolves.toBeUndefined();
  });
}

function answers(): void {
  test('status, headers and bytes come back as the cell gave them', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': '256', etag: '"1"', 'x-hop': '1' };
    const router = fakeCell(() => new Response(bytes, { status: 206, headers: { ...headers, connection: 'x-hop' } }));
    const response = await router.send('/v1/connections', { headers: bearer('eu') });
    expect(response.status).toBe(206);
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/octet-stream',
      'content-length': '256',
      etag: '"1"',
    });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  });

  test('a redirect is passed on, not followed', async () => {
    const router = fakeCell(() => new Response(null, { status: 302, headers: { location: 'https://evil.example/' } }));
    const response = await router.send('/v1/connections', { headers: bearer('eu') });
    expect([response.status, response.headers.get('location')]).toEqual([302, 'https://evil.example/']);
    expect(router.requests.map((request) => request.redirect)).toEqual(['manual']);
  });

  test.each(['gzip', 'br'])('an answer that fetch has decoded no longer claims to be %s', async (coding) => {
    const headers = { 'content-encoding': coding, 'content-length': '3', 'content-type': 'text/plain' };
    // As fetch hands it over: decoded bytes under the headers of the coded ones.
    const router = fakeCell(() =>
      Object.defineProperty(new Response('decoded'), 'headers', { value: new Headers(headers) }),
    );
    const response = await router.send('/v1/connections', { headers: bearer('eu') });
    expect(Object.fromEntries(response.headers)).toEqual({ 'content-type': 'text/plain' });
    expect(await response.text()).toBe('decoded');
  });

  test.each([204, 304])('an answer %i has no body', async (status) => {
    const router = fakeCell(() => new Response(null, { status }));
    const response = await router.send('/v1/connections', { headers: bearer('eu') });
    expect([response.status, await response.text()]).toEqual([status, '']);
  });

  test('refusals of the cell come back untouched', async () => {
    const problem = { type: '/problems/not_found', status: 404 };
    const headers = { 'content-type': 'application/problem+json', 'x-request-id': 'req_eu_1' };
    const router = fakeCell(() => Response.json(problem, { status: 404, headers }));
    const response = await router.send('/v1/connections', { headers: bearer('eu') });
    expect(await response.json()).toEqual(problem);
    expect(response.headers.get('x-request-id')).toBe('req_eu_1');
  });
}

function ownPages(): void {
  test('/v1/regions names each cell, its jurisdiction, AWS regions and address, without a key', async () => {
    const { items } = (await (await fakeCell().send('/v1/regions')).json()) as { items: { awsRegions: string[] }[] };
    expect(items).toMatchObject([
      { cell: 'us', jurisdiction: 'US', url: CELLS.us },
      { cell: 'eu', jurisdiction: 'EU', url: CELLS.eu },
    ]);
    expect(items[1]?.awsRegions).toContain('eu-central-1');
    expect(items[1]?.awsRegions).not.toContain('eu-west-2');
  });

  test('/healthz asks no cell', async () => {
    const router = fakeCell();
    expect(await (await router.send('/healthz')).json()).toEqual({ status: 'ok' });
    expect(router.requests).toHaveLength(0);
  });

  test('/readyz tells of each cell whether it is ready, not ready or unreachable', async () => {
    const router = fakeCell((request) => {
      if (request.url.startsWith(CELLS.us)) return new Response('no', { status: 503 });
      throw new Error('unreachable');
    });
    const response = await router.send('/readyz');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: 'degraded', checks: { us: 'not ready', eu: 'unreachable' } });
    expect(router.requests.map(({ url }) => url).toSorted()).toEqual([`${CELLS.eu}/readyz`, `${CELLS.us}/readyz`]);
    expect(await (await fakeCell().send('/readyz')).json()).toEqual({ status: 'ok', checks: { us: 'ok', eu: 'ok' } });
  });
}

/** What the router promises, wherever it runs. */
export function describeRouter(runtime: string): void {
  describe(`the router on ${runtime}`, () => {
    beforeAll(async () => {
      const keys = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
      signingKey = {
        keyId: 'router-1',
        privateKey: (await crypto.subtle.exportKey('jwk', keys.privateKey)) as JsonWebKey,
      };
      publicKey = (await crypto.subtle.exportKey('jwk', keys.publicKey)) as JsonWebKey;
    });
    describe('picks the cell', choosing);
    describe('refuses', refusals);
    describe('cleans and signs', headersOfRequests);
    describe('streams', streams);
    describe('answers', answers);
    describe('by itself', ownPages);
  });
}
