import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { decodeKeyObject } from '../../src/vault/key-object.ts';
import type { KeyObjectStore } from '../../src/vault/key-store.ts';
import { recoveryOpener, recoveryRecipient } from '../../src/vault/keys-file.ts';
import { keyOfObject, keysPrefix, rootKey } from '../../src/vault/layout.ts';
import { createMemoryKeys, createMemorySink, createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { createVersionedStore, type StoredVersion } from '../../src/vault/memory-versions.ts';
import { type KeyOpener, RECIPIENT } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap, type Rewrap } from '../../src/vault/rotate.ts';
import { BLOCK, block, contentOf, SCOPE } from './fixture.ts';

const PAIR = generateKeyPairSync('rsa', { modulusLength: 3_072 });
const TENANT = recoveryRecipient(PAIR.publicKey.export({ type: 'spki', format: 'pem' }).toString());
const TENANT_OPENER = recoveryOpener(PAIR.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());

/** Each run's own, so that each has packs. */
const imageOf = (runId: string): MemoryImage =>
  new Map(Array.from({ length: 20 }, (_, n) => [n, block(n + 100 * Number(runId.slice(-1)))]));

const MASTER = new Uint8Array(32).fill(1);

/** Runs of one volume, whose keys are wrapped for the old key and for the tenant. */
async function createVault(runIds = ['run-1', 'run-2', 'run-3'], stored?: Map<string, StoredVersion[]>) {
  const { blobs: store, keys: keyStore, versions } = createVersionedStore(stored);
  const old = createMemoryKeys(MASTER, 'old');
  const next = createMemoryKeys(undefined, 'new');
  const rewrap: Rewrap = { from: old, to: { recipient: next.asRecipient(RECIPIENT.cell), opener: next } };
  const manifestKeys: string[] = [];
  for (const runId of runIds) {
    if (stored) {
      manifestKeys.push(rootKey(SCOPE.volumeId, runId));
      continue;
    }
    const source = createMemorySource({ image: imageOf(runId), blockBytes: BLOCK, volumeBytes: 20 * BLOCK });
    const deps = { store, keys: old, recipients: [TENANT] };
    manifestKeys.push((await backupVolume(deps, { ...SCOPE, runId, snapshotId: runId, source })).manifestKey);
  }
  const recipientsOf = async () =>
    Promise.all(
      [...versions.keys()]
        .filter((key) => key.startsWith(keysPrefix(SCOPE.volumeId)))
        .map(async (key) => {
          const named = keyOfObject(SCOPE.volumeId, key);
          if (!named) throw new Error(key);
          return decodeKeyObject(await store.get(key), { ...SCOPE, ...named });
        }),
    );
  async function expectOpens(opener: KeyOpener) {
    for (const manifestKey of manifestKeys) {
      const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 20 * BLOCK });
      await restoreVolume({ store, keys: opener }, { ...SCOPE, manifestKey }, sink);
      expect(contentOf(sink.image)).toEqual(contentOf(imageOf(manifestKey)));
    }
  }
  const rotate = async (how: Rewrap = rewrap, keys: KeyObjectStore = keyStore) =>
    executeRewrap(keys, await planRewrap(keys, SCOPE, how), how);
  return { store, keyStore, versions, old, next, rewrap, recipientsOf, expectOpens, rotate };
}

/** Opens with either key, as a reader does that knows both while keys are wrapped anew. */
const either = (...openers: KeyOpener[]): KeyOpener => ({
  opens: (recipient) => openers.some((one) => one.opens(recipient)),
  async unwrap(wrapped, context, label, name) {
    const tries = await Promise.allSettled(openers.map((one) => one.unwrap(wrapped, context, label, name)));
    const opened = tries.find((one) => one.status === 'fulfilled');
    if (!opened) throw tries[0] && tries[0].status === 'rejected' ? tries[0].reason : new Error('nobody');
    return opened.value;
  },
});

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => (isFault(error) ? error.code : String(error)),
  );

