import { join } from 'node:path';
import type { Context } from '../../src/cli/context.ts';
import { run } from '../../src/cli/run.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Result } from './command.ts';

/** Runs one command line in this process: as `main.ts` does, with its output kept. For tests of many small runs. */
export async function runHere(args: readonly string[], cwd: string, change: Partial<Context> = {}): Promise<Result> {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  let code = 0;
  await run(args, {
    terminal: {
      out: (line) => void stdout.push(`${line}\n`),
      hint: (line) => void stderr.push(`${line}\n`),
      draw: (line) => void stderr.push(line),
      interactive: false,
      columns: () => 120,
    },
    clock: systemClock,
    signal: new AbortController().signal,
    folder: cwd,
    configPath: join(cwd, 'config.json'),
    invocation: 'domicile',
    environment: {},
    readStdin: async () => '',
    askSecret: async () => null,
    setExitCode: (value) => {
      code = value;
    },
    ...change,
  });
  return { code, stdout: stdout.join(''), stderr: stderr.join('') };
}
