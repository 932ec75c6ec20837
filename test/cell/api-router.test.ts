import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLIENT_ADDRESS_HEADER, signRequest } from '../../src/core/http-signature.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';

const router = generateKeyPairSync('ed25519');
const impostor = generateKeyPairSync('ed25519');
const keyOf = (pair: typeof router) => ({ keyId: 'router-1', privateKey: pair.privateKey.export({ format: 'jwk' }) });

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  const routerKeys = [{ keyId: 'router-1', publicKey: router.publicKey.export({ format: 'jwk' }) }];
  cell = await startCell({ routerKeys, authorities: ['eu.cell.test'] });
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const URL_OF_TENANT = 'https://eu.cell.test/v1/tenant';
const send = (headers: Record<string, string>, url = URL_OF_TENANT, as = tenant) => as.call('GET', url, { headers });

/** Headers as the router sends them for a request of the tenant. */
async function signed(change: { url?: string; method?: string; pair?: typeof router; authorization?: string } = {}) {
  const { url = URL_OF_TENANT, method = 'GET', pair = router, authorization = `Bearer ${tenant.apiKey}` } = change;
  const forwarded = { [CLIENT_ADDRESS_HEADER]: '192.0.2.1' };
  const headers = new Headers({ ...forwarded, authorization });
  return { ...forwarded, ...(await signRequest({ method, url, headers }, keyOf(pair), cell.clock.now())) };
}

test('a request that the router signed is served, once', async () => {
  const headers = await signed();
  expect((await send(headers)).status).toBe(200);
  expect((await send(headers)).json).toMatchObject({ status: 401, code: 'router_signature_invalid' });
  expect((await send(await signed())).status).toBe(200);
});

test('a request without a signature is a direct client, whatever it says about forwarding', async () => {
  const plain = await send({});
  const forwarded = await send({
    'x-forwarded-for': '192.0.2.9',
    forwarded: 'for=192.0.2.9',
    'x-forwarded-host': 'evil',
  });
  expect(plain.status).toBe(200);
  expect(forwarded.text).toBe(plain.text);
});

test('a signature by another key, for another request, too old or cut is refused before the key is looked at', async () => {
  const stranger = await cell.newTenant();
  const fresh = await signed();
  const refused = [
    await send(await signed({ pair: impostor })),
    await send(await signed({ url: 'https://eu.cell.test/v1/connections' })),
    await send(await signed({ method: 'POST' })),
    await send(await signed(), URL_OF_TENANT, stranger),
    await send({ ...fresh, [CLIENT_ADDRESS_HEADER]: '192.0.2.2' }),
    await send(await signed({ url: 'https://us.cell.test/v1/tenant' }), 'https://us.cell.test/v1/tenant'),
    await send({ signature: fresh.signature }),
    await send({ 'signature-input': fresh['signature-input'] }),
    await cell.anonymous('GET', URL_OF_TENANT, { headers: { signature: '' } }),
  ];
  for (const { json } of refused) expect(json).toMatchObject({ status: 401, code: 'router_signature_invalid' });
  cell.clock.advance(61_000);
  expect((await send(fresh)).json.code).toBe('router_signature_invalid');
});
