import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/**
 * What the pepper protects: the purposes never share a key, so that a value made for one says nothing about another.
 * The pepper is not in the database: a dump alone verifies no guess at a secret and forges no cursor.
 */
export type PepperPurpose = 'api-key' | 'idempotency-key' | 'idempotency-request' | 'cursor';

function keyed(pepper: Uint8Array, purpose: PepperPurpose): Buffer {
  return createHmac('sha256', pepper).update(`domicile ${purpose} v1`).digest();
}

/** HMAC-SHA-256 of `text` under the pepper's key for one purpose. */
export function pepperedHash(pepper: Uint8Array, purpose: PepperPurpose, text: string): Buffer {
  return createHmac('sha256', keyed(pepper, purpose)).update(text).digest();
}

/** What is stored of an API key's or operator key's secret (the 32 characters before the checksum). */
export function secretHash(pepper: Uint8Array, secret: string): Buffer {
  return pepperedHash(pepper, 'api-key', secret);
}

/** Compares in time that does not depend on where two hashes differ; a missing one costs the same and never matches. */
export function sameHash(given: Uint8Array, stored: Uint8Array | undefined): boolean {
  const equal = timingSafeEqual(given, stored?.length === given.length ? stored : new Uint8Array(given.length));
  return equal && stored !== undefined;
}

/** The key of one sealed first answer: it takes the pepper and the client's own Idempotency-Key to make it again. */
export function answerKey(pepper: Uint8Array, scope: string, idempotencyKey: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', pepper, `${scope}\n${idempotencyKey}`, 'domicile first answer v1', 32));
}
