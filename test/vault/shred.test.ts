import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { HEADER_BYTES } from '../../src/crypto/object-header.ts';
import { openSealedObject } from '../../src/crypto/sealed-object.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { openKeyObject } from '../../src/vault/key-object.ts';
import type { BackupInput } from '../../src/vault/backup-plan.ts';
import type { KeyObjectStore, VersionStore } from '../../src/vault/key-store.ts';
import { recoveryOpener, recoveryRecipient } from '../../src/vault/keys-file.ts';
import { contextOf, keyOfObject, keysPrefix, volumeOfKeyObject } from '../../src/vault/layout.ts';
import { createMemoryKeys, createMemorySink, createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { createVersionedStore } from '../../src/vault/memory-versions.ts';
import { type KeyOpener, RECIPIENT } from '../../src/vault/ports.ts';
import { reachOfOthers } from '../../src/vault/reach.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap } from '../../src/vault/rotate.ts';
import { sharesBlocks } from '../../src/vault/shared-id-key.ts';
import { executeShred, planShred, volumesWithKeys } from '../../src/vault/shred.ts';
import { BLOCK, block, contentOf, SCOPE } from './fixture.ts';

const PAIR = generateKeyPairSync('rsa', { modulusLength: 3_072 });
const TENANT = recoveryRecipient(PAIR.publicKey.export({ type: 'spki', format: 'pem' }).toString());
const TENANT_OPENER = recoveryOpener(PAIR.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
const [GOING, STAYING] = ['vol-1', 'vol-10'];
const { tenantId } = SCOPE;

const imageOf = (volumeId: string, run: number): MemoryImage =>
  new Map(Array.from({ length: 20 }, (_, n) => [n, block(n + run * 100 + (volumeId === GOING ? 0 : 5_000))]));

/**
 * Two volumes of a tenant with all that time leaves behind: three runs each, keys that were wrapped anew (old versions), and
 * one that was deleted (a marker).
 */
async function createVault() {
  const { blobs: store, keys: keyStore, versions } = createVersionedStore();
  const old = createMemoryKeys(undefined, 'old');
  const next = createMemoryKeys(undefined, 'new');
  const points: { volumeId: string; run: number; manifestKey: string }[] = [];
  for (const volumeId of [GOING, STAYING])
    for (const run of [1, 2, 3]) {
      const source = createMemorySource({ image: imageOf(volumeId, run), blockBytes: BLOCK, volumeBytes: 20 * BLOCK });
      const input = { ...SCOPE, volumeId, runId: `run-${run}`, snapshotId: `snap-${run}`, source };
      const made = await backupVolume({ store, keys: old, recipients: [TENANT] }, input);
      points.push({ volumeId, run, manifestKey: made.manifestKey });
    }
  const rewrap = { from: old, to: { recipient: next.asRecipient(RECIPIENT.cell), opener: next } };
  for (const volumeId of [GOING, STAYING])
    await executeRewrap(keyStore, await planRewrap(keyStore, { ...SCOPE, volumeId }, rewrap), rewrap);
  const [first = ''] = [...versions.keys()].filter((key) => key.startsWith(`${keysPrefix(GOING)}run-1/`));
  await store.delete([first]);
  const openers: KeyOpener[] = [old, next, TENANT_OPENER];

  /** Every data key that anybody can get: out of every version of every object, by every key that there is. */
  async function allDataKeys(): Promise<Uint8Array[]> {
    const found: Uint8Array[] = [];
    for (const [key, all] of versions) {
      const volumeId = volumeOfKeyObject(key);
      const named = volumeId === null ? null : keyOfObject(volumeId, key);
      if (volumeId === null || !named) continue;
      for (const { bytes } of all)
        for (const opener of openers)
          if (bytes)
            await openKeyObject(opener, bytes, { ...SCOPE, volumeId, ...named }).then(
              (dataKey) => found.push(dataKey),
              () => {},
            );
    }
    return found;
  }
  /** How many packs of a volume are stored, and how many of them open to any of these keys. */
  function packsThatOpen(volumeId: string, dataKeys: readonly Uint8Array[]) {
    const packs = [...versions].filter(([key]) => key.startsWith(`v1/${volumeId}/packs/`));
    const opens = ([key, [newest]]: (typeof packs)[number]) => {
      const [, , , runId = '', attempt = '', name = ''] = key.split('/');
      const context = contextOf({ ...SCOPE, volumeId }, { runId, attempt }, 'pack', Number(name.split('-')[0]));
      const header = newest?.bytes?.subarray(-HEADER_BYTES) ?? new Uint8Array();
      return dataKeys.some((dataKey) => {
        try {
          return openSealedObject(dataKey, header, context) !== null;
        } catch (error) {
          expect(error).toMatchObject({ code: 'wrong_key' });
          return false;
        }
      });
    };
    return { stored: packs.length, open: packs.filter(opens).length };
  }
  async function restore({ volumeId, manifestKey }: (typeof points)[number], keys: KeyOpener) {
    const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 20 * BLOCK });
    await restoreVolume({ store, keys }, { ...SCOPE, volumeId, manifestKey }, sink);
    return contentOf(sink.image);
  }
  const pointsOf = (volumeId: string) => points.filter((point) => point.volumeId === volumeId);
  return { store, keyStore, versions, next, openers, allDataKeys, packsThatOpen, restore, pointsOf };
}

