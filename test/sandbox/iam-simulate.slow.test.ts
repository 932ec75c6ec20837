import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ELEMENT_CASES } from './iam-cases-elements.ts';
import { KIND_CASES } from './iam-cases-kinds.ts';
import { PRODUCT_CASES } from './iam-cases-product.ts';
import { TRUST_CASES } from './iam-cases-trust.ts';
import { type Case, differences, judgedByThem, type Simulator } from './iam-judges.ts';

/** AGPL: installed here, in a folder of its own, and never a dependency of the product. */
const PACKAGE = '@cloud-copilot/iam-simulate';
const VERSION = '0.1.173';
const CASES: readonly Case[] = [...PRODUCT_CASES, ...TRUST_CASES, ...ELEMENT_CASES, ...KIND_CASES];
const run = promisify(execFile);

let dir: string;
let simulator: Simulator;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'iam-simulate-'));
  const npm = ['install', '--prefix', dir, '--no-audit', '--no-fund', '--ignore-scripts', `${PACKAGE}@${VERSION}`];
  await run('npm', npm, { cwd: dir, timeout: 100_000 }).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : 'unknown';
    throw new Error(`this suite needs ${PACKAGE} from an npm registry, which could not be reached: ${why}`);
  });
  const entry = createRequire(join(dir, 'package.json')).resolve(PACKAGE);
  simulator = (await import(pathToFileURL(entry).href)) as Simulator;
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const bySimulator = (it: Case) => judgedByThem(simulator, it);

describe(`the sandbox's IAM and ${PACKAGE}`, () => {
  test('give the same verdict on every row, which is the one that the table states', async () => {
    expect(CASES.length).toBeGreaterThanOrEqual(80);
    expect(CASES.filter(({ allowed }) => allowed).length).toBeGreaterThan(80);
    expect(CASES.filter(({ allowed }) => !allowed).length).toBeGreaterThan(80);
    expect(await differences(CASES, bySimulator)).toEqual([]);
  });

  test('every row is another question', () => {
    const names = CASES.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
});

describe('the comparison', () => {
  test('finds a row whose verdict is wrong, wherever it stands', async () => {
    for (const at of [0, CASES.length >> 1, CASES.length - 1]) {
      const planted = CASES.map((it, i) => (i === at ? { ...it, allowed: !it.allowed } : it));
      const found = await differences(planted, bySimulator);
      expect(found.map(({ name }) => name)).toEqual([CASES[at]?.name]);
    }
  });

  test('finds a judge that is of another mind on one row', async () => {
    const odd = CASES[7];
    const judge = async (it: Case) => (await bySimulator(it)) !== (it === odd);
    expect((await differences(CASES, judge)).map(({ name }) => name)).toEqual([odd?.name]);
  });

  test('takes a row that the other judge cannot read for a difference', async () => {
    const unreadable: Case = { name: 'odd', allowed: false, action: 's3:NoSuchAction', resource: '*', identity: [] };
    expect(await differences([unreadable], bySimulator)).toMatchObject([{ name: 'odd', ours: false }]);
  });
});
