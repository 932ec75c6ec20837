import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Hono } from 'hono';
import { openApiDocument } from '../../contract/openapi.ts';
import { Fault, FAULTS } from '../../core/faults.ts';
import type { ApiEnv } from './env.ts';
import { apiModel } from './reference-model.ts';
import { referencePage } from './reference.ts';

const PAGES = new URL('../../../docs/problems/', import.meta.url);
/** The documents change with a release only; an hour keeps them fresh enough after one. */
const CACHE = 'public, max-age=3600';

function problemPage(code: string): string {
  if (!Object.hasOwn(FAULTS, code)) throw new Fault('not_found', 'There is no such problem.');
  return readFileSync(new URL(`${code}.md`, PAGES), 'utf8');
}

/** What the API says about itself: the OpenAPI document, a reference for people, a page for each problem. */
export function documentRoutes(app: Hono<ApiEnv>, { cellUrl }: { cellUrl: string }): void {
  const document = openApiDocument();
  const text = JSON.stringify(document);
  const model = apiModel(document, cellUrl);
  app.get('/openapi.json', (c) =>
    c.body(text, 200, {
      'content-type': 'application/json',
      'cache-control': CACHE,
      'access-control-allow-origin': '*',
    }),
  );
  app.get('/reference', (c) => {
    const nonce = randomBytes(16).toString('base64');
    const policy = `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
    c.header('content-security-policy', policy);
    c.header('cache-control', 'no-store'); // the nonce is for one answer
    return c.html(referencePage(model, nonce));
  });
  app.get('/problems/:code', (c) => c.text(problemPage(c.req.param('code')), 200, { 'cache-control': CACHE }));
}
