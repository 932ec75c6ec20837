import {
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Fault, isFault } from '../core/faults.ts';
import type { BlobStore, PutOptions } from '../vault/ports.ts';
import { asking, awsErrorName, toAwsFault } from './faults.ts';
import type { ObjectCalls } from './lean/objects.ts';

const DELETE_BATCH = 1_000;
const CONFLICT_ATTEMPTS = 5;

/** One tenant's part of the cell's bucket. */
export type StorePlace = { bucket: string; expectedBucketOwner: string; prefix: string; awsRegion: string };

/** Faults of the store are ours, not the customer's. */
export function storeFault(error: unknown, doing: string, awsRegion: string): Fault {
  const fault = toAwsFault(error, doing, awsRegion);
  if (isFault(fault, 'object_missing') || isFault(fault, 'object_corrupt')) return fault;
  return new Fault('store_unavailable', `The vault's bucket could not be used to ${doing}.`, { cause: fault });
}

/** Names of a tenant's objects, and of the folders that S3 makes of them. */
function openListings(s3: S3Client, place: StorePlace): Pick<BlobStore, 'list' | 'folders'> {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix, awsRegion } = place;
  const pages = (within: string, options: { Delimiter?: string }) =>
    paginateListObjectsV2({ client: s3 }, { Bucket, ExpectedBucketOwner, Prefix: `${prefix}${within}`, ...options });
  return {
    async *list(within) {
      try {
        for await (const { Contents = [] } of pages(within, {}))
          for (const { Key = '', Size: sizeBytes = 0 } of Contents) yield { key: Key.slice(prefix.length), sizeBytes };
      } catch (error) {
        throw storeFault(error, 'list objects', awsRegion);
      }
    },
    async *folders(within) {
      const length = prefix.length + within.length;
      try {
        for await (const { CommonPrefixes = [] } of pages(within, { Delimiter: '/' }))
          for (const { Prefix = '' } of CommonPrefixes) yield Prefix.slice(length);
      } catch (error) {
        throw storeFault(error, 'list folders', awsRegion);
      }
    },
  };
}

async function isAbsent(s3: S3Client, place: StorePlace, key: string): Promise<boolean> {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix } = place;
  const Key = `${prefix}${key}`;
  const listed = await s3
    .send(new ListObjectsV2Command({ Bucket, ExpectedBucketOwner, Prefix: Key, MaxKeys: 1 }))
    .catch(() => null);
  return listed !== null && listed.Contents?.[0]?.Key !== Key;
}

/**
 * The error of a call about an object, or Fault `object_missing` where a refusal hides that it is not there. S3 tells so only to who may
 * list the whole bucket; others are refused, as for what they may not read. A listing of the very name, which the vault's principals may
 * ask for in their tenant, tells the two apart: it comes first of all that begin with it. Source: S3 API reference, GetObject,
 * "Permissions".
 */
export async function asMissing(s3: S3Client, place: StorePlace, key: string, error: unknown): Promise<unknown> {
  if (awsErrorName(error) !== 'AccessDenied' || !(await isAbsent(s3, place, key))) return error;
  return new Fault('object_missing', 'The object is not in the bucket.', { cause: error });
}

/** S3 as the engine's object store: create-only puts, a checksum on each, the bucket's owner named in every call. */
export function openBlobStore(clients: { s3: S3Client; lean: { objects: ObjectCalls } }, place: StorePlace): BlobStore {
  const { s3, lean } = clients;
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix, awsRegion } = place;
  const at = (key: string) => ({
    bucket: Bucket,
    expectedBucketOwner: ExpectedBucketOwner,
    key: `${prefix}${key}`,
  });

  async function putNew(key: string, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await lean.objects.putNew(at(key), bytes, options);
        return 'created';
      } catch (error) {
        const name = awsErrorName(error);
        if (name === 'PreconditionFailed') return 'exists';
        // 409: another put of this key is under way. AWS asks to try again.
        if (name !== 'ConditionalRequestConflict' || attempt === CONFLICT_ATTEMPTS)
          throw storeFault(error, 'store an object', awsRegion);
      }
    }
  }

  return {
    putNew,
    async get(key, range) {
      try {
        return await lean.objects.get(at(key), range);
      } catch (error) {
        throw storeFault(await asMissing(s3, place, key, error), 'read an object', awsRegion);
      }
    },
    ...openListings(s3, place),
    async delete(keys) {
      for (let from = 0; from < keys.length; from += DELETE_BATCH) {
        const Objects = keys.slice(from, from + DELETE_BATCH).map((key) => ({ Key: `${prefix}${key}` }));
        try {
          const { Errors } = await s3.send(
            new DeleteObjectsCommand({ Bucket, ExpectedBucketOwner, Delete: { Objects, Quiet: true } }),
          );
          const [first] = Errors ?? [];
          if (first) throw new Fault('store_unavailable', `The bucket refused to delete an object: ${first.Code}.`);
        } catch (error) {
          throw storeFault(error, 'delete objects', awsRegion);
        }
      }
    },
  };
}

/**
 * Is the bucket there, ours, and in the region we think? Asked in a way that takes no right to list it.
 *
 * @throws Fault `store_unavailable`
 */
export async function checkBucket(s3: S3Client, place: Omit<StorePlace, 'prefix'>): Promise<void> {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, awsRegion } = place;
  const call = () => s3.send(new GetBucketLocationCommand({ Bucket, ExpectedBucketOwner }));
  const { LocationConstraint } = await asking('reach the bucket', awsRegion, call).catch((error: unknown) => {
    throw storeFault(error, 'reach the bucket', awsRegion);
  });
  // The oldest region has no constraint. Source: S3 API reference, GetBucketLocation.
  const where = LocationConstraint ?? 'us-east-1';
  if (where !== awsRegion) throw new Fault('store_unavailable', `The vault's bucket lies in ${where}.`);
}
