import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newFolder, runCommand } from './command.ts';
import { type ContractServer, ok, page, problem, startContractServer } from './contract-server.ts';
import { apiKey, certificate, id, operatorKey, tenant } from './examples.ts';

let server: ContractServer;
beforeAll(async () => {
  server = await startContractServer({
    getTenant: ({ headers }) =>
      headers.authorization === `Bearer ${apiKey}` ? ok(tenant) : problem('unauthorized', 'The key is not known.'),
    listConnections: () => page([]),
    createTenant: () => ok({ ...tenant, apiKey }, 201),
    rotateCertificate: ({ headers }) =>
      headers.authorization === `Bearer ${operatorKey}` ? ok(certificate) : problem('forbidden', 'Operators only.'),
  });
});
afterAll(async () => {
  await server.close();
  expect(server.drift).toEqual([]);
});

const configOf = (home: string) => join(home, '.config', 'domicile', 'config.json');

describe.concurrent('login', () => {
  test('is checked, kept for its owner alone, and used by later commands; the key is never shown', async () => {
    const home = newFolder();
    const login = await runCommand(['login', '--url', server.url, '--api-key-stdin'], {
      env: { HOME: home },
      stdin: `${apiKey}\n`,
    });
    expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('Example GmbH') });
    expect(login.stdout + login.stderr).not.toContain(apiKey);
    expect(statSync(configOf(home)).mode & 0o777).toBe(0o600);
    const later = await runCommand(['connections', 'list'], { env: { HOME: home } });
    expect(later).toMatchObject({ code: 0, stdout: '', stderr: 'No connections.\n' });
  });

  test('XDG_CONFIG_HOME is honoured, and profiles stand side by side', async () => {
    const env = { XDG_CONFIG_HOME: newFolder(), HOME: newFolder(), DOMICILE_API_KEY: apiKey };
    await runCommand(['login', '--url', server.url, '--profile', 'one'], { env });
    await runCommand(['login', '--url', server.url, '--profile', 'two'], { env });
    const { stdout } = await runCommand(['profiles', '--json'], { env });
    expect(JSON.parse(stdout).items).toMatchObject([
      { name: 'one', current: false },
      { name: 'two', current: true },
    ]);
    expect(stdout).not.toContain(apiKey);
    expect(existsSync(configOf(env.HOME))).toBe(false);
    const gone = await runCommand(['connections', 'list', '--profile', 'three'], { env });
    expect(gone.code).toBe(3);
  });

  test('a key that the service refuses is not kept', async () => {
    const home = newFolder();
    const other = (await import('../../src/core/api-keys.ts')).newApiKey('dk', 'eu').key;
    const result = await runCommand(['login', '--url', server.url, '--api-key-stdin'], {
      env: { HOME: home },
      stdin: other,
    });
    expect(result.code).toBe(3);
    expect(existsSync(configOf(home))).toBe(false);
  });

  test.each([
    ['as an option', ['login', '--api-key', apiKey]],
    ['glued to an option', ['login', `--api-key=${apiKey}`]],
    ['as a word', ['login', '--api-key-stdin', apiKey]],
    ['to another command', ['jobs', 'show', operatorKey]],
  ])('a key %s is refused, not sent and not repeated', async (_, args) => {
    const result = await runCommand([...args, '--url', server.url]);
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining('--api-key-stdin') });
    for (const key of [apiKey, operatorKey]) expect(result.stdout + result.stderr).not.toContain(key);
    expect(server.calls.every((call) => call.operationId !== 'getBackupJob')).toBe(true);
  });

  test('a mistyped key is refused before anything is sent', async () => {
    const result = await runCommand(['login', '--url', 'https://127.0.0.1:1', '--api-key-stdin'], {
      stdin: `${apiKey.slice(0, -1)}!`,
    });
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining('checksum') });
  });

  test('--demo logs in to the demo of this folder, one profile per cell, and gives its operator key to operator commands', async () => {
    const folder = newFolder();
    const demo = {
      routerUrl: server.url,
      cells: { eu: { url: 'https://x', operatorKey } },
      tenants: [{ cell: 'eu', apiKey }],
    };
    mkdirSync(join(folder, '.domicile'));
    writeFileSync(join(folder, '.domicile', 'demo.json'), JSON.stringify(demo));
    const options = { cwd: folder, env: { HOME: folder } };
    expect(await runCommand(['login', '--demo', 'eu'], options)).toMatchObject({
      code: 0,
      stderr: expect.not.stringContaining(apiKey),
    });
    expect(Object.keys(JSON.parse(readFileSync(configOf(folder), 'utf8')).profiles)).toEqual(['demo-eu']);
    expect((await runCommand(['login', '--demo', 'mars'], options)).code).toBe(2);
    expect((await runCommand(['operator', 'certs', 'rotate', '--demo', 'eu', '--json'], options)).stdout).toContain(
      '"serialNumber"',
    );
  });

  test('an operator command without an operator key is refused, with one it works; the new key can go to a file', async () => {
    const folder = newFolder();
    const args = [
      'operator',
      'tenants',
      'create',
      '--name',
      'New',
      '--url',
      server.url,
      '--key-file',
      join(folder, 'key'),
    ];
    expect((await runCommand(args)).code).toBe(3);
    const created = await runCommand(args, { env: { DOMICILE_OPERATOR_KEY: operatorKey } });
    expect(created).toMatchObject({ code: 0, stdout: expect.stringContaining(id.tenant) });
    expect(created.stdout).not.toContain(apiKey);
    expect(readFileSync(join(folder, 'key'), 'utf8').trim()).toBe(apiKey);
    expect(statSync(join(folder, 'key')).mode & 0o777).toBe(0o600);
  });
});

describe.concurrent('the way to the service', () => {
  test.each(['http://192.0.2.1', 'http://localhost.example', 'ftp://127.0.0.1', 'https://user:pw@127.0.0.1'])(
    '%s is refused: the key would travel in the clear or astray',
    async (url) => {
      expect(
        (await runCommand(['connections', 'list', '--url', url], { env: { DOMICILE_API_KEY: apiKey } })).code,
      ).toBe(2);
    },
  );

  test('a redirect is not followed: it would take the key along', async () => {
    const thief = await startContractServer({});
    const redirecting = await startContractServer({
      listConnections: () => ({ status: 307, headers: { location: `${thief.url}/v1/connections` } }),
    });
    const env = { DOMICILE_API_KEY: apiKey, DOMICILE_URL: redirecting.url };
    expect((await runCommand(['connections', 'list'], { env })).code).toBe(6);
    expect(thief.calls).toEqual([]);
    await Promise.all([thief.close(), redirecting.close()]);
  });

  test('a private certificate authority must be named; verification cannot be switched off', async () => {
    const { cert, key } = await selfSigned();
    const secure = await startContractServer({ listConnections: () => page([]) }, { cert, key });
    const caFile = join(newFolder(), 'ca.pem');
    writeFileSync(caFile, cert);
    const env = { DOMICILE_API_KEY: apiKey, DOMICILE_URL: secure.url, NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    const refused = await runCommand(['connections', 'list'], { env });
    expect(refused).toMatchObject({ code: 6, stderr: expect.stringContaining('--ca-file') });
    expect(secure.calls).toEqual([]);
    expect((await runCommand(['connections', 'list', '--ca-file', caFile], { env })).code).toBe(0);
    expect((await runCommand(['connections', 'list'], { env: { ...env, DOMICILE_CA_FILE: caFile } })).code).toBe(0);
    await secure.close();
  });
});

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=127.0.0.1',
    keys,
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { cert: certificate.toString('pem'), key };
}
