import { writeFileSync } from 'node:fs';
import { usageError } from './failure.ts';

/**
 * An answer that carries a new key: with a file, the key goes there (mode 0600) and leaves the answer. An existing file
 * is never overwritten.
 *
 * @throws Failure when the file cannot be made; the key was made all the same, so revoke it
 */
export function keptKey<T extends { apiKey: string }>(
  created: T,
  file: string | undefined,
): Omit<T, 'apiKey'> & { apiKey?: string } {
  if (file === undefined) return created;
  const { apiKey, ...rest } = created;
  try {
    writeFileSync(file, `${apiKey}\n`, { mode: 0o600, flag: 'wx' });
  } catch {
    throw usageError(`${file} exists already or cannot be written`, 'The new key is lost: revoke it and make another.');
  }
  return rest;
}