describe('wrapping keys anew', () => {
  test('every run opens with the new key alone, and the old key opens none', async () => {
    const vault = await createVault();
    expect(await vault.rotate()).toEqual({ replaced: 6, done: 0, gone: 0 });
    await vault.expectOpens(vault.next);
    expect(await codeOf(vault.expectOpens(vault.old))).toBe('wrong_key');
  });

  test('a plan reads names and recipients, opens no key and changes nothing', async () => {
    const vault = await createVault();
    const before = structuredClone(vault.versions);
    const unwrapped = { ...vault.old.calls.unwrap };
    const plan = await planRewrap(vault.keyStore, SCOPE, vault.rewrap);
    expect(plan.objects).toHaveLength(6);
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
    expect(vault.versions).toEqual(before);
    expect(vault.old.calls.unwrap).toEqual(unwrapped);
  });

  test('the other recipients are kept byte for byte', async () => {
    const vault = await createVault();
    const others = async () =>
      (await vault.recipientsOf()).map((all) => all.filter(({ kind }) => kind === RECIPIENT.tenant));
    const before = await others();
    expect(before.flat()).toHaveLength(6);
    await vault.rotate();
    expect(await others()).toEqual(before);
    await vault.expectOpens(TENANT_OPENER);
  });

  test('done twice, is done once', async () => {
    const vault = await createVault();
    await vault.rotate();
    const before = structuredClone(vault.versions);
    const again = await planRewrap(vault.keyStore, SCOPE, vault.rewrap);
    expect(again).toMatchObject({ objects: [], done: 6, left: [] });
    await executeRewrap(vault.keyStore, again, vault.rewrap);
    expect(vault.versions).toEqual(before);
  });

  test('a recipient that is added later opens the older runs too', async () => {
    const vault = await createVault();
    const region = createMemoryKeys(undefined, 'region');
    const add = { from: vault.old, add: [region.asRecipient(RECIPIENT.recoveryRegion)] };
    expect(await vault.rotate(add)).toEqual({ replaced: 6, done: 0, gone: 0 });
    expect(await vault.rotate(add)).toEqual({ replaced: 0, done: 0, gone: 0 });
    for (const opener of [region, vault.old, TENANT_OPENER]) await vault.expectOpens(opener);
  });

  test('damaged key objects, strangers and keys for somebody else are named and left as they are', async () => {
    const vault = await createVault();
    const [damaged = '', stranger = ''] = [...vault.versions.keys()].filter((key) => key.includes('/keys/'));
    const { bytes, version } = await vault.keyStore.get(damaged);
    bytes[bytes.length - 1]! ^= 1;
    await vault.keyStore.replace(damaged, bytes, version);
    await vault.store.putNew(`${stranger}.old`, new Uint8Array(3));
    expect((await planRewrap(vault.keyStore, SCOPE, vault.rewrap)).left).toEqual([
      { key: damaged, reason: 'object_corrupt' },
      { key: `${stranger}.old`, reason: 'not_a_key_object' },
    ]);
    const elsewhere = { ...vault.rewrap, from: createMemoryKeys(undefined, 'third') };
    const { objects, left } = await planRewrap(vault.keyStore, SCOPE, elsewhere);
    expect(objects).toEqual([]);
    expect(left.filter(({ reason }) => reason === 'wrong_key')).toHaveLength(5);
  });

  test('a new key that does not open what it has wrapped replaces nothing', async () => {
    const vault = await createVault();
    const { to } = vault.rewrap;
    if (!to) throw new Error('no key');
    const broken = { ...to.recipient, wrap: async () => (await vault.next.generate(context())).wrapped };
    const context = () => ({
      cell: 'eu',
      tenant: SCOPE.tenantId,
      volume: SCOPE.volumeId,
      run: 'run-1',
      purpose: 'index' as const,
    });
    expect(await codeOf(vault.rotate({ ...vault.rewrap, to: { ...to, recipient: broken } }))).toBe('wrong_key');
    expect([...vault.versions.values()].every((versions) => versions.length === 1)).toBe(true);
    await vault.expectOpens(vault.old);
  });
});

