import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, renameSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const START_TIMEOUT_MS = 30_000;
const KILL_AFTER_MS = 3_000;
/** A log that reaches this size is started anew at the next start; one older file is kept. */
const LOG_BYTES_MAX = 20 * 2 ** 20;
const FOLLOW_PARENT = new URL('./follow-parent.ts', import.meta.url).href;
const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

export type ServiceProcess = { name: string; pid: number; exited: Promise<number | null>; stop(): Promise<void> };

function rotateLog(path: string): void {
  try {
    if (statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  } catch {
    // no log yet
  }
}

/** Resolves with the first line of standard output, which every service prints when it listens; the rest is logged. */
function firstLine(child: ChildProcess, name: string, logFile: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${name} ${why}; see ${logFile}`));
    const timer = setTimeout(() => fail(`did not start within ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      fail(`ended with ${signal ?? code}`);
    });
    if (!child.stdout) return fail('has no output');
    createInterface({ input: child.stdout }).once('line', (line) => {
      clearTimeout(timer);
      resolve(line);
    });
  });
}

/**
 * Starts one of our programs in a process group of its own (Ctrl-C reaches only the parent, which stops the services in
 * order) and waits until it listens.
 */
export async function startService(options: {
  name: string;
  program: string;
  args?: readonly string[];
  env?: Record<string, string>;
  logFile: string;
}): Promise<ServiceProcess & { line: string }> {
  rotateLog(options.logFile);
  const log = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 });
  const child = spawn(process.execPath, ['--import', FOLLOW_PARENT, options.program, ...(options.args ?? [])], {
    cwd: PROJECT,
    // Nothing of the caller's AWS configuration reaches a service of the sandbox.
    env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8', AWS_EC2_METADATA_DISABLED: 'true', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  child.stderr?.pipe(log);
  const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
  const line = await firstLine(child, options.name, options.logFile).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  child.stdout?.resume();
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await exited;
    clearTimeout(timer);
  };
  return { name: options.name, pid: child.pid ?? 0, exited, stop, line };
}

/** Runs a one-shot program of ours to its end. Throws when it fails. */
export async function runToEnd(options: {
  name: string;
  program: string;
  env: Record<string, string>;
  logFile: string;
}): Promise<void> {
  const log = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 });
  const child = spawn(process.execPath, [options.program], {
    cwd: PROJECT,
    env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8', ...options.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr?.pipe(log);
  const code = await new Promise<number | null>((done) => child.once('exit', done));
  if (code !== 0) throw new Error(`${options.name} ended with ${code}; see ${options.logFile}`);
}
