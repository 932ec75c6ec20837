import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of objects and parts, each in a file with a name of its own: no key can leave the folder. */
export function openFiles(dir: string) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return {
    /** Writes bytes to a new file; nothing names it yet, and a crash leaves it unnamed. */
    async store(bytes: Buffer): Promise<string> {
      const name = randomUUID();
      await writeFile(join(dir, name), bytes, { mode: 0o600 });
      return name;
    },
    /** One new file of the bytes of several, in order. */
    async join(names: readonly string[]): Promise<string> {
      const name = randomUUID();
      const handle = await open(join(dir, name), 'w', 0o600);
      try {
        for (const part of names) await handle.appendFile(await readFile(join(dir, part)));
      } finally {
        await handle.close();
      }
      return name;
    },
    async read(name: string, range: { start: number; length: number } | null): Promise<Buffer> {
      if (range === null) return readFile(join(dir, name));
      const handle = await open(join(dir, name));
      try {
        const bytes = Buffer.alloc(range.length);
        await handle.read(bytes, 0, range.length, range.start);
        return bytes;
      } finally {
        await handle.close();
      }
    },
    /** A delete marker has no file. */
    async drop(name: string): Promise<void> {
      if (name !== '') await rm(join(dir, name), { force: true });
    },
  };
}
