import type { SigningKey } from '../core/http-signature.ts';

/** The router's key from its JWK text; `kid` is the name under which the cells know its public half. */
export function parseSigningKey(text: string): SigningKey {
  const { kid, kty, crv, x, d } = JSON.parse(text) as JsonWebKey & { kid?: string };
  if (kty !== 'OKP' || crv !== 'Ed25519' || !kid || !x || !d)
    throw new Error('is not an Ed25519 private key in JWK form with a kid');
  return { keyId: kid, privateKey: { kty, crv, x, d } };
}
