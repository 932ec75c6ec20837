import { createCipheriv, createDecipheriv, createSecretKey, timingSafeEqual } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { createByteWriter } from './bytes.ts';
import type { NonceMonitor } from './nonce-monitor.ts';
import { decodeHeader, encodeHeader } from './object-header.ts';
import { deriveObjectKey, type ObjectContext } from './object-key.ts';

export const TAG_BYTES = 16;

/** Part of an object that is sealed on its own, so that a ranged read opens it alone. All of it is authenticated. */
export type Slot = {
  /** 0, 1, 2 … in the order of sealing. */
  number: number;
  /** How the plaintext is coded (see `vault/codec.ts`). */
  codec: number;
  /** Identity of the content, authenticated with it: a block's id, a page's kind and number, nothing for roots. */
  id: Uint8Array;
};

function nonceOf(baseNonce: Uint8Array, slot: number): Uint8Array {
  const nonce = Buffer.from(baseNonce);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ slot) >>> 0, 8);
  return nonce;
}

function associatedData(slot: Slot): Uint8Array {
  const writer = createByteWriter();
  writer.u32(slot.number);
  writer.u8(slot.codec);
  writer.bytes(slot.id);
  return writer.done();
}

/** The slot of a pack's directory: sealed last, and found without knowing how many slots come before it. */
export const DIRECTORY_SLOT = 0xffff_ffff;

/** Slots are numbered by 16 bits wherever they are referred to, so no object has more: far from where a nonce could come again. */
const SLOTS_MAX = 65_536;

/**
 * Begins a new object under fresh keys. Slots must be sealed in order: the sealer counts them itself, so that a nonce
 * cannot come twice.
 */
export function createObjectSealer(options: {
  dataKey: Uint8Array;
  salt: Uint8Array;
  context: ObjectContext;
  monitor?: NonceMonitor | undefined;
}) {
  const { dataKey, salt, context, monitor } = options;
  const { aeadKey, baseNonce, commitment } = deriveObjectKey(dataKey, salt, context);
  const key = createSecretKey(aeadKey); // Prepared once: Node takes 15 µs to do so for each slot.
  let next = 0;
  let closed = false;
  function sealSlot(slot: Slot, plaintext: Uint8Array): [body: Uint8Array, tag: Uint8Array] {
    if (closed) throw new Fault('internal', 'A stored object that was closed cannot take more.');
    if (slot.number >= SLOTS_MAX && slot.number !== DIRECTORY_SLOT)
      throw new Fault('internal', `A stored object takes ${SLOTS_MAX} slots.`);
    const nonce = nonceOf(baseNonce, slot.number);
    monitor?.(aeadKey, nonce);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(associatedData(slot));
    const body = cipher.update(plaintext);
    cipher.final();
    return [body, cipher.getAuthTag()];
  }
  return {
    header: encodeHeader(context.type, { attempt: context.attempt, salt, commitment }),
    /** Ciphertext followed by its 16-byte tag. */
    seal(slot: Omit<Slot, 'number'>, plaintext: Uint8Array): { number: number; sealed: Uint8Array } {
      const number = next;
      next += 1;
      return { number, sealed: Buffer.concat(sealSlot({ ...slot, number }, plaintext)) };
    },
    /** The same, written to `target` from byte `at` on. */
    sealInto(slot: Omit<Slot, 'number'>, plaintext: Uint8Array, target: Uint8Array, at: number) {
      const number = next;
      next += 1;
      const [body, tag] = sealSlot({ ...slot, number }, plaintext);
      target.set(body, at);
      target.set(tag, at + body.length);
      return { number, lengthBytes: body.length + tag.length };
    },
    /** The directory's slot. Nothing can be sealed after it. */
    sealDirectory(codec: number, plaintext: Uint8Array): Uint8Array {
      const sealed = Buffer.concat(sealSlot({ number: DIRECTORY_SLOT, codec, id: new Uint8Array() }, plaintext));
      closed = true;
      return sealed;
    },
  };
}

export type ObjectSealer = ReturnType<typeof createObjectSealer>;

/**
 * Opens an object by its header. A data key or a context that is not the object's own fails here, at the commitment, before
 * anything is decrypted.
 *
 * @throws Fault `wrong_key`; `object_corrupt`, `unsupported_format` from the header
 */
export function openSealedObject(dataKey: Uint8Array, headerBytes: Uint8Array, context: ObjectContext) {
  const header = decodeHeader(headerBytes);
  const { aeadKey, baseNonce, commitment } = deriveObjectKey(dataKey, header.salt, context);
  if (!timingSafeEqual(commitment, header.commitment) || header.attempt !== context.attempt) {
    throw new Fault('wrong_key', `A stored ${context.type} does not belong to this key, tenant, volume or place.`);
  }
  const key = createSecretKey(aeadKey);
  return {
    /** @throws Fault `object_corrupt` when a bit of the slot, its number, codec or id is not what was sealed */
    open(slot: Slot, sealed: Uint8Array): Uint8Array {
      const bodyBytes = sealed.length - TAG_BYTES;
      if (bodyBytes < 0) throw new Fault('object_corrupt', 'Part of a stored object is missing.');
      const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(baseNonce, slot.number));
      decipher.setAAD(associatedData(slot));
      decipher.setAuthTag(sealed.subarray(bodyBytes));
      const plaintext = decipher.update(sealed.subarray(0, bodyBytes));
      try {
        decipher.final();
      } catch (cause) {
        throw new Fault('object_corrupt', `A stored ${context.type} is damaged.`, { cause });
      }
      return plaintext;
    },
  };
}

export type OpenedObject = ReturnType<typeof openSealedObject>;
