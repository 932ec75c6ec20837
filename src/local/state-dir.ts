import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { EXIT, Exit } from './exit-codes.ts';

/** What a first start needs: the disks of three cells, their copies in the vault, a restored set, and the database. */
const FREE_BYTES_MIN = 8 * 2 ** 30;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function holder(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isInteger(pid) && pid > 0 && isAlive(pid) ? pid : null;
  } catch {
    return null;
  }
}

/**
 * Takes the folder for this process alone.
 *
 * @throws Exit 73 naming the process that has it
 */
export function lockStateDir(dir: string): () => void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, 'lock');
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const file = openSync(path, 'wx', 0o600);
      writeSync(file, `${process.pid}\n`);
      closeSync(file);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      const pid = holder(path);
      if (pid !== null)
        throw new Exit(
          EXIT.alreadyRunning,
          `Domicile already runs here as process ${pid}. Stop it with: kill -INT ${pid}`,
        );
      rmSync(path, { force: true }); // left behind by a process that was killed
    }
  }
  throw new Exit(EXIT.alreadyRunning, 'Domicile is being started here by another process.');
}

/** Says at once, not after ten minutes, that the disk is too small. */
export function checkFreeSpace(dir: string, neededBytes = FREE_BYTES_MIN): void {
  const { bavail, bsize } = statfsSync(dir);
  const free = bavail * bsize;
  if (free >= neededBytes) return;
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
  throw new Exit(EXIT.noSpace, `Too little disk: ${gib(free)} GiB free, ${gib(neededBytes)} GiB needed in ${dir}.`);
}

/** Reads a JSON file of ours, or null when it is not there. */
export function readJson<T>(path: string): T | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Writes a file so that a reader sees the old or the new one, never half, and no one else sees either. */
export function writePrivate(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
