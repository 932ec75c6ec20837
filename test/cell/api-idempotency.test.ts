import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cell, startCell, type Tenant } from './harness.ts';
import { connected, connectionBody, discovered, INSTANCE } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const key = (value: string) => ({ 'idempotency-key': value });

test('the same request again gives the first answer, to the byte, and creates nothing', async () => {
  const send = (body: unknown) => tenant.call('POST', '/v1/api-keys', { body, headers: key('k1') });
  const first = await send({ name: 'ci' });
  const again = await send({ name: 'ci' });
  expect(again.status).toBe(201);
  expect(again.text).toBe(first.text);
  expect(first.headers.get('idempotency-replayed')).toBeNull();
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect((await tenant.call('GET', '/v1/api-keys')).json.items).toHaveLength(2);
  expect((await tenant.call('GET', '/v1/audit-events?action=api_key.create')).json.items).toHaveLength(1);
});

test('the order of fields does not matter, their content does', async () => {
  const { tag, ...rest } = connectionBody();
  const send = (body: unknown) => tenant.call('POST', '/v1/connections', { body, headers: key('k2') });
  const first = await send({ tag, ...rest });
  expect((await send({ ...rest, tag })).text).toBe(first.text);
  const other = await send({ ...rest, tag, restore: true });
  expect(other.json).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
  const elsewhere = await tenant.call('POST', '/v1/api-keys', { body: { name: 'x' }, headers: key('k2') });
  expect(elsewhere.json.code).toBe('idempotency_key_reused');
});

test('keys belong to one tenant, and to one operator', async () => {
  const other = await cell.newTenant();
  const send = (as: Tenant) => as.call('POST', '/v1/api-keys', { body: { name: 'ci' }, headers: key('shared') });
  expect((await send(tenant)).text).not.toBe((await send(other)).text);
  const make = () => cell.operator('POST', '/v1/tenants', { body: { name: 'once' }, headers: key('shared') });
  const made = await make();
  expect((await make()).text).toBe(made.text);
  expect((await cell.as(made.json.apiKey)('GET', '/v1/tenant')).status).toBe(200);
});

test('a first answer that failed does not stick', async () => {
  const send = (body: unknown) => tenant.call('POST', '/v1/connections', { body, headers: key('k3') });
  expect((await send(connectionBody({ awsRegions: ['us-east-1'] }))).status).toBe(422);
  expect((await send(connectionBody())).status).toBe(201);
});

test('after 24 hours a key is new again', async () => {
  const send = () => tenant.call('POST', '/v1/api-keys', { body: { name: 'daily' }, headers: key('k4') });
  const first = await send();
  cell.clock.advance(24 * 3_600_000 - 1000);
  expect((await send()).text).toBe(first.text);
  cell.clock.advance(2000);
  expect((await send()).text).not.toBe(first.text);
});

test('while the first request runs, a second is told so; when the first dies, the key is free', async () => {
  let entered = () => {};
  let die = () => {};
  const inside = new Promise<void>((resolve) => (entered = resolve));
  const death = new Promise<void>((_, reject) => (die = () => reject(new Error('crashed'))));
  let failing = true;
  const slow = await startCell({
    enqueue: async () => {
      if (!failing) return;
      entered();
      await death;
    },
  });
  try {
    const other = await slow.newTenant();
    const connectionId = await connected(slow, other);
    await discovered(slow, other, connectionId);
    const send = () =>
      other.call('POST', '/v1/backup-jobs', { body: { connectionId, instanceId: INSTANCE }, headers: key('k') });
    const first = send();
    await inside;
    expect((await send()).json).toMatchObject({ status: 409, code: 'idempotency_in_flight', retry: 'now' });
    die();
    expect((await first).status).toBe(500);
    failing = false;
    expect((await send()).status).toBe(202);
    expect((await other.call('GET', '/v1/backup-jobs')).json.items).toHaveLength(1);
  } finally {
    await slow.close();
  }
});

test('many at once create one', async () => {
  const other = await cell.newTenant();
  const send = () => other.call('POST', '/v1/api-keys', { body: { name: 'burst' }, headers: key('burst') });
  const answers = await Promise.all(Array.from({ length: 8 }, send));
  expect(new Set(answers.map(({ status }) => status))).toContain(201);
  expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
  expect((await other.call('GET', '/v1/api-keys')).json.items).toHaveLength(2);
});

test('a dump of the database holds neither the API key of a first answer nor the Idempotency-Key', async () => {
  const mine = await cell.newTenant();
  const name = 'a-very-secret-idempotency-key';
  const { json } = await mine.call('POST', '/v1/api-keys', { body: { name: 'ci' }, headers: key(name) });
  const sql = postgres(cell.database.ownerUrl, { max: 1, onnotice: () => {} });
  try {
    const rows = await sql`select key_hash, encode(sealed_response, 'escape') as sealed from idempotency_keys`;
    const text = JSON.stringify(rows);
    expect(rows.length).toBeGreaterThan(0);
    expect(text).not.toContain(json.apiKey.slice(-20));
    expect(text).not.toContain(name);
    expect(text).not.toContain('apiKey');
  } finally {
    await sql.end();
  }
});
