import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATIONS, openApiDocument } from '../../src/contract/openapi.ts';
import { PROBLEMS } from '../../src/contract/problems.ts';
import type { Operation } from '../../src/cell/api/contract-types.ts';
import { apiModel } from '../../src/cell/api/reference-model.ts';
import { FAULTS } from '../../src/core/faults.ts';
import { type Cell, startCell } from './harness.ts';

const ROOT = new URL('../../', import.meta.url);
let cell: Cell;
let failing = false;
let ready: Record<string, string> = { database: 'ok' };
beforeAll(async () => {
  cell = await startCell({ readiness: () => (failing ? Promise.reject(new Error('no')) : Promise.resolve(ready)) });
});
afterAll(() => cell.close());

test('the committed OpenAPI document is what the contract says, and what a cell serves', async () => {
  const committed: unknown = JSON.parse(readFileSync(new URL('docs/openapi.json', ROOT), 'utf8'));
  const contract: unknown = JSON.parse(JSON.stringify(openApiDocument()));
  expect(committed, 'run: npm run openapi').toEqual(contract);
  expect((await cell.anonymous('GET', '/openapi.json')).json).toEqual(contract);
});

test('every operation of the contract is served', async () => {
  const routes = new Set(cell.app.routes.map(({ method, path }) => `${method} ${path}`));
  for (const { method, path } of OPERATIONS)
    expect(routes).toContain(`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`);
});

test('every fault has its row and its page, and every page its fault', async () => {
  const codes = Object.keys(FAULTS).toSorted();
  expect(Object.keys(PROBLEMS).toSorted()).toEqual(codes);
  const pages = readdirSync(new URL('docs/problems/', ROOT)).map((name) => name.replace(/\.md$/, ''));
  expect(pages.toSorted()).toEqual(codes);
});

test.each(Object.entries(PROBLEMS))('the page of %s says what the code means and what to do', async (code, row) => {
  const { status, text } = await cell.anonymous('GET', `/problems/${code}`);
  expect(status).toBe(200);
  const { retry, owner } = FAULTS[code as keyof typeof FAULTS];
  expect(text.startsWith(`# ${row.title}\n`)).toBe(true);
  expect(text.includes(`| \`${code}\` | ${row.status} | ${retry} | ${owner} |`)).toBe(true);
  expect(text).toMatch(/## What happened\n\n.+\n\n## What to do\n\n.+/);
});

test('no other file can be had by the name of a problem', async () => {
  for (const name of ['nope', '..%2f..%2fpackage', '__proto__', 'internal.md', '%2e%2e%2fopenapi'])
    expect((await cell.anonymous('GET', `/problems/${name}`)).status, name).toBe(404);
});

test('the reference shows every operation and problem, and loads nothing', async () => {
  const { status, text, headers } = await cell.anonymous('GET', '/reference');
  expect(status).toBe(200);
  for (const { operationId, path } of OPERATIONS) {
    expect(text.includes(`id="${operationId}"`), operationId).toBe(true);
    expect(text.includes(path)).toBe(true);
  }
  for (const code of Object.keys(PROBLEMS)) expect(text.includes(`href="/problems/${code}"`)).toBe(true);
  expect(/<script|<link|<img|<iframe|@import|url\(|\sstyle="|\son\w+="|\ssrc=/.exec(text)).toBeNull();
  const policy = headers.get('content-security-policy') ?? '';
  const nonce = /style-src 'nonce-([^']+)'/.exec(policy)?.[1] ?? 'none';
  expect(policy).toContain("default-src 'none'");
  expect(text.includes(`<style nonce="${nonce}">`)).toBe(true);
  const again = await cell.anonymous('GET', '/reference');
  expect(again.headers.get('content-security-policy')).not.toBe(policy);
  expect(text.includes('awsAccountId')).toBe(true);
  expect(text.includes('curl -X POST &quot;https://eu.cell.test/v1/connections&quot;')).toBe(true);
});

test('health, readiness and regions need no key', async () => {
  expect((await cell.anonymous('GET', '/healthz')).json).toEqual({ status: 'ok' });
  expect((await cell.anonymous('GET', '/readyz')).json).toEqual({ status: 'ok', checks: { database: 'ok' } });
  ready = { database: 'ok', vault: 'unreachable' };
  const not = await cell.anonymous('GET', '/readyz');
  expect([not.status, not.json.checks.vault]).toEqual([503, 'unreachable']);
  failing = true;
  expect((await cell.anonymous('GET', '/readyz')).json.status).toBe('unavailable');
  failing = false;
  const { json } = await cell.anonymous('GET', '/v1/regions');
  expect(json.items).toContainEqual({
    cell: 'eu',
    jurisdiction: 'EU',
    awsRegions: expect.arrayContaining(['eu-central-1']),
    url: 'https://eu.cell.test',
  });
  expect(JSON.stringify(json)).not.toMatch(/eu-west-2|eu-central-2/);
});

test('answers carry headers that keep browsers from guessing', async () => {
  const { headers } = await cell.anonymous('GET', '/healthz');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
  expect(headers.get('strict-transport-security')).toContain('max-age');
});

test('every example body of the reference is accepted by the contract', () => {
  const model = apiModel(JSON.parse(JSON.stringify(openApiDocument())), 'https://eu.cell.test');
  const examples = new Map(
    model.groups.flatMap(({ operations }) => operations).map(({ id, curl }) => [id, /-d '([\s\S]+)'$/.exec(curl)?.[1]]),
  );
  const withBody = OPERATIONS.filter((operation) => 'request' in operation && 'body' in operation.request);
  expect(withBody.length).toBeGreaterThan(6);
  for (const operation of withBody) {
    const schema = (operation as Operation).request?.body?.content['application/json'].schema;
    const result = schema?.safeParse(JSON.parse(examples.get(operation.operationId) ?? 'null'));
    expect(result?.success, `${operation.operationId}: ${result?.error?.message}`).toBe(true);
  }
});
