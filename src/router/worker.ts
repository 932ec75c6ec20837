import { systemClock } from '../core/clock.ts';
import { createRouter } from './app.ts';
import { parseSigningKey } from './signing-key.ts';

/** Bindings of the edge deployment: addresses of the cells as JSON, and the signing key as a secret. */
type Env = { CELLS: string; ROUTER_SIGNING_KEY: string };

/** The router at the edge: the same application as on Node. */
export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    const app = createRouter({
      cells: JSON.parse(env.CELLS) as Record<string, string>,
      signingKey: parseSigningKey(env.ROUTER_SIGNING_KEY),
      clock: systemClock,
      fetch: (onward) => fetch(onward),
      // Set by the edge itself on what reaches a worker.
      clientAddress: (incoming) => incoming.headers.get('cf-connecting-ip') ?? 'unknown',
    });
    return app.fetch(request, env);
  },
};
