import { Hono } from 'hono';
import { regionOf } from '../../regions/index.ts';
import { PROBLEMS } from '../contract/problems.ts';
import type { Clock } from '../core/clock.ts';
import { Fault, toFault } from '../core/faults.ts';
import { CLIENT_ADDRESS_HEADER, type SigningKey, signRequest } from '../core/http-signature.ts';
import { newId } from '../core/ids.ts';
import { PROBLEM_TYPE, problemOf } from '../core/problem.ts';
import { answerHeaders, forwardedHeaders } from './headers.ts';
import { targetOf } from './target.ts';

export type RouterDeps = {
  /** Base address of each cell, by its code. */
  cells: Readonly<Record<string, string>>;
  signingKey: SigningKey;
  clock: Clock;
  /** How the router reaches the cells; it must not follow redirects or decode bodies. */
  fetch: (request: Request) => Promise<Response>;
  /** The client's address as the connection (never a header of the client's) shows it. */
  clientAddress: (request: Request, env: unknown) => string;
};

const READY_TIMEOUT_MS = 3_000;
/** Methods that `fetch` will not send (Fetch standard, §2.2.1). */
const UNSENDABLE = new Set(['CONNECT', 'TRACE', 'TRACK']);

function problem(fault: Fault, now: Date): Response {
  const requestId = newId('request', 'router', now);
  const { status, title } = PROBLEMS[fault.code];
  const headers: Record<string, string> = {
    'content-type': PROBLEM_TYPE,
    'cache-control': 'no-store',
    'x-request-id': requestId,
  };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (status === 503) headers['retry-after'] = '5';
  return new Response(JSON.stringify(problemOf(fault, { status, title }, requestId)), { status, headers });
}

function baseOf(deps: RouterDeps, cell: string | null): string {
  // Own properties only: a client may ask for a cell named `constructor`.
  const name = cell ?? Object.keys(deps.cells)[0] ?? '';
  const known = Object.hasOwn(deps.cells, name) ? deps.cells[name] : undefined;
  if (known !== undefined) return known;
  const served = Object.keys(deps.cells).join(', ');
  throw new Fault(
    'misdirected_request',
    `There is no cell ${JSON.stringify(cell)} here. This router serves ${served}.`,
  );
}

/** A client's path and query at a cell. Never resolved as a reference: the path `//evil.example/` would name another host. */
function urlAt(base: string, from: URL): string {
  const url = new URL(base);
  url.pathname = from.pathname;
  url.search = from.search;
  return url.href;
}

/** The request as the cell will get it: other address, cleaned headers, signed, its body passed through unread. */
async function forwarded(deps: RouterDeps, request: Request, base: string, env: unknown): Promise<Request> {
  const url = urlAt(base, new URL(request.url));
  const headers = forwardedHeaders(request.headers);
  headers.set(CLIENT_ADDRESS_HEADER, deps.clientAddress(request, env));
  const signed = await signRequest({ method: request.method, url, headers }, deps.signingKey, deps.clock.now());
  for (const [name, value] of Object.entries(signed)) headers.set(name, value);
  const init = {
    method: request.method,
    headers,
    redirect: 'manual',
    signal: request.signal,
    body: request.body,
    ...(request.body ? { duplex: 'half' } : {}),
  };
  return new Request(url, init as RequestInit);
}

async function pass(deps: RouterDeps, request: Request, base: string, env: unknown): Promise<Response> {
  const onward = await forwarded(deps, request, base, env);
  try {
    const answer = await deps.fetch(onward);
    return new Response(answer.body, { status: answer.status, headers: answerHeaders(answer.headers) });
  } catch (cause) {
    throw new Fault('unavailable', 'The cell of this tenant cannot be reached now. Nothing was lost; try again.', {
      cause,
    });
  }
}

function regions(deps: RouterDeps) {
  const items = Object.entries(deps.cells).flatMap(([cell, url]) => {
    const region = regionOf(cell);
    return region ? [{ cell, jurisdiction: region.jurisdiction.code, awsRegions: region.awsRegions, url }] : [];
  });
  return { items };
}

async function readiness(deps: RouterDeps) {
  const entries = await Promise.all(
    Object.entries(deps.cells).map(async ([cell, url]) => {
      const request = new Request(new URL('/readyz', url), { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
      const state = await deps.fetch(request).then(
        async (answer) => {
          await answer.body?.cancel();
          return answer.ok ? 'ok' : 'not ready';
        },
        () => 'unreachable',
      );
      return [cell, state] as const;
    }),
  );
  return {
    status: entries.every(([, state]) => state === 'ok') ? 'ok' : 'degraded',
    checks: Object.fromEntries(entries),
  };
}

/**
 * The router: picks the cell, strips what a client may not say, signs, and streams. It keeps nothing, reads no body and
 * logs no path, address or key.
 */
export function createRouter(deps: RouterDeps): Hono {
  const app = new Hono();
  app.onError((error) => problem(toFault(error), deps.clock.now()));
  app.get('/', (c) => c.text('Domicile: backups that stay home.\nAPI reference: /reference\nCells: /v1/regions\n'));
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  // The router is ready when it can answer; what it knows of the cells is told, and asked for by `?cell=`, theirs to say.
  app.get('/readyz', async (c) =>
    c.req.query('cell') === undefined
      ? c.json(await readiness(deps))
      : pass(deps, c.req.raw, baseOf(deps, c.req.query('cell') ?? null), c.env),
  );
  app.get('/v1/regions', (c) => c.json(regions(deps)));
  app.all('*', (c) => {
    if (UNSENDABLE.has(c.req.method))
      throw new Fault('method_not_allowed', `${c.req.method} is not a method of this API.`);
    const { cell } = targetOf(new URL(c.req.url), c.req.raw.headers.get('authorization'));
    return pass(deps, c.req.raw, baseOf(deps, cell), c.env);
  });
  return app;
}
