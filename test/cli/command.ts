import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Saves a third of every start: the tests start the program some eighty times. */
const COMPILE_CACHE = join(tmpdir(), 'domicile-cli-compile-cache');

export type Result = { code: number | null; stdout: string; stderr: string };
type Options = { env?: Record<string, string>; stdin?: string; cwd?: string };

/** A folder of this test's own. */
export const newFolder = () => mkdtempSync(join(tmpdir(), 'domicile-cli-'));

/** Starts the real program as a user's shell would, with nothing of this machine's environment but the path. */
export function startCommand(args: readonly string[], { env = {}, stdin = '', cwd }: Options = {}) {
  const home = env['HOME'] ?? newFolder();
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: cwd ?? home,
    env: { PATH: process.env['PATH'] ?? '', HOME: home, NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {}); // a command that reads no input may end before it is written
  child.stdin.end(stdin);
  const done = (async (): Promise<Result> => {
    const code = new Promise<number | null>((resolve) => child.on('close', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  })();
  return { child, done };
}

/** Runs the real program to its end. */
export function runCommand(args: readonly string[], options?: Options): Promise<Result> {
  return startCommand(args, options).done;
}
