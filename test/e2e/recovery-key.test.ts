import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recoveryOpener, recoveryRecipient } from '../../src/vault/keys-file.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { createMemorySink, createMemoryStore, type MemoryImage } from '../../src/vault/memory.ts';
import { BLOCK_BYTES, type BlobStore } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap } from '../../src/vault/rotate.ts';
import { copyVault, makePair, sealedForTenant } from './copied-vault.ts';
import { asKeyAdmin } from './key-admin.ts';
import { openWorld, type World } from './world.ts';

const VOLUME_BYTES = 2 ** 30;
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

function sha256Of(image: MemoryImage): string {
  const hash = createHash('sha256');
  const zeros = Buffer.alloc(BLOCK_BYTES);
  for (let n = 0; n < VOLUME_BYTES / BLOCK_BYTES; n += 1) hash.update(image.get(n) ?? zeros);
  return hash.digest('hex');
}

test('a tenant reads its backups from a copy of the bucket with its own key alone; older ones once the key admin has wrapped their keys for it', async () => {
  const { privateFile, publicKey } = makePair(world.dir);
  const { tenantId, volumeIds, volumeId, runs, sha256 } = await sealedForTenant(world, publicKey);
  const keys = recoveryOpener(readFileSync(privateFile, 'utf8'));
  const copy = async () => {
    const store = createMemoryStore();
    for (const [name, bytes] of await copyVault(world, tenantId)) store.objects.set(name, bytes);
    return store;
  };
  const restore = async (store: BlobStore, runId: string) => {
    const sink = createMemorySink({ blockBytes: BLOCK_BYTES, volumeBytes: VOLUME_BYTES });
    const input = { cell: 'eu', tenantId, volumeId, manifestKey: rootKey(volumeId, runId) };
    await restoreVolume({ store, keys }, input, sink);
    return sha256Of(sink.image);
  };
  const before = await copy();
  const ofRun = (runId: string) => [...before.objects.keys()].find((key) => key.includes(`/keys/${runId}/`)) ?? '';
  expect(before.objects.get(ofRun(runs.later))?.length).toBeGreaterThan(384); // An RSA wrap of 3,072 bits is among them.
  for (const runId of Object.values(runs))
    await expect(restore(before, runId)).rejects.toMatchObject({ code: 'wrong_key' });

  await asKeyAdmin(world, tenantId, async ({ store, dataKey }) => {
    const rewrap = { from: dataKey, add: [recoveryRecipient(publicKey)] };
    for (const volume of volumeIds)
      await executeRewrap(store, await planRewrap(store, { cell: 'eu', tenantId, volumeId: volume }, rewrap), rewrap);
  });
  expect(await restore(await copy(), runs.later)).toBe(sha256);
  expect(await restore(await copy(), runs.earlier)).not.toBe(sha256);
});
