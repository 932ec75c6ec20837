import { execFile } from 'node:child_process';
import { access, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = join(homedir(), '.cache', 'domicile-bench');
const RESTIC = 'github.com/restic/restic';
const RESTIC_VERSION = 'v0.18.1';

/** Megabytes (10⁶) of volume per second of wall time, and the repository's bytes after the first backup. */
export type Peer = { version: string; backup: number; incremental: number; restore: number; storedBytes: number };
/** `live` is where the image stands: both generations are read from this one path, as a disk would be. */
export type PeerImages = { dir: string; live: string; volumeBytes: number; swap: (generation: 0 | 1) => Promise<void> };

type Commands = {
  version: readonly string[];
  init: readonly string[];
  backup: (name: string) => readonly string[];
  restore: readonly string[];
};

/** `go install` also asks for the list of all versions, which some module proxies do not give: a requirement does not. */
async function installRestic(): Promise<void> {
  const cwd = join(CACHE, 'restic-build');
  await mkdir(cwd, { recursive: true });
  await writeFile(join(cwd, 'go.mod'), `module bench\n\ngo 1.24\n\nrequire ${RESTIC} ${RESTIC_VERSION}\n`);
  await writeFile(join(cwd, 'tools.go'), `package tools\n\nimport _ "${RESTIC}/cmd/restic"\n`);
  const env = { ...process.env, GOFLAGS: '-mod=mod' };
  await run('go', ['build', '-o', join(CACHE, 'restic'), `${RESTIC}/cmd/restic`], { cwd, env });
}

/** Installs restic (with a Go toolchain) and borg (with Python) into the cache directory. */
export async function installPeers(): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  await installRestic();
  await run('python3', ['-m', 'venv', join(CACHE, 'borg')]);
  await run(join(CACHE, 'borg', 'bin', 'pip'), ['install', 'borgbackup>=1.4,<2']);
}

async function find(name: string, cached: string): Promise<string | null> {
  const places = [cached, ...(process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, name))];
  for (const place of places) {
    const found = await access(place).then(
      () => true,
      () => false,
    );
    if (found) return place;
  }
  return null;
}

async function sizeOf(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function measure(binary: string, commands: Commands, images: PeerImages, repo: string): Promise<Peer> {
  const out = join(images.dir, 'peer-out');
  await mkdir(out, { recursive: true });
  const env = {
    ...process.env,
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(images.dir, 'restic-cache'),
    BORG_PASSPHRASE: 'bench',
    BORG_BASE_DIR: join(images.dir, 'borg-home'),
  };
  const call = (args: readonly string[]) => run(binary, [...args], { env, cwd: out, maxBuffer: 2 ** 24 });
  const speed = async (args: readonly string[]) => {
    const from = performance.now();
    await call(args);
    return images.volumeBytes / 1_000 / (performance.now() - from);
  };
  const version = /\d+\.\d+\.\d+/.exec((await call(commands.version)).stdout)?.[0] ?? '';
  await call(commands.init);
  await images.swap(0);
  const backup = await speed(commands.backup('one'));
  const storedBytes = await sizeOf(repo);
  await images.swap(1);
  const incremental = await speed(commands.backup('two'));
  const restore = await speed(commands.restore);
  await Promise.all([rm(out, { recursive: true }), rm(repo, { recursive: true })]);
  return { version, backup, incremental, restore, storedBytes };
}

/** restic with its defaults, or null when it is not installed. */
export async function measureRestic(images: PeerImages): Promise<Peer | null> {
  const binary = await find('restic', join(CACHE, 'restic'));
  if (!binary) return null;
  const repo = join(images.dir, 'restic');
  const at = ['--repo', repo, '--quiet'];
  const commands: Commands = {
    version: ['version'],
    init: [...at, 'init'],
    backup: () => [...at, 'backup', images.live],
    restore: [...at, 'restore', 'latest', '--target', '.'],
  };
  return measure(binary, commands, images, repo);
}

/** borg with zstd,1 and fixed chunks of one EBS block, or null when it is not installed. */
export async function measureBorg(images: PeerImages): Promise<Peer | null> {
  const binary = await find('borg', join(CACHE, 'borg', 'bin', 'borg'));
  if (!binary) return null;
  const repo = join(images.dir, 'borg');
  const create = ['create', '--compression', 'zstd,1', '--chunker-params', 'fixed,524288'];
  const commands: Commands = {
    version: ['--version'],
    init: ['init', '--encryption', 'repokey-blake2', repo],
    backup: (name) => [...create, `${repo}::${name}`, images.live],
    restore: ['extract', `${repo}::two`],
  };
  return measure(binary, commands, images, repo);
}
