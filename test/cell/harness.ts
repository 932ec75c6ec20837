import type { z } from '@hono/zod-openapi';
import { expect } from 'vitest';
import { OPERATIONS } from '../../src/contract/openapi.ts';
import { regionOf } from '../../regions/index.ts';
import { newApiKey } from '../../src/core/api-keys.ts';
import type { Clock } from '../../src/core/clock.ts';
import { createLogger } from '../../src/core/log.ts';
import { type ApiDeps, createApi } from '../../src/cell/api/app.ts';
import { secretHash } from '../../src/cell/credentials.ts';
import { putOperatorKey } from '../../src/cell/db/migrate.ts';
import type { CellJob } from '../../src/cell/queue.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

export const PEPPER = new Uint8Array(32).fill(7);
export const CONNECTOR_ROLE = 'arn:aws:iam::999999999999:role/domicile-eu-connector';
export const OTHER_URLS = { us: 'https://us.cell.test', eu: 'https://eu.cell.test', ca: 'https://ca.cell.test' };

/** A clock that stands still until a test moves it; sleeping moves nothing and takes a moment of real time. */
export function movableClock(start = new Date('2026-11-23T10:00:00.000Z')) {
  let now = start;
  const clock: Clock = { now: () => now, sleep: () => new Promise((done) => setTimeout(done, 5)) };
  return {
    ...clock,
    advance: (ms: number) => {
      now = new Date(now.getTime() + ms);
    },
  };
}

const CONTRACT = OPERATIONS.map(({ method, path, responses }) => ({
  method: method.toUpperCase(),
  pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  responses: responses as Record<string, { content?: Record<string, { schema: z.ZodType }> }>,
}));

/** Every answer that a test sees keeps to the contract: the promised status, and no field more or less. */
function holdToContract(method: string, path: string, { status, json }: Pick<Answer, 'status' | 'json'>): void {
  const operation = CONTRACT.find((one) => one.method === method && one.pattern.test(path.split('?')[0] ?? ''));
  if (!operation) return;
  const promised = operation.responses[status] ?? (status >= 400 ? operation.responses['default'] : undefined);
  expect(promised, `${method} ${path} may not answer ${status}`).toBeDefined();
  const schema = Object.values(promised?.content ?? {})[0]?.schema;
  if (schema && json !== null) expect(schema.parse(json), `${method} ${path}`).toEqual(json);
}

export type Call = {
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  raw?: string | Uint8Array | ReadableStream<Uint8Array>;
  headers?: Record<string, string>;
};
export type Answer = { status: number; headers: Headers; text: string; json: Json };
// What a test reads of an answer is checked by its own assertions.
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

/** An API on a database of its own, with an operator, and a queue that records. */
export async function startCell(change: Partial<ApiDeps> = {}, maxConnections = 5) {
  const database: TestDatabase = await testDatabase({ maxConnections });
  const region = regionOf('eu');
  if (!region) throw new Error('no eu');
  const clock = movableClock();
  const enqueued: CellJob[] = [];
  const logged: string[] = [];
  const operator = newApiKey('ok', 'eu');
  const hash = secretHash(PEPPER, operator.parts.secret);
  await putOperatorKey(database.ownerUrl, { keyId: operator.parts.id, secretHash: hash, name: 'operator' });
  const certificate = {
    subject: 'CN=localhost',
    serialNumber: '01',
    sha256: 'ab'.repeat(32),
    notBefore: '2026-11-01T00:00:00.000Z',
    notAfter: '2027-11-01T00:00:00.000Z',
  };
  const deps: ApiDeps = {
    region,
    cellUrl: OTHER_URLS.eu,
    db: database.api,
    enqueue: async (_tx, job) => void enqueued.push(job),
    clock,
    log: createLogger({ level: 'debug', write: (line) => void logged.push(line), clock }),
    pepper: PEPPER,
    connectorRoleArn: CONNECTOR_ROLE,
    templateBaseUrl: 'https://templates.test',
    routerKeys: [],
    authorities: ['localhost'],
    certificates: { current: () => certificate, rotate: async () => ({ ...certificate, serialNumber: '02' }) },
    readiness: async () => ({ database: 'ok' }),
    cellUrls: OTHER_URLS,
    eventPollMs: 5,
    ...change,
  };
  const app = createApi(deps);

  const as = (key: string | null) =>
    async function call(method: string, path: string, { body, raw, headers = {} }: Call = {}): Promise<Answer> {
      const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const response = await app.request(path, {
        method,
        headers: {
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
          ...(content === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(content === undefined ? {} : { body: content, duplex: 'half' }),
      } as RequestInit);
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json') === true;
      const answer = {
        status: response.status,
        headers: response.headers,
        text,
        json: isJson ? JSON.parse(text) : null,
      };
      holdToContract(method, path, answer);
      return answer;
    };
  const asOperator = as(operator.key);

  return {
    app,
    database,
    clock,
    enqueued,
    logged,
    operator: asOperator,
    operatorKey: operator.key,
    anonymous: as(null),
    as,
    async newTenant(name = 'Acme') {
      const { json } = await asOperator('POST', '/v1/tenants', { body: { name } });
      return { tenantId: String(json.tenantId), apiKey: String(json.apiKey), call: as(json.apiKey) };
    },
    close: () => database.close(),
  };
}

export type Cell = Awaited<ReturnType<typeof startCell>>;
export type Tenant = Awaited<ReturnType<Cell['newTenant']>>;
