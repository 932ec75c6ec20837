import { afterEach, expect, test, vi } from 'vitest';
import { newApiKey } from '../../src/core/api-keys.ts';
import { CLIENT_ADDRESS_HEADER } from '../../src/core/http-signature.ts';
import worker from '../../src/router/worker.ts';
import { describeRouter } from './router.suite.ts';

describeRouter('workerd');

async function bindings() {
  const keys = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const { kty, crv, x, d } = (await crypto.subtle.exportKey('jwk', keys.privateKey)) as JsonWebKey;
  return {
    CELLS: JSON.stringify({ eu: 'https://eu.cell.test' }),
    ROUTER_SIGNING_KEY: JSON.stringify({ kty, crv, x, d, kid: 'edge-1' }),
  };
}

afterEach(() => vi.restoreAllMocks());

test('the deployed worker signs with its secret and tells the cell the address that the edge saw', async () => {
  const reached: Request[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
    reached.push(input as Request);
    return Response.json({ items: [] });
  });
  const headers = { authorization: `Bearer ${newApiKey('dk', 'eu').key}`, 'cf-connecting-ip': '198.51.100.4' };
  const request = new Request('https://api.domicile.example/v1/connections', { headers });
  expect((await worker.fetch(request, await bindings())).status).toBe(200);
  expect(reached.map(({ url }) => url)).toEqual(['https://eu.cell.test/v1/connections']);
  expect(reached[0]?.headers.get(CLIENT_ADDRESS_HEADER)).toBe('198.51.100.4');
  expect(reached[0]?.headers.get('signature-input')).toContain('keyid="edge-1"');
  expect(reached[0]?.headers.has('cf-connecting-ip')).toBe(false);
});

test('the deployed worker refuses a secret that is no signing key', async () => {
  const wrong = { ...(await bindings()), ROUTER_SIGNING_KEY: '{"kty":"oct","k":"AA"}' };
  expect(() => worker.fetch(new Request('https://api.domicile.example/healthz'), wrong)).toThrow('Ed25519');
});
