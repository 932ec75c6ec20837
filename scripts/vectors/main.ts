import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '../../src/crypto/bytes.ts';
import { deriveObjectKey, type ObjectType } from '../../src/crypto/object-key.ts';
import { blockId } from '../../src/vault/pack-writer.ts';
import { damageCases, imageSha256 } from './cases.ts';
import { craftedCases } from './crafted.ts';
import { repositories, SCOPE, text, writeRepository } from './repositories.ts';

/**
 * Makes test/vectors/v1 anew: fixture repositories, and what must come of them. Keys and salts are new each time, so this is run
 * when the format changes, and never in a test.
 */
const DIR = join(import.meta.dirname, '../../test/vectors/v1');

function derivation(type: ObjectType, ordinal: number) {
  const context = {
    cell: SCOPE.cell,
    tenant: SCOPE.tenantId,
    volume: SCOPE.volumeId,
    run: 'run-a',
    attempt: '00112233445566778899aabbccddeeff',
    type,
    ordinal,
  };
  const [dataKey, salt] = ['01'.repeat(32), '02'.repeat(24)];
  const key = deriveObjectKey(fromHex(dataKey), fromHex(salt), context);
  const { aeadKey, baseNonce, commitment } = key;
  return {
    dataKey,
    salt,
    ...context,
    aeadKey: toHex(aeadKey),
    baseNonce: toHex(baseNonce),
    commitment: toHex(commitment),
  };
}

function blockIdVector(seed: number) {
  const [idKey, block] = [`0${seed}`.repeat(32), text(seed)];
  const sha256 = createHash('sha256').update(block).digest();
  return { idKey, block: toHex(block), id: toHex(blockId(fromHex(idKey), sha256)) };
}

const made = await repositories();
rmSync(DIR, { recursive: true, force: true });
mkdirSync(DIR, { recursive: true });
for (const repository of made) await writeRepository(DIR, repository);
const [basic] = made;
if (!basic) throw new Error('no repository');
const vectors = {
  about: 'Vectors of docs/format.md, version 1-rc.',
  format: 'domicile/v1',
  derivations: [derivation('pack', 7), derivation('pack', 8), derivation('index', 7), derivation('root', 0)],
  blockIds: [blockIdVector(1), blockIdVector(2)],
  points: made.flatMap((repository) =>
    repository.points.map((point) => ({
      repository: repository.name,
      volume: SCOPE.volumeId,
      point: point.runId,
      sha256: imageSha256(point),
    })),
  ),
  cases: [
    ...damageCases(basic),
    ...(await craftedCases(basic)),
    {
      id: 'no-such-point',
      repository: 'basic',
      volume: SCOPE.volumeId,
      point: 'run-z',
      changes: [],
      expect: 'not_found',
    },
  ],
};
writeFileSync(join(DIR, 'vectors.json'), `${JSON.stringify(vectors, null, 1)}\n`);
process.stdout.write(`${made.length} repositories, ${vectors.points.length} points, ${vectors.cases.length} cases\n`);
