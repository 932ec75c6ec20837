import { access, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openDirectoryStore } from '../../src/cli/vault/directory-store.ts';
import type { BlobStore } from '../../src/vault/ports.ts';

/** Objects as files: what is stored takes no memory of the process. */
export function openFiles(dir: string): BlobStore {
  return {
    ...openDirectoryStore(dir),
    async putNew(key, bytes) {
      const path = join(dir, key);
      await mkdir(dirname(path), { recursive: true });
      const exists = await access(path).then(
        () => true,
        () => false,
      );
      if (exists) return 'exists';
      await writeFile(path, bytes, { flag: 'wx' });
      return 'created';
    },
  };
}
