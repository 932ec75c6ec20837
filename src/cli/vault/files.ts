import { existsSync } from 'node:fs';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** File systems without hard links say one of these. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Node's code of what went wrong with a file, such as `ENOENT`; else nothing. */
export const fileCodeOf = (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : '');

/** Makes names in a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Gives a file that is complete and durable another name, durably, and takes nobody's.
 *
 * @throws Node's own error: `EEXIST` when the name is taken
 */
export async function publishNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!NO_LINKS.has(fileCodeOf(error)) || existsSync(to)) throw error;
    await rename(from, to);
  }
  await syncFolder(dirname(to));
  await rm(from, { force: true });
}

/** The same, and whatever has the name is replaced. */
export async function publishOver(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncFolder(dirname(to));
}

/** Writes a small file in one step: a reader finds the old text or the new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
