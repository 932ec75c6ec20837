import type { MiddlewareHandler } from 'hono';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { createNonceCache, type VerifyingKey, verifyRequest } from '../../core/http-signature.ts';
import type { Logger } from '../../core/log.ts';
import type { ApiEnv } from './env.ts';

type Deps = {
  routerKeys: readonly VerifyingKey[];
  authorities: readonly string[];
  clock: Clock;
  log: Logger;
};

/**
 * A request without a signature is a direct client's and served as such; nothing here or later reads a forwarding
 * header. One with a signature claims to come through a router, and that must be true, once: each process of the API
 * tier remembers the nonces it has seen.
 *
 * @throws Fault `router_signature_invalid`
 */
export function routerSignature({ routerKeys, authorities, clock, log }: Deps): MiddlewareHandler<ApiEnv> {
  const firstUse = createNonceCache(() => clock.now());
  return async (c, next) => {
    const options = { keys: routerKeys, authorities, now: clock.now(), firstUse };
    const proof = await verifyRequest(c.req.raw, options);
    if (proof.kind === 'invalid') {
      log.log('warn', 'router_signature.refused', { requestId: c.var.requestId, reason: proof.reason });
      throw new Fault('router_signature_invalid', "The router's signature on this request does not hold.");
    }
    await next();
  };
}
