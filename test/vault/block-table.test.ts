import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBlockList, createBlockTable } from '../../src/vault/block-table.ts';
import type { ContainerRef } from '../../src/vault/places.ts';

const pack = (ordinal: number): ContainerRef => ({
  volumeId: 'vol-1',
  runId: 'r',
  attempt: 'a',
  ordinal,
  closed: null,
});
const packs = Array.from({ length: 5 }, (_, n) => pack(n));

/** Keys of 16 bytes, many of which begin alike: they meet in the table. */
const key = fc
  .tuple(fc.constantFrom(0, 1, 255, 1_023), fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(3))
  .map(([first, middle, last]) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32BE(first, 0);
    bytes.writeUInt32BE(middle, 4);
    bytes.writeUInt32BE(last, 12);
    return bytes.toString('latin1');
  });
const block = fc.record({ pack: fc.constantFrom(...packs), slot: fc.nat(65_535) });

test('a table finds every block under its key and no other, however many there are', () => {
  const entries = fc.array(fc.tuple(key, block), { minLength: 1, maxLength: 3_000, size: 'max' });
  fc.assert(
    fc.property(entries, fc.array(key), (known, others) => {
      const [table, model] = [createBlockTable(), new Map<string, object>()];
      for (const [name, one] of known) {
        table.set(name, one);
        model.set(name, one);
      }
      expect(table.size()).toBe(model.size);
      for (const name of [...model.keys(), ...others]) expect(table.get(name)).toEqual(model.get(name) ?? null);
    }),
    { numRuns: 25 },
  );
});

test('a list gives its blocks back, in the order of their keys', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, block), { maxLength: 2_500, size: 'max' }), (entries) => {
      const list = createBlockList();
      for (const [name, one] of entries) list.push(name, one);
      const listed = [...list.order()].map((n) => list.at(n));
      const byKey = entries.map(([name]) => name).toSorted((a, b) => (a < b ? -1 : 1));
      expect(listed.map((one) => one?.[0])).toEqual(byKey);
      expect(new Set(listed.map((one) => JSON.stringify(one)))).toEqual(
        new Set(entries.map((one) => JSON.stringify(one))),
      );
      expect(list.at(entries.length)).toBeNull();
    }),
    { numRuns: 25 },
  );
});
