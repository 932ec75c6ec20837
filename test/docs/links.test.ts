import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { describe, expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { systemClock } from '../../src/core/clock.ts';
import { violations } from '../tidy/rules.ts';
import { brokenLinks, commandsOf, type Page, tableBelow, unknownFiles } from './markdown.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const pages: Page[] = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).map((path) => ({ path, text: read(path) }));
const files = globSync(['src/**/*.ts', 'regions/*.ts', 'test/**/*.ts', '*.ts'], { cwd: ROOT });
const exists = (path: string) => existsSync(join(ROOT, path));

function pageOf(path: string): Page {
  const page = pages.find((candidate) => candidate.path === path);
  if (!page) throw new Error(`there is no ${path}`);
  return page;
}

describe('links and names in the documents', () => {
  test('every link leads to a file and a heading that are there', () => {
    expect(pages.length).toBeGreaterThan(10);
    expect(pages.flatMap((page) => brokenLinks(page, pages, exists))).toEqual([]);
  });

  test.each(['[a](docs/none.md)', '[a](README.md#no-such-heading)', '[a](#nor-this)'])('%s is noticed', (text) => {
    const page = { path: 'x.md', text };
    const there = (path: string) => path === page.path || exists(path);
    expect(brokenLinks(page, [...pages, page], there)).toHaveLength(1);
  });

  test('every TypeScript file that is named exists', () => {
    expect(pages.flatMap((page) => unknownFiles(page, files))).toEqual([]);
    expect(unknownFiles({ path: 'x.md', text: 'see `router/gone.ts`' }, files)).toHaveLength(1);
  });
});

const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
const { program } = createProgram({
  terminal: { out() {}, hint() {}, draw() {}, interactive: false, columns: () => 80 },
  clock: systemClock,
  signal: new AbortController().signal,
  folder: ROOT,
  configPath: '',
  invocation: 'domicile',
  environment: {},
  readStdin: async () => '',
  askSecret: async () => null,
  setExitCode() {},
});

/** What is wrong with one command of the command line: an unknown word or option. Null when nothing is. */
function wrongCommand(words: readonly string[]): string | null {
  let command = program as unknown as CommandUnknownOpts;
  const rest = [...words];
  while (command.commands.length > 0) {
    const word = rest.shift();
    if (word?.startsWith('--')) return word === '--help' ? null : `${word} before a command`;
    const next = command.commands.find((child) => child.name() === word);
    if (!next) return `there is no command ${word}`;
    command = next;
  }
  const known = [...command.options, ...program.options].map((option) => option.long);
  const unknown = rest.filter((word) => word.startsWith('--') && word !== '--help' && !known.includes(word));
  return unknown.length > 0 ? `${command.name()} has no option ${unknown.join(', ')}` : null;
}

/** What is wrong with a line of a shell block, as far as it is ours. */
function wrongLine(line: string): string | null {
  const script = /\bnpm (?:run (?:--silent )?)?([a-z:]+)/.exec(line)?.[1];
  if (/\bnpm (?:run|start|test)\b/.test(line) && (script === undefined || !(script in scripts)))
    return `there is no script ${script}`;
  const called = /\bnpm exec domicile -- (.*)$/.exec(line)?.[1];
  return called === undefined ? null : wrongCommand(called.split(/\s+/));
}

describe('commands in the documents', () => {
  test('every one names a script or command that exists, with options it has', () => {
    const lines = pages.flatMap(commandsOf).filter((line) => /\bnpm /.test(line));
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.flatMap((line) => wrongLine(line) ?? [])).toEqual([]);
  });

  test.each([
    'npm run nothing',
    'npm exec domicile -- backups i-1',
    'npm exec domicile -- restore rp_eu_1 --to eu-west-1',
    'npm exec domicile -- jobs',
  ])('%s is noticed', (line) => {
    expect(wrongLine(line)).not.toBeNull();
  });
});

/** The field's words, as the project uses them everywhere. */
const WORDS = [
  'jurisdiction',
  'cell',
  'router',
  'tenant',
  'connection',
  'resource',
  'backup plan',
  'rule',
  'selection',
  'backup job',
  'restore job',
  'copy job',
  'recovery point',
  'vault',
  'block',
  'pack',
  'manifest',
  'lifecycle',
  'legal hold',
  'lock',
  'access token',
  'API key',
  'sealed',
  'region request',
  'attestation',
];

/** Folders that `from` may import, found out by trying: each pair is shown to the law as a file. */
function allowedFrom(from: string, folders: readonly string[]): string[] {
  const path = from === 'regions' ? 'regions/x.ts' : `src/${from}/x.ts`;
  return folders.filter((to) => {
    if (to === from) return false;
    const target = to === 'regions' ? 'regions/y.ts' : `src/${to}/y.ts`;
    const specifier = from === 'regions' ? `../${target}` : `../../${target}`;
    const found = violations([{ path, text: `import { y } from '${specifier}';` }]);
    return !found.some((violation) => violation.includes('may not import'));
  });
}

describe('docs/ARCHITECTURE.md', () => {
  const page = pageOf('docs/ARCHITECTURE.md');

  test('explains every word of the field, once', () => {
    const explained = tableBelow(page, '## Words').flatMap(([words = '']) => words.split(', '));
    for (const word of WORDS) expect(explained.filter((one) => one === word)).toEqual([word]);
  });

  test('its arrows are those that the house is held to', () => {
    const rows = tableBelow(page, '## The arrows');
    const folders = rows.map(([folder = '']) => folder);
    const source = globSync('src/*', { cwd: ROOT }).map((path) => path.slice('src/'.length));
    expect(folders.toSorted()).toEqual(['regions', ...source].toSorted());
    const written = rows.map(([folder, to = '']) => [folder, to === 'nothing' ? [] : to.split(', ').toSorted()]);
    expect(written).toEqual(folders.map((folder) => [folder, allowedFrom(folder, folders).toSorted()]));
  });
});

describe('docs/operating.md', () => {
  const page = pageOf('docs/operating.md');

  test.each(['src/cell/config.ts', 'src/cell/bootstrap.ts', 'src/router/config.ts'])(
    'explains every setting of %s',
    (path) => {
      const text = read(path);
      const settings = [...text.matchAll(/^ {2}([A-Z][A-Z_]+):|env\['([A-Z_]+)'\]|required\('([A-Z_]+)'\)/gm)];
      const names = settings.map((match) => match[1] ?? match[2] ?? match[3] ?? '');
      expect(names.length).toBeGreaterThan(4);
      expect(names.filter((name) => !page.text.includes(`\`${name}\``) && !page.text.includes(`\`${name}=`))).toEqual(
        [],
      );
    },
  );
});
