import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cell, startCell, type Tenant } from './harness.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  // Stands for the cryptography, which has tests of its own: here it is about what its answer leads to.
  const verifyRouter = async ({ headers }: Request) => {
    const nonce = /^good:(.+)$/.exec(headers.get('signature') ?? '')?.[1];
    return nonce ? { nonce, expiresAt: new Date(cell.clock.now().getTime() + 60_000) } : null;
  };
  cell = await startCell({ verifyRouter });
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const get = (headers: Record<string, string>) => tenant.call('GET', '/v1/tenant', { headers });

test('a request without a signature is a direct client, whatever it says about forwarding', async () => {
  const plain = await get({});
  const forwarded = await get({
    'x-forwarded-for': '192.0.2.1',
    forwarded: 'for=192.0.2.1',
    'x-forwarded-host': 'evil',
  });
  expect(plain.status).toBe(200);
  expect(forwarded.text).toBe(plain.text);
});

test.each([{ signature: 'bad' }, { 'signature-input': 'sig=()' }, { signature: '' }])(
  'a signature that does not hold is refused: %j',
  async (headers) => {
    const { json } = await get(headers);
    expect(json).toMatchObject({ status: 401, code: 'router_signature_invalid' });
  },
);

test('a signature is good once', async () => {
  expect((await get({ signature: 'good:n1' })).status).toBe(200);
  expect((await get({ signature: 'good:n1' })).json.code).toBe('router_signature_invalid');
  cell.clock.advance(30_000);
  expect((await get({ signature: 'good:n2' })).status).toBe(200);
  expect((await get({ signature: 'good:n1' })).status).toBe(401);
});

test('the signature is judged before the key', async () => {
  const { json } = await cell.anonymous('GET', '/v1/tenant', { headers: { signature: 'bad' } });
  expect(json.code).toBe('router_signature_invalid');
});
