import type { MiddlewareHandler } from 'hono';
import { bearerOf, parseApiKey } from '../../core/api-keys.ts';
import { Fault } from '../../core/faults.ts';
import type { Keys } from '../services/keys.ts';
import type { ApiEnv } from './env.ts';

type AuthDeps = { cell: string; cellUrls: Readonly<Record<string, string>>; keys: Keys };

function misdirected(cell: string, url: string | undefined): Fault {
  const next = url ? `Send this request to ${url}.` : 'No cell of that name is known here.';
  return new Fault('misdirected_request', `The key belongs to the cell ${cell}. ${next}`, {
    facts: { cell, ...(url ? { url } : {}) },
  });
}

/**
 * Who calls. Reads nothing but the Authorization header: a key of another cell is answered before the body is read, so
 * that no tenant's data enters the wrong jurisdiction.
 *
 * @throws Fault `unauthorized`, `misdirected_request`
 */
export function authentication({ cell, cellUrls, keys }: AuthDeps): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const parts = parseApiKey(bearerOf(c.req.header('authorization')) ?? '');
    if (!parts) throw new Fault('unauthorized', 'Send an API key: Authorization: Bearer dk_<cell>_….');
    if (parts.cell !== cell)
      throw misdirected(parts.cell, Object.hasOwn(cellUrls, parts.cell) ? cellUrls[parts.cell] : undefined);
    const caller = await keys.authenticate(parts);
    if (!caller) throw new Fault('unauthorized', 'The API key is not known here, or has been revoked.');
    c.set('caller', { ...caller, actor: { ...caller.actor, requestId: c.var.requestId } });
    await next();
  };
}
