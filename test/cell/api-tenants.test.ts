import { afterAll, beforeAll, expect, test } from 'vitest';
import { newApiKey } from '../../src/core/api-keys.ts';
import { type Cell, startCell } from './harness.ts';

let cell: Cell;
beforeAll(async () => {
  cell = await startCell();
});
afterAll(() => cell.close());

test('an operator makes a tenant whose key works at once and is shown once', async () => {
  const made = await cell.operator('POST', '/v1/tenants', { body: { name: 'Acme', tier: 'enterprise' } });
  expect(made.status).toBe(201);
  expect(made.json).toMatchObject({ name: 'Acme', tier: 'enterprise', cell: 'eu', jurisdiction: 'EU' });
  expect(made.json.tenantId).toMatch(/^ten_eu_/);
  const seen = await cell.as(made.json.apiKey)('GET', '/v1/tenant');
  expect(seen.status).toBe(200);
  expect(seen.json.tenantId).toBe(made.json.tenantId);
  const keys = await cell.as(made.json.apiKey)('GET', '/v1/api-keys');
  expect(keys.text).not.toContain(made.json.apiKey);
  const tenants = await cell.operator('GET', '/v1/tenants');
  expect(tenants.json.items.map((item: { tenantId: string }) => item.tenantId)).toContain(made.json.tenantId);
});

test('a missing, malformed, unknown, wrong or revoked key is refused in the same way', async () => {
  const tenant = await cell.newTenant();
  const unknown = newApiKey('dk', 'eu').key;
  const second = await tenant.call('POST', '/v1/api-keys', { body: { name: 'ci' } });
  expect(second.status).toBe(201);
  expect((await cell.as(second.json.apiKey)('GET', '/v1/tenant')).status).toBe(200);
  expect((await tenant.call('DELETE', `/v1/api-keys/${second.json.id}`)).status).toBe(204);
  for (const key of [null, 'x', `${tenant.apiKey}x`, unknown, newApiKey('ok', 'eu').key, second.json.apiKey]) {
    const refused = await cell.as(key)('GET', '/v1/tenant');
    expect(refused.status).toBe(401);
    expect(refused.json.code).toBe('unauthorized');
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="domicile"');
  }
});

test('the secret of one key with the id of another is refused', async () => {
  const [a, b] = [await cell.newTenant('a'), await cell.newTenant('b')];
  const [, , idA] = a.apiKey.split('_');
  const [, , idB] = b.apiKey.split('_');
  const spliced = a.apiKey.replace(idA ?? '', idB ?? '');
  expect((await cell.as(spliced)('GET', '/v1/tenant')).status).toBe(401);
});

test('a key of another cell is sent to that cell before the body is read', async () => {
  let pulled = false;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled = true;
        controller.enqueue(new TextEncoder().encode('{}'));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const answer = await cell.as(newApiKey('dk', 'us').key)('POST', '/v1/connections', { raw: body });
  expect(answer.status).toBe(421);
  expect(answer.json).toMatchObject({
    code: 'misdirected_request',
    facts: { cell: 'us', url: 'https://us.cell.test' },
  });
  expect(answer.json.detail).toContain('https://us.cell.test');
  expect(pulled).toBe(false);
  const nowhere = await cell.as(newApiKey('ok', 'mars').key)('GET', '/v1/tenants');
  expect(nowhere.status).toBe(421);
  expect(nowhere.json.facts).toEqual({ cell: 'mars' });
});

test("an operator's key opens no tenant's data, and a tenant's key nothing of the operator", async () => {
  const tenant = await cell.newTenant();
  for (const [method, path] of [
    ['GET', '/v1/connections'],
    ['GET', '/v1/audit-events'],
    ['POST', '/v1/api-keys'],
  ] as const)
    expect((await cell.operator(method, path)).json).toMatchObject({ status: 403, code: 'forbidden' });
  for (const [method, path] of [
    ['GET', '/v1/tenants'],
    ['POST', '/v1/tenants'],
    ['GET', '/v1/operator/certificate'],
    ['POST', '/v1/operator/certificate/rotate'],
  ] as const)
    expect((await tenant.call(method, path)).json).toMatchObject({ status: 403, code: 'forbidden' });
});

test('the last use of a key is noted at most once a minute', async () => {
  const tenant = await cell.newTenant();
  const lastUsed = async () => (await tenant.call('GET', '/v1/api-keys')).json.items[0].lastUsedAt;
  const first = await lastUsed();
  expect(first).toBe(cell.clock.now().toISOString());
  cell.clock.advance(59_000);
  expect(await lastUsed()).toBe(first);
  cell.clock.advance(1_000);
  expect(await lastUsed()).toBe(cell.clock.now().toISOString());
});

test('only a keyed hash of a secret is stored', async () => {
  const tenant = await cell.newTenant();
  const { rows } = await cell.database.api.transaction(async (tx) => {
    await tx.execute(`select set_config('app.tenant', '${tenant.tenantId}', true)`);
    return tx
      .execute<{ text: string }>('select api_keys::text as text from api_keys', 'objects')
      .then((rows) => ({ rows }));
  });
  const secret = tenant.apiKey.split('_')[3] ?? 'absent';
  expect(rows).toHaveLength(1);
  expect(rows[0]?.text).not.toContain(secret.slice(0, 32));
});

test("the operator sees and rotates the listener's certificate", async () => {
  expect((await cell.operator('GET', '/v1/operator/certificate')).json.serialNumber).toBe('01');
  expect((await cell.operator('POST', '/v1/operator/certificate/rotate')).json.serialNumber).toBe('02');
});
