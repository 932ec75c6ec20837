import { createHash } from 'node:crypto';
import { Fault } from '../core/faults.ts';

/** Is told of every (key, nonce) pair just before it seals something. */
export type NonceMonitor = (key: Uint8Array, nonce: Uint8Array) => void;

/**
 * A monitor that remembers every pair and throws when one comes again: under AES-GCM that would give away plaintext. For
 * tests, which run the whole engine under it; it keeps 32 bytes for each seal.
 */
export function createNonceMonitor(): { monitor: NonceMonitor; count: () => number } {
  const seen = new Set<string>();
  return {
    monitor(key, nonce) {
      const pair = createHash('sha256').update(key).update(nonce).digest('base64');
      if (seen.has(pair)) throw new Fault('internal', 'A nonce was about to be used twice under one key.');
      seen.add(pair);
    },
    count: () => seen.size,
  };
}
