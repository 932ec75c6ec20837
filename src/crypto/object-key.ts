import { createSecretKey, hkdfSync } from 'node:crypto';
import { createByteWriter } from './bytes.ts';

/** Name and version of the format, the first field of every context. */
export const FORMAT = 'domicile/v1';

export const SALT_BYTES = 24;
export const COMMITMENT_BYTES = 32;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;

export type ObjectType = 'pack' | 'index' | 'root' | 'checkpoint';

/**
 * Where an object belongs. It is bound into the object's key, so an object that was moved to another cell, tenant, volume,
 * run, attempt, type or place in the run does not open. All opaque ids.
 */
export type ObjectContext = {
  cell: string;
  tenant: string;
  volume: string;
  run: string;
  attempt: string;
  type: ObjectType;
  /** Number of the pack or bundle in its attempt; 0 for a root; of a checkpoint, the block that comes next. */
  ordinal: number;
};

/** The keys of one object. `commitment` is stored in the clear: it fits one data key, salt and context only. */
export type ObjectKey = { aeadKey: Uint8Array; baseNonce: Uint8Array; commitment: Uint8Array };

function encodeContext(context: ObjectContext): Uint8Array {
  const writer = createByteWriter();
  const { cell, tenant, volume, run, attempt, type, ordinal } = context;
  for (const field of [FORMAT, cell, tenant, volume, run, attempt, type]) writer.text(field);
  writer.u32(ordinal);
  return writer.done();
}

/**
 * HKDF-SHA-512 (RFC 5869) over the data key, salted per object, with the length-prefixed context as info. The commitment
 * is part of the same output: AES-GCM alone would let one ciphertext open under two keys.
 */
export function deriveObjectKey(dataKey: Uint8Array, salt: Uint8Array, context: ObjectContext): ObjectKey {
  const length = KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES;
  const output = new Uint8Array(hkdfSync('sha512', createSecretKey(dataKey), salt, encodeContext(context), length));
  return {
    aeadKey: output.subarray(0, KEY_BYTES),
    baseNonce: output.subarray(KEY_BYTES, KEY_BYTES + NONCE_BYTES),
    commitment: output.subarray(KEY_BYTES + NONCE_BYTES),
  };
}
