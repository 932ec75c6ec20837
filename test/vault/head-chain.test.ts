import { expect, test } from 'vitest';
import { backupVolume } from '../../src/vault/backup.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { readManifest } from '../../src/vault/manifest.ts';
import { createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { BLOCK, block, createVault, SCOPE } from './fixture.ts';

const IMAGE: MemoryImage = new Map([[0, block(1)]]);

async function nextRoot(change: (store: BlobStore, newest: string) => BlobStore) {
  const vault = createVault();
  await vault.backup(IMAGE, { runId: 'run-1' });
  const source = createMemorySource({ image: IMAGE, blockBytes: BLOCK, volumeBytes: 64 * BLOCK });
  const store = change(vault.store, rootKey(SCOPE.volumeId, 'run-1'));
  const { manifestKey } = await backupVolume(
    { ...vault.deps, store },
    { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2', source },
  );
  return readManifest(vault, { ...SCOPE, manifestKey });
}

test('a root names the one before it', async () => {
  expect((await nextRoot((store) => store)).previous?.runId).toBe('run-1');
});

test('a root that the line has damaged is not named: the chain would be broken for good', async () => {
  const { previous } = await nextRoot((store, newest) => ({
    ...store,
    async get(key, range) {
      const bytes = await store.get(key, range);
      if (key === newest) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      return bytes;
    },
  }));
  expect(previous).toBeNull();
});

test('a root that was deleted since it was listed is not waited for', async () => {
  const { previous } = await nextRoot((store, newest) => ({
    ...store,
    async get(key, range) {
      if (key === newest) await store.delete([newest]);
      return store.get(key, range);
    },
  }));
  expect(previous).toBeNull();
});
