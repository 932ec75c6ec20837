import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export type StoredObject = {
  key: string;
  sizeBytes: number;
  etag: string;
  sha256: string;
  modifiedAt: string;
  headers: Record<string, string>;
};
export type Bucket = {
  name: string;
  accountId: string;
  awsRegion: string;
  createdAt: string;
  policy: string | null;
  versioning: string | null;
  encryption: string | null;
  objects: Map<string, StoredObject>;
};
type StoredBucket = Omit<Bucket, 'objects'> & { objects: StoredObject[] };

/** Objects as files (named by the hash of their key, so that no key can leave the folder), their list in one file. */
export function openObjects(dir: string) {
  mkdirSync(join(dir, 'data'), { recursive: true, mode: 0o700 });
  const file = join(dir, 'buckets.json');
  const stored: StoredBucket[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  const buckets = new Map<string, Bucket>(
    stored.map((bucket) => [
      bucket.name,
      { ...bucket, objects: new Map(bucket.objects.map((object) => [object.key, object])) },
    ]),
  );
  let dirty = false;
  const pathOf = (bucket: Bucket, key: string) =>
    join(dir, 'data', createHash('sha256').update(`${bucket.name}/${key}`).digest('hex'));
  return {
    buckets,
    changed() {
      dirty = true;
    },
    /**
     * Writes the bytes, then lists the object: a crash between leaves a file that nothing names. `check` throws when the
     * object may not be written; nothing comes between it and the object's appearance, so that of two conditional
     * writes at once only one succeeds.
     */
    async write(bucket: Bucket, object: StoredObject, bytes: Buffer, check: () => void): Promise<void> {
      const path = pathOf(bucket, object.key);
      const temporary = `${path}.${randomUUID()}`;
      await writeFile(temporary, bytes, { mode: 0o600 });
      try {
        check();
        renameSync(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      bucket.objects.set(object.key, object);
      dirty = true;
    },
    async read(bucket: Bucket, key: string, range: { start: number; length: number } | null): Promise<Buffer> {
      if (range === null) return readFile(pathOf(bucket, key));
      const handle = await open(pathOf(bucket, key));
      try {
        const bytes = Buffer.alloc(range.length);
        await handle.read(bytes, 0, range.length, range.start);
        return bytes;
      } finally {
        await handle.close();
      }
    },
    async remove(bucket: Bucket, key: string): Promise<void> {
      bucket.objects.delete(key);
      dirty = true;
      await rm(pathOf(bucket, key), { force: true });
    },
    async save(): Promise<void> {
      if (!dirty) return;
      dirty = false;
      const text = JSON.stringify(
        [...buckets.values()].map((bucket) => ({ ...bucket, objects: [...bucket.objects.values()] })),
      );
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}

export type Objects = ReturnType<typeof openObjects>;
