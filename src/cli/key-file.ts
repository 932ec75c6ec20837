import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { usageError } from './failure.ts';

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch {
    throw usageError(`${file} exists already or cannot be written`, 'Name another file with --key-file.');
  }
}

/**
 * Makes a new key; with a file, the key goes there (mode 0600) and leaves the answer. The file is made first, so that no
 * key is made that cannot be kept.
 *
 * @throws Failure when the file exists or cannot be made
 */
export async function keepKey<T extends { apiKey: string }>(
  file: string | undefined,
  make: () => Promise<T>,
): Promise<Omit<T, 'apiKey'> & { apiKey?: string }> {
  if (file === undefined) return make();
  const handle = openNew(file);
  try {
    const { apiKey, ...rest } = await make();
    writeSync(handle, `${apiKey}\n`);
    return rest;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
}
