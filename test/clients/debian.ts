import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ATTEMPTS = 3;
const INSTALL_MS = 240_000;

/** What a program ended with. */
export type Ended = { status: number; stdout: string; stderr: string };

/** Runs a program to its end, also when it fails; one that did not run at all throws. */
export async function runToEnd(file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  try {
    return { status: 0, ...(await run(file, [...args], { env, maxBuffer: 64 * 2 ** 20 })) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: number | string; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { status: code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}

async function again(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await run(file, args, { env: { ...process.env, ...env }, timeout: INSTALL_MS, maxBuffer: 64 * 2 ** 20 });
      return;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function missing(names: readonly string[]): Promise<string[]> {
  const states = await Promise.all(
    names.map((name) => runToEnd('/usr/bin/dpkg-query', ['-W', '-f', '${db:Status-Status}', name], {})),
  );
  return names.filter((_, i) => states[i]?.stdout !== 'installed');
}

/**
 * Installs what is missing of these Debian packages. Only root may; anyone else is told what to install, and the suite
 * fails: a suite that skips itself proves nothing.
 */
export async function installDebian(...names: string[]): Promise<void> {
  const wanted = await missing(names);
  if (wanted.length === 0) return;
  if (userInfo().uid !== 0) throw new Error(`this suite needs: sudo apt-get install ${wanted.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await again('apt-get', ['update', '-q'], env);
  await again('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...wanted], env);
}

/** A Python of its own, with these packages from PyPI; `remove` takes it away again. */
export async function openPython(...requirements: string[]): Promise<{ python: string; remove: () => void }> {
  await installDebian('python3', 'python3-venv');
  const dir = mkdtempSync(join(tmpdir(), 'python-'));
  const python = join(dir, 'bin/python');
  await again('/usr/bin/python3', ['-m', 'venv', '--clear', dir], {});
  await again(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...requirements], {});
  return { python, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
