import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/router/config.ts';

let dir: string;
let good: Record<string, string>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'router-config-'));
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'AA', d: 'AA', kid: 'router-1' };
  const keyFile = join(dir, 'signing.json');
  writeFileSync(keyFile, JSON.stringify(jwk));
  good = { CELLS: '{"eu":"https://eu.cell.test"}', ROUTER_SIGNING_KEY_FILE: keyFile };
});
afterAll(() => rmSync(dir, { recursive: true }));

test('cells and a signing key are enough', () => {
  expect(readConfig(good)).toMatchObject({
    host: '127.0.0.1',
    port: 8080,
    cells: { eu: 'https://eu.cell.test' },
    signingKey: { keyId: 'router-1' },
    cellCa: null,
  });
});

test('everything that is wrong is named at once', () => {
  const wrong = { HOST: '0.0.0.0', PORT: '70000', CELLS: 'x', CELL_CA_FILE: join(dir, 'none.pem') };
  expect(() => readConfig(wrong)).toThrow(
    /^HOST: .*\nPORT: .*\nCELLS: .*\nROUTER_SIGNING_KEY_FILE: .*\nCELL_CA_FILE: /,
  );
});

test.each([
  ['no object', '["https://eu.cell.test"]'],
  ['no cell', '{}'],
  ['a code that is none', '{"EU-1":"https://eu.cell.test"}'],
  ['an address that is none', '{"eu":"eu.cell.test"}'],
  ['an address that is no text', '{"eu":1}'],
  ['a cell over plain HTTP', '{"eu":"http://eu.cell.test"}'],
  ['an address with a path, which requests would lose', '{"eu":"https://cell.test/eu"}'],
])('CELLS with %s is refused', (_, CELLS) => {
  expect(() => readConfig({ ...good, CELLS })).toThrow(/^CELLS: /);
});

test('plain HTTP beyond loopback takes an explicit word', () => {
  expect(() => readConfig({ ...good, HOST: '0.0.0.0' })).toThrow(/^HOST: .*loopback/);
  expect(readConfig({ ...good, HOST: '0.0.0.0', ALLOW_PUBLIC_LISTENER: 'yes' }).host).toBe('0.0.0.0');
});

test.each([
  ['another kind of key', '{"kty":"oct","k":"c2VjcmV0"}'],
  ['no JSON', 'c2VjcmV0'],
  ['nothing', 'null'],
])('a key file that holds %s is refused without its content', (_, content) => {
  const keyFile = join(dir, 'other.json');
  writeFileSync(keyFile, content);
  const refused = () => readConfig({ ...good, ROUTER_SIGNING_KEY_FILE: keyFile });
  expect(refused).toThrow(/^ROUTER_SIGNING_KEY_FILE: is not an Ed25519 private key/);
  expect(refused).not.toThrow(/c2VjcmV0/);
});
