import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { z } from 'zod';
import { problemSchema } from '../../src/contract/common.ts';
import { backupJobSchema, progress } from '../../src/contract/jobs.ts';
import { restoreJobSchema } from '../../src/contract/restore-jobs.ts';
import { OPERATIONS, type OperationId } from '../../src/contract/openapi.ts';
import { PROBLEMS } from '../../src/contract/problems.ts';
import type { FaultCode } from '../../src/core/faults.ts';

export type Call = {
  operationId: OperationId;
  params: Record<string, string>;
  query: Record<string, string>;
  body: unknown;
  headers: IncomingMessage['headers'];
};
type Reply = { status: number; body?: unknown; type?: string; headers?: Record<string, string> };
/** Answers one operation; a function that takes the response itself writes it (event streams). */
export type Handler = (call: Call, response: ServerResponse) => Reply | Promise<void>;
export type Handlers = Partial<Record<OperationId, Handler>>;

type Spec = {
  operationId: OperationId;
  method: string;
  path: string;
  request?: { query?: z.ZodType; body?: { content: { 'application/json': { schema: z.ZodType } } } };
  responses: Record<string, { content?: Record<string, { schema: z.ZodType }> }>;
};

/** A problem as the API answers it. */
export function problem(code: FaultCode, detail: string, more: object = {}): Reply {
  const { status, title } = PROBLEMS[code];
  const instance = '/requests/req_eu_01k9wq3v7hr2m5c8d4x6z0abcd';
  const body = { type: `/problems/${code}`, title, status, detail, instance, code, retry: 'never', ...more };
  return { status, body: problemSchema.parse(body), type: 'application/problem+json' };
}

export const ok = (body: unknown, status = 200): Reply => ({ status, body });
export const page = (items: unknown[], nextCursor: string | null = null): Reply => ok({ items, nextCursor });

const eventSchemas: Record<string, z.ZodType> = { progress, state: backupJobSchema.or(restoreJobSchema) };

/** Writes server-sent events as the contract has them, then ends the response. */
export async function sendEvents(
  response: ServerResponse,
  events: readonly [string, string, unknown][],
): Promise<void> {
  for (const [, type, data] of events) eventSchemas[type]?.parse(data);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const [id, type, data] of events) response.write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  response.end();
}

function match(method: string, path: string): { spec: Spec; params: Record<string, string> } | null {
  for (const spec of OPERATIONS as unknown as readonly Spec[]) {
    const pattern = new RegExp(`^${spec.path.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
    const found = spec.method === method.toLowerCase() ? pattern.exec(path) : null;
    if (found) return { spec, params: { ...found.groups } };
  }
  return null;
}

/** What the contract says about this exchange, or an error: neither the CLI nor this server can drift from it. */
function checkRequest(spec: Spec, query: object, body: unknown): void {
  spec.request?.query?.parse(query);
  const schema = spec.request?.body?.content['application/json'].schema;
  if (schema) schema.parse(body);
  else if (body !== undefined) throw new Error(`${spec.operationId} takes no body`);
}

function checkReply(spec: Spec, { status, body, type }: Reply): void {
  if (type === 'application/problem+json' || (status >= 300 && status < 400)) return;
  const response = spec.responses[status];
  if (!response) throw new Error(`${spec.operationId} does not answer ${status}`);
  response.content?.['application/json']?.schema.parse(body);
}

/**
 * A server that speaks the contract. `drift` collects every request and answer that the contract does not allow: tests
 * end with it being empty.
 */
export async function startContractServer(handlers: Handlers, tls?: { cert: string; key: string }) {
  const calls: Call[] = [];
  const drift: string[] = [];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://server');
    const found = match(request.method ?? '', url.pathname);
    if (!found) throw new Error(`the contract has no ${request.method} ${url.pathname}`);
    const { spec, params } = found;
    const sent = await text(request);
    const query = Object.fromEntries(url.searchParams);
    const call = {
      operationId: spec.operationId,
      params,
      query,
      body: sent === '' ? undefined : JSON.parse(sent),
      headers: request.headers,
    };
    calls.push(call);
    checkRequest(spec, query, call.body);
    const handler = handlers[spec.operationId];
    if (!handler) throw new Error(`the test has no answer for ${spec.operationId}`);
    const reply = handler(call, response);
    if (reply instanceof Promise) return reply;
    checkReply(spec, reply);
    response.writeHead(reply.status, { 'content-type': reply.type ?? 'application/json', ...reply.headers });
    response.end(reply.body === undefined ? '' : JSON.stringify(reply.body));
  }

  const listener: RequestListener = (request, response) => {
    answer(request, response).catch((error: unknown) => {
      drift.push(String(error));
      response.writeHead(500).end();
    });
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    calls,
    drift,
    async close(): Promise<void> {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export type ContractServer = Awaited<ReturnType<typeof startContractServer>>;
