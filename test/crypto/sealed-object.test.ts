import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { createNonceMonitor } from '../../src/crypto/nonce-monitor.ts';
import { HEADER_BYTES } from '../../src/crypto/object-header.ts';
import type { ObjectContext } from '../../src/crypto/object-key.ts';
import { createObjectSealer, openSealedObject } from '../../src/crypto/sealed-object.ts';

const CONTEXT: ObjectContext = {
  cell: 'eu',
  tenant: 'ten_eu_a',
  volume: 'vol-1',
  run: 'run-1',
  attempt: '00112233445566778899aabbccddeeff',
  type: 'pack',
  ordinal: 3,
};
const DATA_KEY = Buffer.alloc(32, 7);
const SALT = Buffer.alloc(24, 9);
const ID = Buffer.alloc(32, 1);
const SLOT = { codec: 1, id: ID };
const PLAINTEXT = Buffer.from('the bytes of a block');

function sealOne(options: { context?: ObjectContext; salt?: Uint8Array; dataKey?: Uint8Array } = {}) {
  const sealer = createObjectSealer({ dataKey: DATA_KEY, salt: SALT, context: CONTEXT, ...options });
  return { header: sealer.header, ...sealer.seal(SLOT, PLAINTEXT) };
}

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'opened';
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
};

describe('a sealed object', () => {
  test('opens to what was sealed, each slot by itself', () => {
    const sealer = createObjectSealer({ dataKey: DATA_KEY, salt: SALT, context: CONTEXT });
    const sealed = ['a', 'b', 'c'].map((text) => sealer.seal(SLOT, Buffer.from(text)));
    const opened = openSealedObject(DATA_KEY, sealer.header, CONTEXT);
    const texts = sealed
      .toReversed()
      .map((one) => Buffer.from(opened.open({ ...SLOT, number: one.number }, one.sealed)).toString());
    expect(texts).toEqual(['c', 'b', 'a']);
  });

  test('refuses another data key at the commitment', () => {
    const { header } = sealOne();
    expect(codeOf(() => openSealedObject(Buffer.alloc(32, 8), header, CONTEXT))).toBe('wrong_key');
  });

  test.each([
    ['cell', { cell: 'us' }],
    ['tenant', { tenant: 'ten_eu_b' }],
    ['volume', { volume: 'vol-2' }],
    ['run', { run: 'run-2' }],
    ['attempt', { attempt: 'ff112233445566778899aabbccddeeff' }],
    ['type', { type: 'index' as const }],
    ['ordinal', { ordinal: 4 }],
    ['fields shifted between neighbours', { cell: 'eut', tenant: 'en_eu_a' }],
  ])('refuses another %s at the commitment', (_, change) => {
    const { header } = sealOne();
    expect(codeOf(() => openSealedObject(DATA_KEY, header, { ...CONTEXT, ...change }))).toBe('wrong_key');
  });

  test('refuses every flipped bit of header and slot, and never gives other bytes', () => {
    const { header, sealed, number } = sealOne();
    const object = Buffer.concat([header, sealed]);
    const codes = new Set<string>();
    for (let bit = 0; bit < object.length * 8; bit += 1) {
      const damaged = Buffer.from(object);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      codes.add(
        codeOf(() =>
          openSealedObject(DATA_KEY, damaged, CONTEXT).open({ ...SLOT, number }, damaged.subarray(HEADER_BYTES)),
        ),
      );
    }
    expect([...codes]).toEqual(['object_corrupt']);
  });

  test('refuses a slot under another number, codec or block id, and one that is cut short', () => {
    const { header, sealed, number } = sealOne();
    const opened = openSealedObject(DATA_KEY, header, CONTEXT);
    expect(codeOf(() => opened.open({ ...SLOT, number: number + 1 }, sealed))).toBe('object_corrupt');
    expect(codeOf(() => opened.open({ ...SLOT, number, codec: 0 }, sealed))).toBe('object_corrupt');
    expect(codeOf(() => opened.open({ ...SLOT, number, id: Buffer.alloc(32, 2) }, sealed))).toBe('object_corrupt');
    expect(codeOf(() => opened.open({ ...SLOT, number }, sealed.subarray(0, -1)))).toBe('object_corrupt');
    expect(codeOf(() => opened.open({ ...SLOT, number }, new Uint8Array(3)))).toBe('object_corrupt');
    expect(codeOf(() => openSealedObject(DATA_KEY, header.subarray(0, 40), CONTEXT))).toBe('object_corrupt');
  });

  test('of a later version is refused as such', async () => {
    const { crc32 } = await import('node:zlib');
    const { header } = sealOne();
    const later = Buffer.from(header);
    later[4] = 2;
    later.writeUInt32BE(crc32(later.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
    expect(codeOf(() => openSealedObject(DATA_KEY, later, CONTEXT))).toBe('unsupported_format');
  });

  test('has keys that a fresh salt makes new', () => {
    const a = sealOne();
    const b = sealOne({ salt: Buffer.alloc(24, 10) });
    expect(Buffer.compare(a.sealed, b.sealed)).not.toBe(0);
  });
});

describe('the nonce monitor', () => {
  test('stops the second use of a key and nonce', () => {
    const { monitor, count } = createNonceMonitor();
    const begin = () => createObjectSealer({ dataKey: DATA_KEY, salt: SALT, context: CONTEXT, monitor });
    const sealer = begin();
    sealer.seal(SLOT, PLAINTEXT);
    sealer.seal(SLOT, PLAINTEXT);
    expect(count()).toBe(2);
    // The same salt, key and context again: what a resumed run would do if it did not begin anew.
    expect(codeOf(() => begin().seal(SLOT, PLAINTEXT))).toBe('internal');
  });
});
