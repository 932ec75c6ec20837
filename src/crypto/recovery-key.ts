import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { toHex } from './bytes.ts';

const MODULUS_BITS_MIN = 3_072;

/** SHA-256 (hex) of the DER SubjectPublicKeyInfo: what `openssl pkey -pubin -outform DER | sha256sum` prints. */
function fingerprint(key: KeyObject): string {
  return toHex(
    createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest(),
  );
}

function assertStrong(key: KeyObject): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType !== 'rsa' || bits < MODULUS_BITS_MIN)
    throw new Fault('invalid_request', `A recovery key must be an RSA key of at least ${MODULUS_BITS_MIN} bits.`);
}

const padding = (label: Uint8Array) => ({
  padding: constants.RSA_PKCS1_OAEP_PADDING,
  oaepHash: 'sha256',
  oaepLabel: Buffer.from(label),
});

/**
 * A tenant's offline recovery key, its public half: wraps data keys that its private half opens anywhere, for ever. RSAES-OAEP
 * (RFC 8017) with SHA-256; the label binds what the key is for.
 *
 * @throws Fault `invalid_request` for a key that is not RSA or too short
 */
export function readRecoveryPublicKey(pem: string) {
  const key = createPublicKey(pem);
  assertStrong(key);
  return {
    name: fingerprint(key),
    wrap: (dataKey: Uint8Array, label: Uint8Array): Uint8Array => publicEncrypt({ key, ...padding(label) }, dataKey),
  };
}

/** The private half. `unwrap` throws Fault `wrong_key` for another key or label. */
export function readRecoveryPrivateKey(pem: string, passphrase?: string) {
  const key = createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) });
  return {
    name: fingerprint(createPublicKey(key)),
    unwrap(wrapped: Uint8Array, label: Uint8Array): Uint8Array {
      try {
        return privateDecrypt({ key, ...padding(label) }, wrapped);
      } catch (cause) {
        throw new Fault('wrong_key', 'A stored key does not open with this recovery key.', { cause });
      }
    },
  };
}
