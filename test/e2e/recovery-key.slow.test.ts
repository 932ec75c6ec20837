import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recoveryRecipient } from '../../src/vault/keys-file.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap } from '../../src/vault/rotate.ts';
import { installDebian, runToEnd } from '../clients/debian.ts';
import { copyVault, makePair, sealedForTenant, writeCopy } from './copied-vault.ts';
import { asKeyAdmin } from './key-admin.ts';
import { openWorld } from './world.ts';

const READER = join(import.meta.dirname, '../../tools/read-vault.py');
let dir = '';
beforeAll(async () => {
  await installDebian('python3', 'python3-cryptography', 'python3-zstandard');
  dir = mkdtempSync(join(tmpdir(), 'recovery-key-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('with service and key service gone, a folder, a private key and a reader that is not ours give the bytes back', async () => {
  const { privateFile, publicKey } = makePair(dir);
  const world = await openWorld();
  const { tenantId, volumeIds, volumeId, runs, sha256 } = await sealedForTenant(world, publicKey);
  await asKeyAdmin(world, tenantId, async ({ store, dataKey }) => {
    const rewrap = { from: dataKey, add: [recoveryRecipient(publicKey)] };
    for (const volume of volumeIds)
      await executeRewrap(store, await planRewrap(store, { cell: 'eu', tenantId, volumeId: volume }, rewrap), rewrap);
  });
  writeCopy(dir, await copyVault(world, tenantId));
  await world.close();

  const what = ['--repo', dir, '--volume', volumeId, '--point', runs.later, '--out', join(dir, 'disk.img')];
  const restored = await runToEnd('/usr/bin/python3', [READER, 'restore', ...what, '--recovery-key', privateFile], {});
  expect(restored).toMatchObject({ status: 0, stderr: '' });
  expect(restored.stdout).toContain(sha256);
});
