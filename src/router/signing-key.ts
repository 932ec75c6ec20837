import type { SigningKey } from '../core/http-signature.ts';

/** What JSON says, or nothing: the parser's own errors quote the text, which is a secret here. */
function parsed(text: string): JsonWebKey & { kid?: string } {
  try {
    return Object(JSON.parse(text)) as JsonWebKey & { kid?: string };
  } catch {
    return {};
  }
}

/** The router's key from its JWK text; `kid` is the name under which the cells know its public half. */
export function parseSigningKey(text: string): SigningKey {
  const { kid, kty, crv, x, d } = parsed(text);
  if (kty !== 'OKP' || crv !== 'Ed25519' || !kid || !x || !d)
    throw new Error('is not an Ed25519 private key in JWK form with a kid');
  return { keyId: kid, privateKey: { kty, crv, x, d } };
}
