import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandInput,
  type ListObjectVersionsCommandOutput,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Fault } from '../core/faults.ts';
import type { KeyObjectStore, ObjectVersion, VersionStore } from '../vault/key-store.ts';
import { awsErrorName } from './faults.ts';
import { asMissing, type StorePlace, storeFault } from './s3-store.ts';

const DELETE_BATCH = 1_000;
const CONFLICT_ATTEMPTS = 5;

/** What the versions that a listing shows have in common. */
type Shown = { Key?: string | undefined; VersionId?: string | undefined };

const versionOf = (prefix: string, deleteMarker: boolean) => (shown: Shown) => ({
  key: (shown.Key ?? '').slice(prefix.length),
  versionId: shown.VersionId ?? 'null', // What S3 calls the version of an object that was put without versioning.
  deleteMarker,
});

/** Versions and markers, in the order of keys. (There is no paginator for this call in the SDK.) */
async function* versionsOf(s3: S3Client, place: StorePlace, within: string): AsyncGenerator<ObjectVersion> {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix } = place;
  const asked = { Bucket, ExpectedBucketOwner, Prefix: `${prefix}${within}` };
  let from: Pick<ListObjectVersionsCommandInput, 'KeyMarker' | 'VersionIdMarker'> | null = {};
  while (from) {
    const page: ListObjectVersionsCommandOutput = await s3.send(new ListObjectVersionsCommand({ ...asked, ...from }));
    const { Versions = [], DeleteMarkers = [] } = page;
    const found = [...Versions.map(versionOf(prefix, false)), ...DeleteMarkers.map(versionOf(prefix, true))];
    yield* found.toSorted((a, b) => Number(a.key > b.key) - Number(a.key < b.key));
    from = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : null;
  }
}

/** An object, and the ETag that it has now. Throws Fault `object_missing`, and AWS's own errors. */
async function readObject(
  s3: S3Client,
  place: StorePlace,
  key: string,
): Promise<{ bytes: Uint8Array; version: string }> {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix } = place;
  const asked = { Bucket, ExpectedBucketOwner, Key: `${prefix}${key}`, ChecksumMode: 'ENABLED' } as const;
  const { Body, ETag } = await s3.send(new GetObjectCommand(asked)).catch(async (error: unknown) => {
    throw await asMissing(s3, place, key, error);
  });
  if (!Body || ETag === undefined) throw new Fault('store_unavailable', 'The bucket answered without an object.');
  return { bytes: await Body.transformToByteArray(), version: ETag };
}

/**
 * S3 as the place of one tenant's key objects, for who wraps them anew or destroys them. A replacing put names the ETag that it
 * replaces. Source: S3 user guide, "Conditional writes": 412 when it is another by now, 404 when the object is gone, 409 when
 * another put is under way.
 */
export function openKeyObjectStore(s3: S3Client, place: StorePlace): KeyObjectStore & VersionStore {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix, awsRegion } = place;
  const owned = { Bucket, ExpectedBucketOwner };
  async function ask<T>(doing: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw storeFault(error, doing, awsRegion);
    }
  }
  async function replace(key: string, bytes: Uint8Array, version: string): Promise<'replaced' | 'changed'> {
    const put = {
      ...owned,
      Key: `${prefix}${key}`,
      Body: bytes,
      IfMatch: version,
      ChecksumAlgorithm: 'SHA256',
    } as const;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await s3.send(new PutObjectCommand({ ...put, ContentType: 'application/octet-stream' }));
        return 'replaced';
      } catch (error) {
        const name = awsErrorName(error);
        if (name === 'PreconditionFailed' || name === 'NoSuchKey') return 'changed';
        if (name !== 'ConditionalRequestConflict' || attempt === CONFLICT_ATTEMPTS)
          throw storeFault(error, 'replace a key object', awsRegion);
      }
    }
  }

  return {
    replace,
    get: (key) => ask('read a key object', () => readObject(s3, place, key)),
    async *list(within) {
      const pages = paginateListObjectsV2({ client: s3 }, { ...owned, Prefix: `${prefix}${within}` });
      try {
        for await (const { Contents = [] } of pages)
          for (const { Key = '' } of Contents) yield { key: Key.slice(prefix.length) };
      } catch (error) {
        throw storeFault(error, 'list key objects', awsRegion);
      }
    },
    async *listVersions(within) {
      try {
        yield* versionsOf(s3, place, within);
      } catch (error) {
        throw storeFault(error, 'list versions of key objects', awsRegion);
      }
    },
    async deleteVersions(versions: readonly ObjectVersion[]) {
      for (let at = 0; at < versions.length; at += DELETE_BATCH) {
        const Objects = versions
          .slice(at, at + DELETE_BATCH)
          .map(({ key, versionId }) => ({ Key: `${prefix}${key}`, VersionId: versionId }));
        const destroy = new DeleteObjectsCommand({ ...owned, Delete: { Objects, Quiet: true } });
        const { Errors = [] } = await ask('destroy key objects', () => s3.send(destroy));
        const [first] = Errors;
        if (first) throw new Fault('store_unavailable', `The bucket refused to destroy a key object: ${first.Code}.`);
      }
    },
  };
}
