import { generateKeyPairSync } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recoveryRecipient } from '../../src/vault/keys-file.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';

const PATH = '/v1/tenant/recovery-key';
let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const spki = { type: 'spki', format: 'pem' } as const;
const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync('rsa', {
    modulusLength,
    publicExponent,
    publicKeyEncoding: spki,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
const GOOD = rsa(3_072);
const set = (publicKey: string, who = tenant) => who.call('PUT', PATH, { body: { publicKey } });

test('a key is set, shown by its fingerprint, and removed; each change has its event', async () => {
  const fresh = await cell.newTenant();
  cell.clock.advance(60_000);
  expect((await fresh.call('GET', PATH)).status).toBe(404);
  const { name: fingerprint } = recoveryRecipient(GOOD.publicKey);
  const shown = { fingerprint, since: cell.clock.now().toISOString() };
  expect(await set(GOOD.publicKey, fresh)).toMatchObject({ status: 200, json: shown });
  cell.clock.advance(60_000);
  expect(await set(`\n${GOOD.publicKey}\n`, fresh)).toMatchObject({ status: 200, json: shown });
  expect((await fresh.call('GET', PATH)).json).toEqual(shown);
  expect((await fresh.call('DELETE', PATH)).status).toBe(204);
  for (const method of ['GET', 'DELETE']) expect((await fresh.call(method, PATH)).status).toBe(404);
  const { items } = (await fresh.call('GET', '/v1/audit-events')).json;
  expect(items.map(({ action, details }: { action: string; details: object }) => [action, details])).toEqual([
    ['recovery_key.remove', {}],
    ['recovery_key.set', { fingerprint }],
    ['tenant.create', expect.anything()],
  ]);
});

test('another key takes the place of the first; a tenant has one, and its own', async () => {
  const [a, b] = [await cell.newTenant('a'), await cell.newTenant('b')];
  await set(GOOD.publicKey, a);
  const other = rsa(3_072).publicKey;
  expect((await set(other, a)).json.fingerprint).toBe(recoveryRecipient(other).name);
  expect((await b.call('GET', PATH)).status).toBe(404);
});

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export(spki).toString();
const pss = generateKeyPairSync('rsa-pss', { modulusLength: 3_072 }).publicKey.export(spki).toString();

test.each([
  ['a key of 2,048 bits', rsa(2_048).publicKey, '3072 to 8192 bits'],
  ['an exponent of 3', rsa(3_072, 3).publicKey, 'exponent'],
  ['a key that is not RSA', ec, 'RSA'],
  ['a key for signatures only', pss, 'RSA'],
  ['no PEM', 'MIIB', 'PEM'],
  ['PEM of nothing', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'cannot be read'],
  ['two keys', `${GOOD.publicKey}${GOOD.publicKey}`, 'one public key'],
  ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'PEM'],
])('%s is refused, and says why', async (_, publicKey, why) => {
  const { status, json } = await set(publicKey);
  expect(status).toBe(400);
  expect(json.errors).toEqual([{ pointer: '/publicKey', detail: expect.stringContaining(why) }]);
  expect((await tenant.call('GET', PATH)).status).toBe(404);
});

test('a private key that is sent by mistake is refused, and is in no answer, log or row', async () => {
  const secret = GOOD.privateKey.split('\n')[2] ?? 'absent';
  expect(secret.length).toBeGreaterThan(40);
  for (const publicKey of [GOOD.privateKey, `${GOOD.publicKey}${GOOD.privateKey}`, GOOD.privateKey.toLowerCase()]) {
    const { status, text, json } = await set(publicKey);
    expect(status).toBe(400);
    expect(json.errors[0].detail).toContain('private key');
    expect(text.toLowerCase()).not.toContain(secret.toLowerCase());
  }
  expect(cell.logged.join('').toLowerCase()).not.toContain(secret.toLowerCase());
  const rows = await cell.database.api.transaction(async (tx) => {
    await tx.execute(sql`select set_config('app.tenant', ${tenant.tenantId}, true)`);
    const all = sql`select (select json_agg(t) from tenants t)::text || (select json_agg(a) from audit_events a)::text as text`;
    return tx.execute<{ text: string }>(all);
  });
  expect(JSON.stringify(rows)).toContain(tenant.tenantId);
  expect(JSON.stringify(rows)).not.toContain(secret);
});

test('of a key that is set, its private half opens what is wrapped for it: nothing was changed on the way', async () => {
  const fresh = await cell.newTenant();
  await set(GOOD.publicKey.replaceAll('\n', '\r\n'), fresh);
  const [row] = await cell.database.worker.transaction(async (tx) =>
    tx.execute<{ pem: string }>(
      sql`select recovery_key as pem from tenants where tenant_id = ${fresh.tenantId}`,
      'objects',
    ),
  );
  expect(row?.pem).toBe(GOOD.publicKey);
});
