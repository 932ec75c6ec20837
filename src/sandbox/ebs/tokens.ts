import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Lifetimes. Source: EBS guide, "EBS direct APIs". */
export const BLOCK_TOKEN_MS = 7 * 86_400_000;
export const PAGE_TOKEN_MS = 60 * 60_000;

/** Every token is this long: 24 bytes in base 64. */
export const TOKEN_CHARACTERS = 32;
const EXPIRY_BYTES = 6;
const HEAD_BYTES = 9;

/**
 * Expiry (6 bytes), the listing it was given out in (3 bytes), and a MAC over both and what the token is for: nothing needs
 * to be remembered of a token. Another listing gives other tokens; earlier ones hold until they expire.
 */
export function createTokens() {
  const secret = randomBytes(32);
  const mac = (bound: string, head: Buffer) =>
    createHmac('sha256', secret)
      .update(head)
      .update(bound)
      .digest()
      .subarray(0, 24 - HEAD_BYTES);
  return {
    issue(bound: string, expiresMs: number, listing = 0): string {
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUIntBE(expiresMs, 0, EXPIRY_BYTES);
      head.writeUIntBE(listing & 0xffffff, EXPIRY_BYTES, 3);
      return Buffer.concat([head, mac(bound, head)]).toString('base64');
    },
    valid(token: string, bound: string, nowMs: number): boolean {
      const bytes = Buffer.from(token, 'base64');
      if (bytes.length !== 24) return false;
      const head = bytes.subarray(0, HEAD_BYTES);
      return timingSafeEqual(bytes.subarray(HEAD_BYTES), mac(bound, head)) && head.readUIntBE(0, EXPIRY_BYTES) > nowMs;
    },
  };
}
