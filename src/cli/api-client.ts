import { randomUUID } from 'node:crypto';
import { Agent, fetch, type Response } from 'undici';
import type { z } from 'zod';
import type { OPERATIONS } from '../contract/openapi.ts';
import type { Clock } from '../core/clock.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Failure, failureOf, type Problem, usageError } from './failure.ts';

type Route = (typeof OPERATIONS)[number];
type Routes = { [R in Route as `${Uppercase<R['method']>} ${R['path']}`]: R };
/** An operation of the contract by its method and path: `GET /v1/tenant`. Types only: no schema is loaded. */
export type Operation = keyof Routes;

type JsonOf<R> = R extends { content: { 'application/json': { schema: infer S extends z.ZodType } } }
  ? z.output<S>
  : never;
type ResponsesOf<O extends Operation> = Routes[O]['responses'];
/** What an operation answers with on success. */
export type Answer<O extends Operation> = JsonOf<ResponsesOf<O>[keyof ResponsesOf<O> & (200 | 201 | 202)]>;
type BodyOf<O extends Operation> = Routes[O] extends {
  request: { body: { content: { 'application/json': { schema: infer S extends z.ZodType } } } };
}
  ? z.input<S>
  : undefined;
export type QueryOf<O extends Operation> = Routes[O] extends { request: { query: infer Q extends z.ZodType } }
  ? Partial<Record<keyof z.output<Q>, string | number | undefined>>
  : undefined;

export type Request<O extends Operation> = {
  params?: Record<string, string>;
  query?: QueryOf<O>;
  body?: BodyOf<O>;
};

export type ApiOptions = {
  url: string;
  apiKey: string | null;
  /** Certificate authorities (PEM) in place of the public ones. */
  ca: string | null;
  clock: Clock;
  signal: AbortSignal;
};

const ATTEMPTS = 3;
const RETRY_DELAY_MS = 300;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * The address of the service.
 *
 * @throws Failure unless it is HTTPS, or plain HTTP to this very machine: a key must not cross a network in the clear
 */
export function serviceUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) throw usageError(`${text} is no http(s) address`);
  if (url.username || url.password) throw usageError('The address must not carry a user or password');
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
    throw usageError(
      `Plain HTTP to ${url.hostname} would show your API key to the network`,
      'Use an https:// address.',
    );
  }
  return url;
}

function unreachable(url: URL, error: unknown): Failure {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const tls = /CERT|SELF_SIGNED|ISSUER|ERR_TLS/.test(code);
  return new Failure(EXIT.unreachable, `${url.origin} cannot be reached`, {
    detail: [cause instanceof Error ? cause.message : '', code && `(${code})`].filter(Boolean).join(' '),
    next: tls
      ? 'Name the certificate authority of the service with --ca-file.'
      : 'Check the address with --url, and that the service is running.',
    transient: !tls && code !== 'ECONNREFUSED' && code !== 'ENOTFOUND',
  });
}

async function refusal(response: Response): Promise<Failure> {
  const requestId = response.headers.get('x-request-id') ?? undefined;
  const text = await response.text();
  if (response.headers.get('content-type')?.startsWith('application/problem+json')) {
    const problem = JSON.parse(text) as Problem;
    return failureOf(problem, requestId ?? /req_\w+/.exec(problem.instance)?.[0]);
  }
  return new Failure(exitCodeOf(response.status), 'The answer is not from Domicile', {
    status: response.status,
    requestId,
    next: 'Check the address with --url.',
  });
}

function headersOf(apiKey: string | null, accept: string): Record<string, string> {
  return { accept, 'user-agent': 'domicile-cli', ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) };
}

/** The API with one key. Certificates are always checked; redirects are never followed: they would take the key along. */
export function createApi({ url: base, apiKey, ca, clock, signal }: ApiOptions) {
  const root = serviceUrl(base);
  const dispatcher = new Agent({ connect: { rejectUnauthorized: true, ...(ca === null ? {} : { ca }) } });

  async function send(path: string, init: { method: string; headers: Record<string, string>; body?: string }) {
    const url = new URL(`${root.pathname.replace(/\/$/, '')}${path}`, root);
    let response: Response;
    try {
      response = await fetch(url, { ...init, dispatcher, signal, redirect: 'manual' });
    } catch (error) {
      if (signal.aborted) throw error;
      throw unreachable(url, error);
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }

  /** What may be repeated without harm is, when the failure is of the passing kind. */
  async function sendAgain(...request: Parameters<typeof send>): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await send(...request);
      } catch (error) {
        if (!(error instanceof Failure) || !error.parts.transient || attempt === ATTEMPTS) throw error;
        await clock.sleep(RETRY_DELAY_MS * 2 ** attempt, signal);
      }
    }
  }

  function pathOf(operation: Operation, params: Record<string, string> = {}, query: object = {}): string {
    const path = operation
      .slice(operation.indexOf(' ') + 1)
      .replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
    const search = new URLSearchParams(
      Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
    );
    return search.size > 0 ? `${path}?${search}` : path;
  }

  /** Calls an operation. Every POST carries an idempotency key of its own, so that a repeated one acts once. */
  async function call<O extends Operation>(operation: O, request: Request<O> = {}): Promise<Answer<O>> {
    const method = operation.slice(0, operation.indexOf(' '));
    const headers = headersOf(apiKey, 'application/json');
    if (method === 'POST') headers['idempotency-key'] = randomUUID();
    if (request.body !== undefined) headers['content-type'] = 'application/json';
    const response = await sendAgain(pathOf(operation, request.params, request.query), {
      method,
      headers,
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    const text = await response.text();
    return (text === '' ? undefined : JSON.parse(text)) as Answer<O>;
  }

  /** Opens a stream of server-sent events after `lastEventId`; not repeated here, because followers reconnect. */
  async function events(operation: Operation & `${string}/events`, id: string, lastEventId: string) {
    const headers = headersOf(apiKey, 'text/event-stream');
    if (lastEventId !== '') headers['last-event-id'] = lastEventId;
    const { body } = await send(pathOf(operation, { id }), { method: 'GET', headers });
    return body as AsyncIterable<Uint8Array>;
  }

  return { call, events, close: () => dispatcher.destroy() };
}

export type Api = ReturnType<typeof createApi>;
