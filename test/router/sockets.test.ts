import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { newApiKey } from '../../src/core/api-keys.ts';
import { open, type RouterProcess, startRouterProcess, textOf } from './router-process.ts';

/** The real process with real sockets: what the suite's recorded cell cannot show. */
let router: RouterProcess;
let handler: (request: IncomingMessage, response: ServerResponse) => void;
let heard: IncomingMessage[];

beforeAll(async () => {
  router = await startRouterProcess((request, response) => {
    heard.push(request);
    handler(request, response);
  });
});
afterAll(() => router.stop());
beforeEach(() => {
  heard = [];
  handler = (_, response) => response.end('ok');
});

/** One request as raw text, for what no client library would send; resolves with all that came back. */
async function raw(lines: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(router.url);
  const socket = connect(Number(port), hostname);
  socket.write([...lines, 'Host: router.test', 'Connection: close, x-hop, a b', '', ''].join('\r\n'));
  return text(socket);
}
const authorization = (cell = 'eu') => `Authorization: Bearer ${newApiKey('dk', cell).key}`;

test("the cell hears the client's address from the connection, signed, whatever the client says", async () => {
  const claims = ['X-Forwarded-For: 203.0.113.9', 'X-Domicile-Client-Address: 203.0.113.9', 'X-Hop: 1'];
  expect(await raw(['GET /v1/connections HTTP/1.1', authorization(), ...claims])).toContain('200 OK');
  const { headers } = heard[0]!;
  expect(headers['x-domicile-client-address']).toBe('127.0.0.1');
  expect(headers['signature-input']).toContain('keyid="router-1"');
  expect(headers['x-forwarded-for']).toBeUndefined();
  expect(headers['x-hop']).toBeUndefined();
  expect(headers.host).toMatch(/^127\.0\.0\.1:\d+$/);
});

test('a path that looks like another host reaches the cell of the key', async () => {
  await raw(['GET //127.0.0.1:1/v1 HTTP/1.1', authorization()]);
  expect(heard.map(({ url }) => url)).toEqual(['//127.0.0.1:1/v1']);
});

test('an upload reaches the cell piece by piece', async () => {
  const { outgoing, answer } = open(router, { method: 'POST', path: '/v1/connections' });
  handler = (request, response) => {
    const pieces: string[] = [];
    request.setEncoding('utf8').on('data', (piece: string) => {
      pieces.push(piece);
      if (pieces.length === 1) outgoing.end('two'); // only when the first is there
    });
    request.on('end', () => response.end(pieces.join('|')));
  };
  outgoing.write('one');
  expect(await textOf(await answer)).toBe('one|two');
});

test('an event reaches the client while the answer is still open', async () => {
  let atCell!: ServerResponse;
  handler = (_, response) => {
    atCell = response;
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: 1\n\n');
  };
  const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/backup-jobs/x/events' });
  outgoing.end();
  const message = (await answer).setEncoding('utf8');
  expect(await once(message, 'data')).toEqual(['id: 1\n\n']);
  atCell.write('id: 2\n\n');
  expect(await once(message, 'data')).toEqual(['id: 2\n\n']);
  outgoing.destroy();
});

test('any number of open event streams leaves room for the next request', async () => {
  handler = (request, response) => {
    if (request.url === '/v1/next') response.end('served');
    else response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: 1\n\n');
  };
  const streams = Array.from({ length: 300 }, () => open(router, { method: 'GET', path: '/v1/events' }));
  for (const { outgoing } of streams) outgoing.end();
  for (const { answer } of streams) expect((await answer).statusCode).toBe(200);
  const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/next' });
  outgoing.end();
  expect(await textOf(await answer)).toBe('served');
  for (const stream of streams) stream.outgoing.on('error', () => null).destroy();
});

test('a client that goes away ends the request at the cell, before the answer and within it', async () => {
  for (const begin of [false, true]) {
    const closed = new Promise<void>((resolve) => {
      handler = (_, response) => {
        if (begin) response.writeHead(200).write('begun');
        response.on('close', resolve);
      };
    });
    const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/connections' });
    const ended = answer.then(
      (message) => once(message, 'data'),
      () => null,
    );
    outgoing.end();
    if (begin) await ended;
    else await expect.poll(() => heard.length).toBe(1);
    outgoing.destroy();
    await expect(closed).resolves.toBeUndefined();
  }
});

test.each([
  ['of known length', { 'content-length': '100' }],
  ['in chunks', {}],
])('a cell that breaks off in the middle of an answer %s is not taken for its end', async (_, headers) => {
  handler = (__, response) => {
    response.writeHead(200, headers).write('half', () => response.destroy());
  };
  const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/connections' });
  outgoing.end();
  const message = (await answer).setEncoding('utf8');
  let got = '';
  const broken = new Promise((resolve) => message.on('error', resolve).on('end', () => resolve('taken for the end')));
  message.on('data', (part: string) => {
    got += part;
  });
  expect(await broken).toBeInstanceOf(Error);
  expect(got).toBe('half');
});

test('an answer that the cell compressed all the same is whole at the client', async () => {
  const plain = 'x'.repeat(10_000);
  handler = (_, response) => {
    const coded = gzipSync(plain);
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': coded.length }).end(coded);
  };
  const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/connections' });
  outgoing.end();
  const message = await answer;
  expect(message.headers['content-encoding']).toBeUndefined();
  expect(await textOf(message)).toBe(plain);
});

test("a redirect is the client's to follow", async () => {
  handler = (_, response) => response.writeHead(307, { location: '/elsewhere' }).end();
  const { outgoing, answer } = open(router, { method: 'POST', path: '/v1/connections' });
  outgoing.end('{}');
  const message = await answer;
  expect([message.statusCode, message.headers.location]).toEqual([307, '/elsewhere']);
  expect(heard).toHaveLength(1);
});

test('HEAD keeps the length that the cell gave', async () => {
  handler = (_, response) => response.writeHead(200, { 'content-length': '1234' }).end();
  const { outgoing, answer } = open(router, { method: 'HEAD', path: '/v1/connections' });
  outgoing.end();
  expect((await answer).headers['content-length']).toBe('1234');
});

test.each([
  ['is down', 'us'],
  ['has a certificate for another name', 'ca'],
])('a cell that %s is 503, and hears no request', async (_, cell) => {
  const answer = await raw(['GET /v1/connections HTTP/1.1', authorization(cell)]);
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(answer).toMatch(/\r\nretry-after: 5\r\n/i);
  expect(answer).not.toMatch(/ECONN|127\.0\.0|certificate/);
  expect(heard).toHaveLength(0);
});

test('a key of an unknown cell is answered while its body is still outstanding', async () => {
  const { outgoing, answer } = open(router, { method: 'POST', path: '/v1/connections', cell: 'zz' });
  outgoing.write('the rest never comes');
  expect((await answer).statusCode).toBe(421);
  outgoing.destroy();
  expect(heard).toHaveLength(0);
});

test.each(['TRACE', 'FOO'])('the method %s is refused as an error of the client', async (method) => {
  expect(await raw([`${method} /v1/connections HTTP/1.1`, authorization()])).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect(heard).toHaveLength(0);
});

test('SIGTERM ends the process at once, also with an event stream open', async () => {
  const other = await startRouterProcess((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: 1\n\n');
  });
  const { outgoing, answer } = open(other, { method: 'GET', path: '/v1/backup-jobs/x/events' });
  outgoing.end();
  const message = (await answer).on('error', () => null);
  await once(message, 'data');
  expect(await other.stop()).toBe(0);
});
