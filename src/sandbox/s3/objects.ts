import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFiles } from './object-files.ts';

export type Retention = { mode: 'GOVERNANCE' | 'COMPLIANCE'; until: string };

/** One version of an object, or a delete marker. In a bucket without versions its id is `null`, as S3 calls it. */
export type StoredObject = {
  key: string;
  versionId: string;
  deleteMarker: boolean;
  sizeBytes: number;
  etag: string;
  /** Those of the whole object, by header; none for one that came in parts. */
  checksums: Record<string, string>;
  modifiedAt: string;
  headers: Record<string, string>;
  retention: Retention | null;
  legalHold: boolean;
  /** Name of the file with its bytes. */
  file: string;
};

export type Part = { number: number; etag: string; sizeBytes: number; modifiedAt: string; file: string };
export type Upload = Pick<StoredObject, 'key' | 'headers' | 'retention' | 'legalHold'> & {
  uploadId: string;
  initiatedAt: string;
  parts: Part[];
};

/** What the sandbox acts on of a lifecycle rule; `xml` is given back as it came. */
export type LifecycleRule = {
  xml: string;
  enabled: boolean;
  prefix: string;
  expirationDays: number | null;
  noncurrentDays: number | null;
  newerVersions: number;
  /** Delete markers with nothing behind them go. */
  expiredMarkers: boolean;
  abortDays: number | null;
};

export type Bucket = {
  name: string;
  accountId: string;
  awsRegion: string;
  createdAt: string;
  policy: string | null;
  versioning: 'Enabled' | 'Suspended' | null;
  /** The key that objects are encrypted under when a request names none; null: S3's own. */
  defaultKey: string | null;
  publicAccessBlock: string | null;
  objectLock: { mode: Retention['mode']; days: number } | 'enabled' | null;
  lifecycle: LifecycleRule[];
  /** When the lifecycle was last acted on. */
  tidiedAt: string;
  /** Versions of each key, the newest first. */
  objects: Map<string, StoredObject[]>;
  uploads: Map<string, Upload>;
};
type StoredBucket = Omit<Bucket, 'objects' | 'uploads'> & { objects: StoredObject[]; uploads?: Upload[] };

/** What a bucket has when nothing was set. */
export const PLAIN_BUCKET = {
  policy: null,
  versioning: null,
  defaultKey: null,
  publicAccessBlock: null,
  objectLock: null,
  lifecycle: [],
  tidiedAt: '',
} satisfies Partial<Bucket>;

/** What objects of a state that an earlier version wrote do not have. */
const earlier = (bucket: StoredBucket, { key }: StoredObject) => ({
  versionId: 'null',
  checksums: {},
  deleteMarker: false,
  retention: null,
  legalHold: false,
  file: createHash('sha256').update(`${bucket.name}/${key}`).digest('hex'),
});

function restored(stored: StoredBucket): Bucket {
  const objects = new Map<string, StoredObject[]>();
  for (const item of stored.objects) {
    const object = { ...earlier(stored, item), ...item };
    const versions = objects.get(object.key);
    if (versions) versions.push(object);
    else objects.set(object.key, [object]);
  }
  const uploads = new Map((stored.uploads ?? []).map((upload) => [upload.uploadId, upload]));
  return { ...PLAIN_BUCKET, ...stored, objects, uploads };
}

/** The object that a plain GET finds. */
export function currentOf(bucket: Bucket, key: string): StoredObject | undefined {
  const [newest] = bucket.objects.get(key) ?? [];
  return newest?.deleteMarker === true ? undefined : newest;
}

export const newVersionId = () => randomBytes(24).toString('base64url');

const deleteMarker = (key: string, versionId: string, modifiedAt: string): StoredObject => ({
  key,
  versionId,
  deleteMarker: true,
  sizeBytes: 0,
  etag: '',
  checksums: {},
  modifiedAt,
  headers: {},
  retention: null,
  legalHold: false,
  file: '',
});

/** Buckets and what they hold: the bytes in files, the list of them in one file that is replaced as a whole. */
export function openObjects(dir: string) {
  const files = openFiles(join(dir, 'data'));
  const file = join(dir, 'buckets.json');
  const stored: StoredBucket[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  const buckets = new Map<string, Bucket>(stored.map((bucket) => [bucket.name, restored(bucket)]));
  let dirty = false;
  const changed = () => {
    dirty = true;
  };

  /** Lists a version as its key's newest. Without versions (any more) it takes the place of the one called `null`. */
  function list(bucket: Bucket, object: StoredObject): StoredObject | undefined {
    const versions = bucket.objects.get(object.key) ?? [];
    const replaced = object.versionId === 'null' ? versions.find((it) => it.versionId === 'null') : undefined;
    bucket.objects.set(object.key, [object, ...versions.filter((it) => it !== replaced)]);
    changed();
    return replaced;
  }

  return {
    buckets,
    changed,
    files,
    /**
     * Makes a stored file an object. `check` throws when the object may not be written; nothing comes between it and the
     * object's appearance, so that of two conditional writes at once only one succeeds.
     */
    async publish(bucket: Bucket, object: StoredObject, check: () => void): Promise<void> {
      let replaced: StoredObject | undefined;
      try {
        check();
        replaced = list(bucket, object);
      } catch (error) {
        await files.drop(object.file);
        throw error;
      }
      if (replaced) await files.drop(replaced.file);
    },
    /** Deletes a version for good. */
    async removeVersion(bucket: Bucket, object: StoredObject): Promise<void> {
      const left = (bucket.objects.get(object.key) ?? []).filter((it) => it !== object);
      if (left.length > 0) bucket.objects.set(object.key, left);
      else bucket.objects.delete(object.key);
      changed();
      await files.drop(object.file);
    },
    /** Deletes without naming a version: a delete marker where there are versions, else the object itself. */
    async remove(bucket: Bucket, key: string, now: string): Promise<StoredObject | null> {
      if (bucket.versioning === null) {
        const [only] = bucket.objects.get(key) ?? [];
        if (only) await this.removeVersion(bucket, only);
        return null;
      }
      const marker = deleteMarker(key, bucket.versioning === 'Enabled' ? newVersionId() : 'null', now);
      const replaced = list(bucket, marker);
      if (replaced) await files.drop(replaced.file);
      return marker;
    },
    async removeUpload(bucket: Bucket, upload: Upload): Promise<void> {
      bucket.uploads.delete(upload.uploadId);
      changed();
      for (const part of upload.parts) await files.drop(part.file);
    },
    async save(): Promise<void> {
      if (!dirty) return;
      dirty = false;
      const text = JSON.stringify(
        [...buckets.values()].map((bucket) => ({
          ...bucket,
          objects: [...bucket.objects.values()].flat(),
          uploads: [...bucket.uploads.values()],
        })),
      );
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}

export type Objects = ReturnType<typeof openObjects>;
