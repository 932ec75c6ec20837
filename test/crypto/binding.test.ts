import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { encodeHeader } from '../../src/crypto/object-header.ts';
import { deriveObjectKey, type ObjectContext, type ObjectKey } from '../../src/crypto/object-key.ts';
import { createObjectSealer, openSealedObject } from '../../src/crypto/sealed-object.ts';
import { salamander } from './salamander.ts';

const CONTEXT: ObjectContext = {
  cell: 'eu',
  tenant: 'ten_eu_a',
  volume: 'vol-1',
  run: 'run-1',
  attempt: '00112233445566778899aabbccddeeff',
  type: 'pack',
  ordinal: 3,
};
const [DATA_KEY, OTHER_KEY, SALT] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8), Buffer.alloc(24, 9)];
const TYPES = ['pack', 'index', 'root', 'checkpoint'] as const;
const PLAINTEXT = Buffer.from('the bytes of a block');
const SLOT = { number: 0, codec: 0, id: new Uint8Array(32) };
/** What a slot is authenticated with, written down again: number, codec, id. */
const AAD = Buffer.concat([Buffer.alloc(5), SLOT.id]);

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'opened';
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
};

/** The keys of an object, derived as docs/format.md says and without our code: so that the format's name can be another. */
function derive(dataKey: Uint8Array, context: ObjectContext, format = 'domicile/v1'): ObjectKey {
  const { cell, tenant, volume, run, attempt, type, ordinal } = context;
  const texts = [format, cell, tenant, volume, run, attempt, type].map((text) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(Buffer.byteLength(text));
    return Buffer.concat([length, Buffer.from(text)]);
  });
  const number = Buffer.alloc(4);
  number.writeUInt32BE(ordinal);
  const output = new Uint8Array(hkdfSync('sha512', dataKey, SALT, Buffer.concat([...texts, number]), 76));
  return { aeadKey: output.subarray(0, 32), baseNonce: output.subarray(32, 44), commitment: output.subarray(44) };
}

/** Slot 0 under these keys, whatever stands in the header. */
function sealUnder({ aeadKey, baseNonce }: ObjectKey): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', aeadKey, baseNonce).setAAD(AAD);
  return Buffer.concat([cipher.update(PLAINTEXT), cipher.final(), cipher.getAuthTag()]);
}

const headerOf = ({ attempt, type }: ObjectContext, commitment: Uint8Array) =>
  encodeHeader(type, { attempt, salt: SALT, commitment });

/** Every field of the context in turn, changed; for each type of object. */
const matrix = TYPES.flatMap((type) => {
  const here = { ...CONTEXT, type };
  const changes: [string, Partial<ObjectContext>][] = [
    ['cell', { cell: 'us' }],
    ['tenant', { tenant: 'ten_eu_b' }],
    ['volume', { volume: 'vol-2' }],
    ['run', { run: 'run-2' }],
    ['attempt', { attempt: 'ff112233445566778899aabbccddeeff' }],
    ...TYPES.filter((other) => other !== type).map((other): [string, Partial<ObjectContext>] => [
      `type (${other})`,
      { type: other },
    ]),
    ['ordinal', { ordinal: 4 }],
    ['border between cell and tenant', { cell: 'eut', tenant: 'en_eu_a' }],
    ['border between volume and run', { volume: 'vol-1r', run: 'un-1' }],
  ];
  return changes.map(([field, change]) => ({ type, field, here, there: { ...here, ...change } }));
});

describe('an object is bound to its place', () => {
  test.each(matrix)(
    '$type: another $field is refused before anything is decrypted, though all of it would decrypt',
    ({ here, there }) => {
      const [own, other] = [derive(DATA_KEY, here), derive(DATA_KEY, there)];
      const sealed = sealUnder(other);
      // With the commitment that fits, it opens: what follows is refused for the commitment alone.
      const fits = headerOf(there, other.commitment);
      expect(Buffer.from(openSealedObject(DATA_KEY, fits, there).open(SLOT, sealed))).toEqual(PLAINTEXT);
      expect(codeOf(() => openSealedObject(DATA_KEY, headerOf(there, own.commitment), there))).toBe('wrong_key');
      expect(codeOf(() => openSealedObject(DATA_KEY, headerOf(here, own.commitment), there))).toBe('wrong_key');
    },
  );

  test.each(TYPES)('%s: another format version is refused in the same way, and another data key', (type) => {
    const here = { ...CONTEXT, type };
    const own = derive(DATA_KEY, here);
    expect(own).toEqual(deriveObjectKey(DATA_KEY, SALT, here));
    for (const foreign of [derive(DATA_KEY, here, 'domicile/v2'), derive(OTHER_KEY, here)])
      expect(codeOf(() => openSealedObject(DATA_KEY, headerOf(here, foreign.commitment), here))).toBe('wrong_key');
    expect(codeOf(() => openSealedObject(OTHER_KEY, headerOf(here, own.commitment), here))).toBe('wrong_key');
  });
});

describe('one ciphertext that opens under two keys', () => {
  const [one, other] = [derive(DATA_KEY, CONTEXT), derive(OTHER_KEY, CONTEXT)];
  const sealed = salamander(
    { key: one.aeadKey, nonce: one.baseNonce },
    { key: other.aeadKey, nonce: other.baseNonce },
    AAD,
  );
  const plain = ({ aeadKey, baseNonce }: ObjectKey) => {
    const decipher = createDecipheriv('aes-256-gcm', aeadKey, baseNonce).setAAD(AAD);
    decipher.setAuthTag(sealed.subarray(-16));
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
  };

  test('does so: AES-GCM by itself takes it for authentic twice', () => {
    expect(plain(one)).not.toEqual(plain(other));
  });

  test('is refused under the key that its header does not commit to', () => {
    for (const [key, dataKey, wrong] of [
      [one, DATA_KEY, OTHER_KEY],
      [other, OTHER_KEY, DATA_KEY],
    ] as const) {
      const header = headerOf(CONTEXT, key.commitment);
      expect(Buffer.from(openSealedObject(dataKey, header, CONTEXT).open(SLOT, sealed))).toEqual(plain(key));
      expect(codeOf(() => openSealedObject(wrong, header, CONTEXT))).toBe('wrong_key');
    }
  });
});

describe('limits', () => {
  test('an object takes 65,536 slots and a directory, and not one more', () => {
    const sealer = createObjectSealer({ dataKey: DATA_KEY, salt: SALT, context: CONTEXT });
    for (let n = 0; n < 65_536; n += 1) sealer.seal(SLOT, new Uint8Array());
    expect(codeOf(() => sealer.seal(SLOT, new Uint8Array()))).toBe('internal');
    expect(codeOf(() => sealer.sealDirectory(0, PLAINTEXT))).toBe('opened');
  });
});
