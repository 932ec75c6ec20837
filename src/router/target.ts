import { bearerOf, parseApiKey } from '../core/api-keys.ts';
import { Fault } from '../core/faults.ts';
import { parseId } from '../core/ids.ts';

/** Where a request goes: a cell's code, or null when any cell will do. */
export type Target = { cell: string | null };

/** Paths that answer without a key, and the same in every cell. */
const OPEN = /^\/(openapi\.json|reference|problems\/[a-z_]+|healthz|readyz)$/;

function cellInPath(path: string): string | null {
  for (const part of path.split('/')) {
    const id = parseId(part);
    if (id) return id.cell;
  }
  return null;
}

/**
 * Picks the cell of a request from its key, else from the first id in its path, else from `?cell=`. Reads nothing else.
 *
 * @throws Fault `unauthorized` without a well-formed key where one is needed
 */
export function targetOf(url: URL, authorization: string | null): Target {
  const asked = url.searchParams.get('cell');
  if (OPEN.test(url.pathname)) return { cell: cellInPath(url.pathname) ?? asked };
  const token = bearerOf(authorization);
  const key = token === null ? null : parseApiKey(token);
  if (key) return { cell: key.cell };
  const what = authorization === null ? 'There is no credential.' : 'The credential is malformed.';
  throw new Fault('unauthorized', `${what} Send "Authorization: Bearer dk_<cell>_…".`);
}
