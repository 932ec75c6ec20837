import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Fault } from '../core/faults.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals a short text with AES-256-GCM under a data key that is used for nothing else, bound to `context`.
 *
 * @param dataKey 32 bytes, fresh: a random 96-bit nonce is then beyond doubt
 */
export function sealText(
  dataKey: Uint8Array,
  context: string,
  text: string,
): { nonce: Uint8Array; sealed: Uint8Array } {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce);
  cipher.setAAD(Buffer.from(context));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return { nonce, sealed: Buffer.concat([body, cipher.getAuthTag()]) };
}

/** @throws Fault `object_corrupt` for another key, another context, or a changed bit */
export function openText(dataKey: Uint8Array, context: string, box: { nonce: Uint8Array; sealed: Uint8Array }): string {
  const { nonce, sealed } = box;
  if (nonce.length !== NONCE_BYTES || sealed.length < TAG_BYTES)
    throw new Fault('object_corrupt', 'A sealed text is incomplete.');
  const decipher = createDecipheriv('aes-256-gcm', dataKey, nonce);
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  try {
    const body = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
    return Buffer.concat([body, decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new Fault('object_corrupt', 'A sealed text does not open: another key, another place, or damage.', { cause });
  }
}