const shred = async (keyStore: VersionStore, volumeIds: readonly string[] = [GOING]) =>
  executeShred(keyStore, await planShred(keyStore, { tenantId, volumeIds }));

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => (isFault(error) ? error.code : String(error)),
  );

describe('a volume that is erased', () => {
  test('no pack opens any more, with everything that is left, every key and the recovery key; before, all did', async () => {
    const vault = await createVault();
    expect(vault.packsThatOpen(GOING, await vault.allDataKeys())).toEqual({ stored: 3, open: 3 });
    await shred(vault.keyStore);
    const left = await vault.allDataKeys();
    expect(left.length).toBeGreaterThan(0);
    expect(vault.packsThatOpen(GOING, left)).toEqual({ stored: 3, open: 0 });
    for (const point of vault.pointsOf(GOING))
      for (const opener of vault.openers) expect(await codeOf(vault.restore(point, opener))).toBe('object_missing');
  });

  test("the tenant's other volumes are not touched, though their names begin alike", async () => {
    const vault = await createVault();
    const others = () => [...vault.versions].filter(([key]) => !key.startsWith(keysPrefix(GOING)));
    const before = structuredClone(others());
    await shred(vault.keyStore);
    expect(others()).toEqual(before);
    for (const point of vault.pointsOf(STAYING))
      for (const opener of [vault.next, TENANT_OPENER])
        expect(await vault.restore(point, opener)).toEqual(contentOf(imageOf(STAYING, point.run)));
  });

  test('a whole tenant: no volume is left that has a key, or had one', async () => {
    const vault = await createVault();
    const volumeIds = await volumesWithKeys(vault.keyStore);
    expect(volumeIds).toEqual([GOING, STAYING]);
    await shred(vault.keyStore, volumeIds);
    expect(await volumesWithKeys(vault.keyStore)).toEqual([]);
    for (const volumeId of volumeIds)
      expect(vault.packsThatOpen(volumeId, await vault.allDataKeys())).toEqual({ stored: 3, open: 0 });
  });
});

describe('the plan', () => {
  test('names every version and marker, is plain data, and changes nothing', async () => {
    const vault = await createVault();
    const before = structuredClone(vault.versions);
    const plan = await planShred(vault.keyStore, { tenantId, volumeIds: [GOING] });
    expect(plan).toMatchObject({ keyObjects: 6, alsoLost: [] });
    expect(plan.versions).toHaveLength(13);
    expect(plan.versions.filter(({ deleteMarker }) => deleteMarker)).toHaveLength(1);
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
    expect(vault.versions).toEqual(before);
  });

  test('names the points of other volumes that are lost with it', async () => {
    const vault = await createVault();
    const points = [
      { volumeId: GOING, runId: 'run-1', refersTo: [STAYING] },
      { volumeId: STAYING, runId: 'run-1', refersTo: [GOING] },
      { volumeId: STAYING, runId: 'run-2', refersTo: [] },
    ];
    const { alsoLost } = await planShred(vault.keyStore, { tenantId, volumeIds: [GOING] }, points);
    expect(alsoLost).toEqual([{ volumeId: STAYING, runId: 'run-1' }]);
  });
});

