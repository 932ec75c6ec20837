import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Lifetimes. Source: EBS guide, "EBS direct APIs". */
export const BLOCK_TOKEN_MS = 7 * 86_400_000;
export const PAGE_TOKEN_MS = 60 * 60_000;

/** Every token is this long: 24 bytes in base 64. */
export const TOKEN_CHARACTERS = 32;

/** Expiry (6 bytes) and a MAC over what the token is for: nothing needs to be remembered of a token given out. */
export function createTokens() {
  const secret = randomBytes(32);
  const mac = (bound: string, expiry: Buffer) =>
    createHmac('sha256', secret).update(expiry).update(bound).digest().subarray(0, 18);
  return {
    issue(bound: string, expiresMs: number): string {
      const expiry = Buffer.alloc(6);
      expiry.writeUIntBE(expiresMs, 0, 6);
      return Buffer.concat([expiry, mac(bound, expiry)]).toString('base64');
    },
    valid(token: string, bound: string, nowMs: number): boolean {
      const bytes = Buffer.from(token, 'base64');
      if (bytes.length !== 24) return false;
      const expiry = bytes.subarray(0, 6);
      return timingSafeEqual(bytes.subarray(6), mac(bound, expiry)) && expiry.readUIntBE(0, 6) > nowMs;
    },
  };
}
