import { createCipheriv } from 'node:crypto';

/**
 * "Invisible salamanders": one AES-GCM ciphertext and tag that open, to different plaintexts, under two keys. GCM authenticates, but
 * commits to no key. Source: Dodis, Grubbs, Ristenpart, Woodage, "Fast Message Franking", CRYPTO 2018, section 3; the
 * field as in NIST SP 800-38D, 6.3.
 */

const R = 0xe1n << 120n;
const BLOCK = 16;
type Key = { key: Uint8Array; nonce: Uint8Array };

const toField = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const fromField = (x: bigint) => Buffer.from(x.toString(16).padStart(2 * BLOCK, '0'), 'hex');

function multiply(x: bigint, y: bigint): bigint {
  let [z, v] = [0n, y];
  for (let bit = 127n; bit >= 0n; bit -= 1n) {
    if ((x >> bit) & 1n) z ^= v;
    v = v & 1n ? (v >> 1n) ^ R : v >> 1n;
  }
  return z;
}

/** x to the power of 2^128 − 2. */
function inverse(x: bigint): bigint {
  let [power, square] = [1n << 127n, multiply(x, x)];
  for (let n = 1; n < 128; n += 1) {
    power = multiply(power, square);
    square = multiply(square, square);
  }
  return power;
}

function encryptBlock(key: Uint8Array, block: Uint8Array): bigint {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return toField(cipher.update(block));
}

const padded = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);

/** The tag of a ciphertext, as GCM makes it. */
function tagOf({ key, nonce }: Key, aad: Uint8Array, ciphertext: Uint8Array): bigint {
  const h = encryptBlock(key, Buffer.alloc(BLOCK));
  const lengths = Buffer.alloc(BLOCK);
  lengths.writeUInt32BE(aad.length * 8, 4);
  lengths.writeUInt32BE(ciphertext.length * 8, 12);
  const all = Buffer.concat([padded(aad), padded(ciphertext), lengths]);
  let x = 0n;
  for (let at = 0; at < all.length; at += BLOCK) x = multiply(x ^ toField(all.subarray(at, at + BLOCK)), h);
  return x ^ encryptBlock(key, Buffer.concat([nonce, Buffer.from([0, 0, 0, 1])]));
}

/** Two blocks and a tag that both keys open: the second block is chosen so that their tags are one. */
export function salamander(one: Key, other: Key, aad: Uint8Array): Uint8Array {
  const head = Buffer.alloc(BLOCK, 'salamander');
  const open = Buffer.concat([head, Buffer.alloc(BLOCK)]);
  const squareOf = ({ key }: Key) => {
    const h = encryptBlock(key, Buffer.alloc(BLOCK));
    return multiply(h, h);
  };
  const apart = tagOf(one, aad, open) ^ tagOf(other, aad, open);
  const second = multiply(apart, inverse(squareOf(one) ^ squareOf(other)));
  const ciphertext = Buffer.concat([head, fromField(second)]);
  return Buffer.concat([ciphertext, fromField(tagOf(one, aad, ciphertext))]);
}
