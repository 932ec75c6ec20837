import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { describe, expect, test } from 'vitest';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { createProgram } from '../../src/cli/program.ts';
import { systemClock } from '../../src/core/clock.ts';
import { newFolder, runCommand } from './command.ts';

const PAGE = fileURLToPath(new URL('../../docs/cli.md', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const START = '<!-- The rest is what --help prints; `vitest run test/cli/docs.test.ts -u` writes it. -->\n';

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

/** Every command that does something, with the words that call it. */
function leaves(command: CommandUnknownOpts, words: string): [string, CommandUnknownOpts][] {
  const named = command.commands.map((child): [string, CommandUnknownOpts] => [`${words} ${child.name()}`, child]);
  return named.flatMap(([name, child]) => (child.commands.length > 0 ? leaves(child, name) : [[name, child]]));
}

const commands = leaves(program as unknown as CommandUnknownOpts, 'domicile');

/** The help of a command without the options that all have: the page names those once. */
function helpOf(command: CommandUnknownOpts): string {
  return command
    .helpInformation()
    .replace(/\nGlobal Options:\n[\s\S]*$/, '')
    .trimEnd();
}

function reference(): string {
  return commands.map(([words, command]) => `\n### ${words}\n\n\`\`\`\n${helpOf(command)}\n\`\`\`\n`).join('');
}

describe('docs/cli.md', () => {
  const page = readFileSync(PAGE, 'utf8');

  test('shows the help of every command, word for word', async () => {
    expect(page).toContain(START);
    const written = page.slice(0, page.indexOf(START) + START.length);
    await expect(`${written}${reference()}`).toMatchFileSnapshot(PAGE);
  });

  test('names every exit code', () => {
    for (const code of Object.values(EXIT)) expect(page).toContain(`| ${code} |`);
  });

  test('the real --help is the one in the page', async () => {
    const { code, stdout } = await runCommand(['restore', '--help']);
    expect(code).toBe(0);
    const [, command] = commands.find(([words]) => words === 'domicile restore') ?? [];
    expect(command && stdout.startsWith(helpOf(command))).toBe(true);
  });

  test('the commands of the page work as written: npm exec from a checkout, without the network', async () => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: newFolder(), npm_config_registry: 'http://127.0.0.1:9/' };
    const { stdout } = await promisify(execFile)('npm', ['exec', 'domicile', '--', '--help'], { cwd: ROOT, env });
    expect(stdout).toContain('Usage: domicile');
  });
});
