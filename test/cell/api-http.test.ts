import { request as httpRequest } from 'node:http';
import { type ServerType, serve } from '@hono/node-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { newApiKey } from '../../src/core/api-keys.ts';
import { type Cell, movableClock, startCell, type Tenant } from './harness.ts';
import { connected, discovered, INSTANCE } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
let server: ServerType;
let url: string;
let polls = 0;

beforeAll(async () => {
  const clock = movableClock();
  const sleep: typeof clock.sleep = (...args) => {
    polls += 1;
    return clock.sleep(...args);
  };
  cell = await startCell({ clock: { ...clock, sleep } });
  tenant = await cell.newTenant();
  url = await new Promise<string>((resolve) => {
    server = serve({ fetch: cell.app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
      resolve(`http://127.0.0.1:${port}`),
    );
  });
});
afterAll(async () => {
  await new Promise((done) => server.close(done));
  await cell.close();
});

test('on a real connection, a misdirected upload is answered although its body never comes', async () => {
  const headers = {
    authorization: `Bearer ${newApiKey('dk', 'ca').key}`,
    'content-type': 'application/json',
    'content-length': '1000000',
  };
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const request = httpRequest(`${url}/v1/connections`, { method: 'POST', headers }, (response) => {
      resolve(response.statusCode);
      request.destroy();
    });
    request.on('error', reject);
    request.write('{'); // and nothing more
  });
  expect(status).toBe(421);
});

test('on a real connection, a stream ends with its client: polling stops', async () => {
  const connectionId = await connected(cell, tenant);
  await discovered(cell, tenant, connectionId);
  const { json } = await tenant.call('POST', '/v1/backup-jobs', { body: { connectionId, instanceId: INSTANCE } });
  const gone = new AbortController();
  const response = await fetch(`${url}/v1/backup-jobs/${json.id}/events`, {
    headers: { authorization: `Bearer ${tenant.apiKey}` },
    signal: gone.signal,
  });
  expect(response.headers.get('cache-control')).toContain('no-');
  const reader = response.body?.getReader();
  await reader?.read();
  await vi.waitFor(() => expect(polls).toBeGreaterThan(2));
  gone.abort();
  let before = -1;
  await expect
    .poll(
      () => {
        const still = polls === before;
        before = polls;
        return still;
      },
      { interval: 100, timeout: 5000 },
    )
    .toBe(true);
});

test('HEAD answers as GET does, without a body', async () => {
  const response = await fetch(`${url}/healthz`, { method: 'HEAD' });
  expect([response.status, await response.text()]).toEqual([200, '']);
});
