import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { deriveObjectKey, FORMAT, type ObjectType } from '../../src/crypto/object-key.ts';
import { openKeysFile, recoveryOpener } from '../../src/vault/keys-file.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { createMemorySink } from '../../src/vault/memory.ts';
import { readManifest } from '../../src/vault/manifest.ts';
import { blockId } from '../../src/vault/pack-writer.ts';
import type { KeyOpener } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { applyTo, DIR, openRepository, type Point } from './repository.ts';
import vectors from '../vectors/v1/vectors.json' with { type: 'json' };

const bytes = (hex: string) => Buffer.from(hex, 'hex');
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');
const isType = (type: string): type is ObjectType => ['pack', 'index', 'root', 'checkpoint'].includes(type);

/** SHA-256 of the whole restored image, or the class of the fault. What fails must not have been completed. */
async function outcomeOf({ store, keys }: ReturnType<typeof openRepository>, of: Point, offline?: KeyOpener) {
  const { cell, tenantId, opener } = openKeysFile(JSON.stringify(keys));
  const scope = { cell, tenantId, volumeId: of.volume };
  const manifestKey = rootKey(of.volume, of.point);
  if (!store.objects.has(manifestKey)) return 'not_found';
  const deps = { store, keys: offline ?? opener };
  try {
    const { volumeBytes, blockBytes } = await readManifest(deps, { ...scope, manifestKey });
    const sink = createMemorySink({ blockBytes: Math.min(blockBytes, 512), volumeBytes });
    await restoreVolume(deps, { ...scope, manifestKey }, { ...sink, blockBytes });
    const sum = createHash('sha256');
    const zeros = Buffer.alloc(blockBytes);
    for (let index = 0; index < volumeBytes / blockBytes; index += 1) sum.update(sink.image.get(index) ?? zeros);
    return sum.digest('hex');
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
}

describe('the published vectors of format version 1-rc', () => {
  test('are of the format that this program writes, and at least 120', () => {
    expect(vectors.format).toBe(FORMAT);
    expect(vectors.cases.length).toBeGreaterThanOrEqual(120);
    expect(new Set(vectors.cases.map(({ id }) => id)).size).toBe(vectors.cases.length);
  });

  test.each(vectors.derivations)('derive the keys of a $type $ordinal', ({ dataKey, salt, type, ...vector }) => {
    if (!isType(type)) throw new Error(type);
    const key = deriveObjectKey(bytes(dataKey), bytes(salt), { ...vector, type });
    expect(hex(key.aeadKey)).toBe(vector.aeadKey);
    expect(hex(key.baseNonce)).toBe(vector.baseNonce);
    expect(hex(key.commitment)).toBe(vector.commitment);
  });

  test.each(vectors.blockIds)('make the block id $id', ({ idKey, block, id }) => {
    const sha256 = createHash('sha256').update(bytes(block)).digest();
    expect(hex(blockId(bytes(idKey), sha256))).toBe(id);
  });

  test.each(vectors.points)('restore $repository $point', async (point) => {
    expect(await outcomeOf(openRepository(point.repository), point)).toBe(point.sha256);
  });

  test('restore with the tenant’s own recovery key alone', async () => {
    const offline = recoveryOpener(readFileSync(join(DIR, 'basic/recovery-key.pem'), 'utf8'));
    for (const point of vectors.points.filter(({ repository }) => repository === 'basic'))
      expect(await outcomeOf(openRepository('basic'), point, offline)).toBe(point.sha256);
  });

  test.each(vectors.cases)('end as they say: $id', async (vector) => {
    const repository = openRepository(vector.repository);
    for (const change of vector.changes) applyTo(repository, change);
    expect(await outcomeOf(repository, vector)).toBe('expect' in vector ? vector.expect : vector.sha256);
  });
});
