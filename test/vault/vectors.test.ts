import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { deriveObjectKey, FORMAT, type ObjectType } from '../../src/crypto/object-key.ts';
import { readManifest } from '../../src/vault/manifest.ts';
import { createMemoryKeys, createMemorySink, createMemoryStore } from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import vectors from '../vectors/v0.json' with { type: 'json' };

const bytes = (hex: string) => Buffer.from(hex, 'hex');
const isType = (type: string): type is ObjectType => ['pack', 'page', 'root'].includes(type);

function openVault() {
  const store = createMemoryStore();
  for (const [key, base64] of Object.entries(vectors.objects)) store.objects.set(key, Buffer.from(base64, 'base64'));
  return { store, keys: createMemoryKeys(bytes(vectors.masterKeyHex)) };
}

async function restore(vault: ReturnType<typeof openVault>, manifestKey: string) {
  const { blockBytes, scope, points } = vectors;
  const sink = createMemorySink({ blockBytes, volumeBytes: points[0]!.volumeBytes });
  await restoreVolume(vault, { ...scope, manifestKey }, sink);
  const sums = [...sink.image].map(([index, block]) => [
    String(index),
    createHash('sha256').update(block).digest('hex'),
  ]);
  return Object.fromEntries(sums);
}

/** The first fault that restoring the points ends with, oldest first. */
async function firstFault(vault: ReturnType<typeof openVault>): Promise<string> {
  try {
    for (const { manifestKey } of vectors.points) await restore(vault, manifestKey);
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
  return 'restored';
}

describe('what was written by format version 0', () => {
  test('is what this program writes', () => expect(vectors.format).toBe(FORMAT));

  test.each(vectors.derivation)('has these keys', (vector) => {
    const { type } = vector.context;
    expect(isType(type)).toBe(true);
    if (!isType(type)) return;
    const key = deriveObjectKey(bytes(vector.dataKeyHex), bytes(vector.saltHex), { ...vector.context, type });
    expect(Buffer.from(key.aeadKey).toString('hex')).toBe(vector.aeadKeyHex);
    expect(Buffer.from(key.baseNonce).toString('hex')).toBe(vector.baseNonceHex);
    expect(Buffer.from(key.commitment).toString('hex')).toBe(vector.commitmentHex);
  });

  test.each(vectors.points)('restores: $kind', async (point) => {
    const vault = openVault();
    const { manifestKey, snapshotId, kind, volumeBytes } = point;
    const manifest = await readManifest(vault, { ...vectors.scope, manifestKey });
    expect(manifest).toMatchObject({ snapshotId, kind, volumeBytes, blockBytes: vectors.blockBytes });
    expect(await restore(vault, manifestKey)).toEqual(point.sha256ByIndex);
  });

  test.each(vectors.damage)('is refused when damaged: $what', async ({ key, at, fault }) => {
    const vault = openVault();
    const object = vault.store.objects.get(key)!;
    object[at]! ^= 1;
    expect(await firstFault(vault)).toBe(fault);
  });

  test.each(vectors.exchanged)('is refused when exchanged: $what', async ({ keys, fault }) => {
    const vault = openVault();
    const [a, b] = [keys[0]!, keys[1]!];
    const { objects } = vault.store;
    const [first, second] = [objects.get(a)!, objects.get(b)!];
    objects.set(a, second).set(b, first);
    expect(await firstFault(vault)).toBe(fault);
  });
});
