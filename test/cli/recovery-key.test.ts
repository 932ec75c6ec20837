import { createHash, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recoveryRecipient } from '../../src/vault/keys-file.ts';
import { newFolder, runCommand } from './command.ts';
import { type ContractServer, ok, startContractServer } from './contract-server.ts';
import { apiKey, time } from './examples.ts';

let server: ContractServer;
let env: Record<string, string>;
/** What the service says that it keeps; null: what it was sent. */
let kept: string | null = null;
const cwd = newFolder();
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3_072 });
const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const write = (file: string, text: string) => writeFileSync(join(cwd, file), text);

beforeAll(async () => {
  write('key.pem', privatePem);
  write('key.pub.pem', publicPem);
  server = await startContractServer({
    setRecoveryKey: ({ body }) =>
      ok({ fingerprint: kept ?? recoveryRecipient((body as { publicKey: string }).publicKey).name, since: time }),
    getRecoveryKey: () => ok({ fingerprint: 'f'.repeat(64), since: time }),
    removeRecoveryKey: () => ({ status: 204 }),
  });
  env = { DOMICILE_URL: server.url, DOMICILE_API_KEY: apiKey };
});
afterAll(async () => {
  await server.close();
  expect(server.drift).toEqual([]);
});

const run = (...args: string[]) => runCommand(['recovery-key', ...args], { env, cwd });

test('a public key is set, and its fingerprint is the SHA-256 of its DER', async () => {
  const { code, stdout, stderr } = await run('set', 'key.pub.pem');
  expect(code).toBe(0);
  const der = publicKey.export({ type: 'spki', format: 'der' });
  expect(stdout).toContain(createHash('sha256').update(der).digest('hex'));
  expect(stderr).toContain('build on them');
});

test('a private key is not sent, whatever else stands in the file', async () => {
  const sent = server.calls.length;
  write('both.pem', publicPem + privatePem);
  for (const file of ['key.pem', 'both.pem']) {
    const { code, stderr } = await run('set', file);
    expect([code, stderr]).toEqual([2, expect.stringContaining('private key')]);
  }
  expect(server.calls).toHaveLength(sent);
});

test('what is no key, or no file, is refused without a question to the service', async () => {
  const sent = server.calls.length;
  write('text.pem', 'hello');
  for (const file of ['text.pem', 'none.pem']) expect((await run('set', file)).code).toBe(2);
  expect(server.calls).toHaveLength(sent);
});

test('a service that keeps another key than the one that was sent is found out', async () => {
  kept = 'e'.repeat(64);
  const { code, stderr } = await run('set', 'key.pub.pem');
  expect([code, stderr]).toEqual([5, expect.stringContaining('another key')]);
});

test('it is shown and removed', async () => {
  expect((await run('show')).stdout).toContain('f'.repeat(64));
  expect(JSON.parse((await run('remove', '--json')).stdout)).toEqual({ removed: true });
});
