import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readConfig } from '../../src/cell/config.ts';

const dir = mkdtempSync(join(tmpdir(), 'cell-config-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const PEPPER_FILE = join(dir, 'pepper');
writeFileSync(PEPPER_FILE, Buffer.alloc(32, 7).toString('base64'));

const key = (awsRegion: string, id = 'a') => `arn:aws:kms:${awsRegion}:111111111112:key/${id}`;
const good = {
  CELL: 'eu',
  LISTEN_PORT: '8443',
  PUBLIC_URL: 'https://eu.example.com',
  CELL_URLS: '{}',
  TLS_CERT_FILE: 'cert',
  TLS_KEY_FILE: 'key',
  TLS_CA_CERT_FILE: 'ca',
  API_DATABASE_URL: 'postgres://api@127.0.0.1/x',
  WORKER_DATABASE_URL: 'postgres://worker@127.0.0.1/x',
  PEPPER_FILE,
  DATA_KEY_ARN: key('eu-central-1'),
  TOKEN_KEY_ARN: key('eu-central-1', 'b'),
  VAULT_BUCKET: 'vault',
  VAULT_BUCKET_OWNER: '111111111112',
  CONNECTOR_ROLE_ARN: 'arn:aws:iam::111111111112:role/connector',
};

test('a cell has one data key, none before it, and no recovery region, unless it is told', () => {
  const config = readConfig(good);
  expect(config).toMatchObject({ DATA_KEY_ARN: key('eu-central-1'), FORMER_DATA_KEY_ARNS: [] });
  expect(config.RECOVERY_KEY_ARN).toBeUndefined();
  const told = { FORMER_DATA_KEY_ARNS: `${key('eu-central-1', 'c')}, ${key('eu-central-1', 'd')}` };
  expect(readConfig({ ...good, ...told }).FORMER_DATA_KEY_ARNS).toEqual([
    key('eu-central-1', 'c'),
    key('eu-central-1', 'd'),
  ]);
  expect(readConfig({ ...good, RECOVERY_KEY_ARN: key('eu-west-1') }).RECOVERY_KEY_ARN).toBe(key('eu-west-1'));
});

test.each([
  [key('us-east-1'), /RECOVERY_KEY_ARN: us-east-1 is outside European Union/],
  [key('eu-west-2'), /RECOVERY_KEY_ARN: eu-west-2 is outside/], // London.
  [key('eu-central-1', 'e'), /RECOVERY_KEY_ARN: must be in another AWS region/],
  ['arn:aws:kms:eu-west-1:111111111112:alias/recovery', /RECOVERY_KEY_ARN: must be the ARN of a KMS key/],
])('a recovery key that is %s is refused', (RECOVERY_KEY_ARN, why) => {
  expect(() => readConfig({ ...good, RECOVERY_KEY_ARN })).toThrow(why);
});
