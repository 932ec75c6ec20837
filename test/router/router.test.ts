import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeRouter } from './router.suite.ts';

describeRouter('Node');

/** Every file and package that a file reaches through its imports, the file itself included. */
function importsOf(file: URL, seen = new Set<string>()): Set<string> {
  const name = file.href.slice(ROOT.href.length);
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const [statement, from = ''] of readFileSync(file, 'utf8').matchAll(/^(?:import|export)\b[^;=]*?'([^']+)';/gm)) {
    if (/^(import|export) type\b/.test(statement)) continue;
    if (from.startsWith('.')) importsOf(new URL(from, file), seen);
    else seen.add(from);
  }
  return seen;
}
const ROOT = new URL('../../', import.meta.url);

test('the worker carries core, regions, the table of problems and hono, and nothing else', () => {
  const reached = [...importsOf(new URL('src/router/worker.ts', ROOT))];
  const foreign = reached.filter(
    (name) => !/^(src\/(router|core)\/|regions\/|src\/contract\/problems\.ts$|hono$)/.test(name),
  );
  expect(foreign).toEqual([]);
  expect(reached).toEqual(
    expect.arrayContaining(['src/router/app.ts', 'src/contract/problems.ts', 'regions/eu.ts', 'hono']),
  );
});

test('on Node the router adds only its listener and its client', () => {
  const reached = [...importsOf(new URL('src/router/main.ts', ROOT))];
  const packages = reached.filter((name) => !name.includes('.ts'));
  expect(packages.toSorted()).toEqual(['@hono/node-server', 'hono', 'node:fs', 'undici']);
});
