import { expect, test } from 'vitest';
import { CODEC, decode, encode } from '../../src/vault/codec.ts';

const ZEROS = encode(new Uint8Array(2 ** 24));
const RAW = encode(Uint8Array.from([3, 1, 4, 1, 5, 9]));

test.each([
  ['compressed', ZEROS, CODEC.zstd, 2 ** 24],
  ['not compressed', RAW, CODEC.raw, 6],
])('what is stored %s gives no more bytes than it may, whatever it claims', (_, encoded, codec, bytes) => {
  expect(encoded.codec).toBe(codec);
  expect(decode(encoded, bytes)).toHaveLength(bytes);
  for (const limitBytes of [bytes - 1, 1])
    expect(() => decode(encoded, limitBytes)).toThrow(expect.objectContaining({ code: 'object_corrupt' }));
});
