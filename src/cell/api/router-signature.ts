import type { MiddlewareHandler } from 'hono';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import type { ApiEnv } from './env.ts';

/** What a router's signature that holds says: its nonce, and until when the signature could be used again. */
export type RouterProof = { nonce: string; expiresAt: Date };

/**
 * Checks the signature of a forwarded request (RFC 9421) against the routers' keys, this cell's authorities and the
 * clock. Null: it does not hold. Reads no body.
 */
export type VerifyRouter = (request: Request) => Promise<RouterProof | null>;

/** Nonces that were seen, for as long as their signatures live. */
function createNonces(clock: Clock) {
  const seen = new Map<string, number>();
  return (proof: RouterProof): boolean => {
    const now = clock.now().getTime();
    // Oldest first, and lifetimes hardly differ: the first one that lives ends the search.
    for (const [nonce, expires] of seen) {
      if (expires >= now) break;
      seen.delete(nonce);
    }
    if (seen.has(proof.nonce)) return false;
    seen.set(proof.nonce, proof.expiresAt.getTime());
    return true;
  };
}

/**
 * A request without a signature is a direct client's and served as such; nothing here or later reads a forwarding
 * header. One with a signature claims to come through a router, and that must be true, once: each process of the API
 * tier remembers the nonces it has seen.
 *
 * @throws Fault `router_signature_invalid`
 */
export function routerSignature(deps: { verifyRouter: VerifyRouter; clock: Clock }): MiddlewareHandler<ApiEnv> {
  const isNew = createNonces(deps.clock);
  return async (c, next) => {
    const { headers } = c.req.raw;
    if (headers.has('signature') || headers.has('signature-input')) {
      const proof = await deps.verifyRouter(c.req.raw);
      if (proof === null || !isNew(proof))
        throw new Fault('router_signature_invalid', 'The signature of this request does not hold, or was used before.');
    }
    await next();
  };
}
