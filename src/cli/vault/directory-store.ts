import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../../core/faults.ts';
import type { BlobStore } from '../../vault/ports.ts';
import { fileCodeOf, publishNew } from './files.ts';

/** Names of a vault's objects, and nothing that leaves the folder. */
const NAME = /^(?:[A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]+$/;
/** More than any object of a vault (docs/format.md): what is longer is not read. */
const OBJECT_BYTES_MAX = 256 * 2 ** 20;
/** What a file is called while it is written: no object's name ends so. */
const PARTIAL = '.partial';
const MISSING = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);

function storeFault(error: unknown, key: string): Fault {
  if (error instanceof Fault) return error;
  if (MISSING.has(fileCodeOf(error))) return new Fault('object_missing', `${key} is missing.`, { cause: error });
  return new Fault('store_unavailable', `${key} cannot be used.`, { cause: error });
}

async function readRange(file: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file.read(bytes, got, length - got, start + got);
    if (bytesRead === 0) break; // What is shorter than it should be is found by whoever asked.
    got += bytesRead;
  }
  return bytes.subarray(0, got);
}

/** Entries of a folder in the lexical order of what lies in them: `a-b` comes before all of `a/`. A folder ends with `/`. */
async function entriesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (MISSING.has(fileCodeOf(error))) return [];
    throw storeFault(error, folder);
  });
  return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted();
}

/** Creates a file, complete and durable or not at all. */
async function createFile(path: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(`${path}${PARTIAL}`, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await publishNew(`${path}${PARTIAL}`, path);
    return 'created';
  } catch (error) {
    if (fileCodeOf(error) !== 'EEXIST') throw error;
    await rm(`${path}${PARTIAL}`, { force: true });
    return 'exists';
  }
}

/**
 * A tenant's part of a bucket as files: the folder stands for the prefix. Objects are created once; nothing is deleted.
 *
 * @throws (each call) Fault `object_missing`, `store_unavailable`, `object_corrupt` for a name that no object of a vault has
 */
export function openDirectoryStore(base: string): BlobStore {
  const pathOf = (key: string): string => {
    if (!NAME.test(key))
      throw new Fault('object_corrupt', 'Something refers to an object by a name that none can have.');
    return join(base, key);
  };

  async function* walk(folder: string, prefix: string): AsyncGenerator<{ key: string; sizeBytes: number }> {
    for (const name of await entriesOf(join(base, folder))) {
      const key = `${folder}${name}`;
      if (name.endsWith('/')) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* walk(key, prefix);
      } else if (key.startsWith(prefix) && !name.endsWith(PARTIAL)) {
        yield { key, sizeBytes: (await stat(join(base, key))).size };
      }
    }
  }

  return {
    async putNew(key, bytes) {
      try {
        return await createFile(pathOf(key), bytes);
      } catch (error) {
        throw storeFault(error, key);
      }
    },
    async delete() {
      throw new Fault('forbidden', 'Nothing is deleted in a folder.');
    },
    async get(key, range) {
      try {
        const file = await open(pathOf(key));
        try {
          const { size } = await file.stat();
          const { start, length } = range ?? { start: 0, length: size };
          if (length > OBJECT_BYTES_MAX) throw new Fault('object_corrupt', `${key} is too long.`);
          return await readRange(file, start, Math.max(0, Math.min(length, size - start)));
        } finally {
          await file.close();
        }
      } catch (error) {
        throw storeFault(error, key);
      }
    },
    list: (prefix) => walk('', prefix),
    async *folders(prefix) {
      const at = prefix.lastIndexOf('/') + 1;
      const begin = prefix.slice(at);
      for (const name of await entriesOf(join(base, prefix.slice(0, at))))
        if (name.endsWith('/') && name.startsWith(begin)) yield name.slice(begin.length);
    },
  };
}

/** A store to be read: puts and deletes are refused, whatever the credentials could do. */
export function readOnly(store: BlobStore): BlobStore {
  const refuse = async (): Promise<never> => {
    throw new Fault('forbidden', 'A vault that was opened to be read is not changed.');
  };
  return { ...store, putNew: refuse, delete: refuse };
}
