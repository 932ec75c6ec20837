import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newApiKey } from '../core/api-keys.ts';
import { writePrivate } from './state-dir.ts';

/** Text of a file that is made, once, by `make`. */
function kept(path: string, make: () => string): string {
  if (!existsSync(path)) writePrivate(path, make());
  return readFileSync(path, 'utf8').trim();
}

const token = () => randomBytes(24).toString('base64url');

export type CellSecrets = {
  apiPassword: string;
  workerPassword: string;
  pepperFile: string;
  operatorKeyFile: string;
  operatorKey: string;
};

/** Passwords, peppers and keys of a local installation, each in a file of its own (0600), made at the first start. */
export function openSecrets(dir: string, cells: readonly string[]) {
  const root = join(dir, 'secrets');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const signing = join(root, 'router-signing-key.jwk');
  const signingPublic = join(root, 'router-public-key.jwk');
  if (!existsSync(signing)) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const kid = `router-${randomBytes(4).toString('hex')}`;
    writePrivate(signingPublic, JSON.stringify({ ...publicKey.export({ format: 'jwk' }), kid }));
    writePrivate(signing, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid }));
  }
  const cellSecrets = (cell: string): CellSecrets => {
    const operatorKeyFile = join(root, `${cell}-operator-key`);
    const pepperFile = join(root, `${cell}-pepper`);
    kept(pepperFile, () => randomBytes(32).toString('base64'));
    return {
      // Roles belong to the server, which the cells share here: one password each.
      apiPassword: kept(join(root, 'db-api'), token),
      workerPassword: kept(join(root, 'db-worker'), token),
      pepperFile,
      operatorKeyFile,
      operatorKey: kept(operatorKeyFile, () => newApiKey('ok', cell).key),
    };
  };
  return {
    routerSigningKeyFile: signing,
    routerPublicKeyFile: signingPublic,
    databasePassword: kept(join(root, 'db-owner'), token),
    cells: Object.fromEntries(cells.map((cell) => [cell, cellSecrets(cell)])),
  };
}
