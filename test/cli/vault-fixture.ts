import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DIR, type openRepository } from '../vault/repository.ts';
import { newFolder } from './command.ts';

/** SHA-256 of a whole file, holes included. */
export const sha256Of = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** A copy of a published fixture in a folder of this test's own. */
export function copyOf(repository: string): string {
  const folder = newFolder();
  cpSync(join(DIR, repository), folder, { recursive: true });
  return folder;
}

/** Puts a repository on disk, as it is after its changes. */
export function writeToDisk({ store, keys }: ReturnType<typeof openRepository>): string {
  const folder = newFolder();
  for (const [name, bytes] of store.objects) {
    const path = join(folder, 'objects', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  mkdirSync(join(folder, 'objects/v1'), { recursive: true });
  writeFileSync(join(folder, 'KEYS.json'), JSON.stringify(keys));
  return folder;
}