/** Fails at the `limit`-th call of the store and of either key, before or after its effect; later calls fail too when it is dead. */
function createFault(limit: number, when: 'before' | 'after', sticky: boolean) {
  let calls = 0;
  const fails = () => (sticky ? calls >= limit : calls === limit);
  async function faulty<T>(effect: () => Promise<T>): Promise<T> {
    calls += 1;
    const now = fails();
    if (now && when === 'before') throw new Error('the process died');
    const result = await effect();
    if (now) throw new Error('the process died');
    return result;
  }
  return { faulty, wasMet: () => calls >= limit };
}

describe('wrapping keys anew, with a failure at any call', () => {
  const kinds = (['before', 'after'] as const).flatMap((when) => [true, false].map((sticky) => ({ when, sticky })));
  test.each(kinds)(
    '$when its effect, for ever $sticky: each key is wrapped by the old key or the new, and the next try finishes',
    async ({ when, sticky }) => {
      const { versions } = await createVault(['run-1']);
      let limit = 1;
      for (; ; limit += 1) {
        const vault = await createVault(['run-1'], structuredClone(versions));
        const { faulty, wasMet } = createFault(limit, when, sticky);
        const { to, from } = vault.rewrap;
        if (!to) throw new Error('no key');
        const how: Rewrap = {
          from: { ...from, unwrap: (...args) => faulty(() => from.unwrap(...args)) },
          to: {
            recipient: { ...to.recipient, wrap: (...args) => faulty(() => to.recipient.wrap(...args)) },
            opener: { ...to.opener, unwrap: (...args) => faulty(() => to.opener.unwrap(...args)) },
          },
        };
        const keys: KeyObjectStore = {
          ...vault.keyStore,
          get: (key) => faulty(() => vault.keyStore.get(key)),
          replace: (...args) => faulty(() => vault.keyStore.replace(...args)),
        };
        await vault.rotate(how, keys).catch((error: unknown) => expect(String(error)).toContain('the process died'));
        for (const recipients of await vault.recipientsOf())
          expect(recipients.filter((one) => vault.old.opens(one) || vault.next.opens(one))).toHaveLength(1);
        await vault.expectOpens(either(vault.old, vault.next));
        await vault.rotate();
        await vault.expectOpens(vault.next);
        if (!wasMet()) break;
      }
      expect(limit).toBeGreaterThan(11);
    },
  );
});

describe('two who replace key objects at once', () => {
  test('both rotations end, and every run opens with the new key', async () => {
    const vault = await createVault();
    const [a, b] = await Promise.all([vault.rotate(), vault.rotate()]);
    expect(a.replaced + b.replaced).toBe(6);
    await vault.expectOpens(vault.next);
  });

  test('a rotation and the adding of a recipient lose neither', async () => {
    const vault = await createVault();
    const region = createMemoryKeys(undefined, 'region');
    const from = either(vault.old, vault.next);
    await Promise.all([vault.rotate(), vault.rotate({ from, add: [region.asRecipient(RECIPIENT.recoveryRegion)] })]);
    for (const opener of [region, vault.next, TENANT_OPENER]) await vault.expectOpens(opener);
  });

  test('a key object that is destroyed meanwhile does not come back', async () => {
    const vault = await createVault();
    const plan = await planRewrap(vault.keyStore, SCOPE, vault.rewrap);
    const [first = '', second = ''] = plan.objects;
    await vault.store.delete([first]);
    const late: KeyObjectStore = {
      ...vault.keyStore,
      async replace(key, bytes, version) {
        if (key === second) await vault.store.delete([key]);
        return vault.keyStore.replace(key, bytes, version);
      },
    };
    expect(await executeRewrap(late, plan, vault.rewrap)).toEqual({ replaced: 4, done: 0, gone: 2 });
    for (const gone of [first, second]) expect(await codeOf(vault.store.get(gone))).toBe('object_missing');
  });
});
