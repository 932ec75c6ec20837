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
/** Larger ones are slow to use, and no token makes them. */
const MODULUS_BITS_MAX = 8_192;
/** F4, as every generator's. With 1 the "encrypted" key would be the key. Source: NIST SP 800-56B, 6.2. */
const EXPONENT_MIN = 65_537n;

/** SHA-256 (hex) of the DER SubjectPublicKeyInfo: what `openssl pkey -pubin -outform DER | sha256sum` prints. */
function fingerprint(key: KeyObject): string {
  return toHex(
    createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest(),
  );
}

function assertStrong(key: KeyObject): void {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const wrong = (text: string) => new Fault('invalid_request', text);
  if (key.asymmetricKeyType !== 'rsa') throw wrong('A recovery key must be an RSA key.');
  if (modulusLength < MODULUS_BITS_MIN || modulusLength > MODULUS_BITS_MAX)
    throw wrong(
      `A recovery key must have ${MODULUS_BITS_MIN} to ${MODULUS_BITS_MAX} bits; this one has ${modulusLength}.`,
    );
  if (publicExponent < EXPONENT_MIN) throw wrong(`A recovery key's exponent must be at least ${EXPONENT_MIN}.`);
}

/** Node takes a private key, and gives its public half: a private key that got here has gone too far. */
function readPublic(pem: string): KeyObject {
  if (!pem.trim().startsWith('-----BEGIN PUBLIC KEY-----'))
    throw new Fault('invalid_request', 'A recovery key must be a public key in PEM (-----BEGIN PUBLIC KEY-----).');
  try {
    return createPublicKey(pem);
  } catch {
    // Without its cause: that may tell of what was sent.
    throw new Fault('invalid_request', 'A recovery key must be a public key in PEM; this cannot be read.');
  }
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
 * @throws Fault `invalid_request` for what is no public key, not RSA, too short or too long
 */
export function readRecoveryPublicKey(pem: string) {
  const key = readPublic(pem);
  assertStrong(key);
  return {
    name: fingerprint(key),
    /** The same key, as we write it. */
    pem: key.export({ type: 'spki', format: 'pem' }).toString(),
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