describe('where volumes share blocks', () => {
  /** A volume whose point names packs of another one. */
  async function createSharing() {
    const { blobs: store, keys: keyStore } = createVersionedStore();
    const keys = createMemoryKeys();
    const backUp = async (volumeId: string, related: NonNullable<BackupInput['related']>) => {
      const source = createMemorySource({ image: imageOf(GOING, 1), blockBytes: BLOCK, volumeBytes: 20 * BLOCK });
      const input = { ...SCOPE, volumeId, runId: 'run-1', snapshotId: 'snap-1', source, related };
      return (await backupVolume({ store, keys }, input)).manifestKey;
    };
    const manifestKey = await backUp(GOING, []);
    const other = await backUp(STAYING, [{ volumeId: GOING, manifestKey }]);
    const restoreOther = async () => {
      const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 20 * BLOCK });
      await restoreVolume({ store, keys }, { ...SCOPE, volumeId: STAYING, manifestKey: other }, sink);
    };
    return { store, keys, keyStore, restoreOther };
  }

  test('the plan names the other volume’s point, which is indeed lost', async () => {
    const { store, keys, keyStore, restoreOther } = await createSharing();
    expect(await sharesBlocks(keyStore)).toBe(true);
    const reaches = await reachOfOthers({ store, keys }, SCOPE, [GOING]);
    const plan = await planShred(keyStore, { tenantId, volumeIds: [GOING] }, reaches);
    expect(plan.alsoLost).toEqual([{ volumeId: STAYING, runId: 'run-1' }]);
    await restoreOther();
    await executeShred(keyStore, plan);
    expect(await codeOf(restoreOther())).toBe('object_missing');
  });

  test('a point that cannot be read leaves the question open, and a tenant that shares nothing has none', async () => {
    const { store, keys, keyStore } = await createSharing();
    const [index = ''] = [...(await listed(keyStore, STAYING))].filter((key) => key.endsWith('/index'));
    await store.delete([index]);
    expect(await codeOf(reachOfOthers({ store, keys }, SCOPE, [GOING]))).toBe('object_missing');
    const vault = await createVault();
    expect(await sharesBlocks(vault.keyStore)).toBe(false);
    expect(await reachOfOthers({ store: vault.store, keys: vault.next }, SCOPE, [GOING])).toMatchObject(
      vault.pointsOf(STAYING).map(() => ({ volumeId: STAYING, refersTo: [] })),
    );
  });
});

const listed = async (store: KeyObjectStore, volumeId: string) => {
  const names: string[] = [];
  for await (const { key } of store.list(keysPrefix(volumeId))) names.push(key);
  return names;
};

describe('the report', () => {
  test('says what was destroyed, in figures and a digest that anybody can compute', async () => {
    const vault = await createVault();
    const names = [...vault.versions.keys()].filter((key) => key.startsWith(keysPrefix(GOING))).toSorted();
    const report = await shred(vault.keyStore);
    const namesSha256 = createHash('sha256')
      .update(names.map((name) => `${name}\n`).join(''))
      .digest('hex');
    expect(report).toMatchObject({ tenantId, volumeIds: [GOING], keyObjects: 6, versions: 13, namesSha256 });
  });

  test('is not given when a key came up meanwhile, or one stayed', async () => {
    const vault = await createVault();
    const plan = await planShred(vault.keyStore, { tenantId, volumeIds: [GOING] });
    await vault.store.putNew(`${keysPrefix(GOING)}run-9/${'0'.repeat(32)}/index`, new Uint8Array(3));
    expect(await codeOf(executeShred(vault.keyStore, plan))).toBe('conflict');
    const deaf = { ...vault.keyStore, deleteVersions: async () => {} };
    expect(await codeOf(shred(deaf))).toBe('conflict');
  });
});

test('dead at any deletion, the next try destroys the rest', async () => {
  let limit = 0;
  for (; ; limit += 1) {
    const vault = await createVault();
    let left = limit;
    const dying: VersionStore = {
      ...vault.keyStore,
      async deleteVersions(going) {
        for (const one of going) {
          if (left === 0) throw new Error('the process died');
          left -= 1;
          await vault.keyStore.deleteVersions([one]);
        }
      },
    };
    const died = await codeOf(shred(dying));
    await shred(vault.keyStore);
    expect(vault.packsThatOpen(GOING, await vault.allDataKeys())).toEqual({ stored: 3, open: 0 });
    if (died === null) break;
  }
  expect(limit).toBe(13);
});
