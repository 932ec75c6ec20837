import { createHash } from 'node:crypto';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Fault, isFault } from '../core/faults.ts';
import type { BlobStore } from '../vault/ports.ts';
import { asking, awsErrorName, toAwsFault } from './faults.ts';

const DELETE_BATCH = 1_000;
const READ_ATTEMPTS = 4;
const CONFLICT_ATTEMPTS = 5;

/** One tenant's part of the cell's bucket. */
export type StorePlace = { bucket: string; expectedBucketOwner: string; prefix: string; awsRegion: string };

/** Faults of the store are ours, not the customer's. */
function storeFault(error: unknown, doing: string, awsRegion: string): Fault {
  const fault = toAwsFault(error, doing, awsRegion);
  if (isFault(fault, 'object_missing') || isFault(fault, 'object_corrupt')) return fault;
  return new Fault('store_unavailable', `The vault's bucket could not be used to ${doing}.`, { cause: fault });
}

const isCutOff = (error: unknown) => ['ECONNRESET', 'TimeoutError'].includes(awsErrorName(error));

/** S3 as the engine's object store: create-only puts, SHA-256 on everything, the bucket's owner named in every call. */
export function openBlobStore(s3: S3Client, place: StorePlace): BlobStore {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix, awsRegion } = place;
  const at = (key: string) => ({ Bucket, ExpectedBucketOwner, Key: `${prefix}${key}` });

  async function putNew(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const ChecksumSHA256 = createHash('sha256').update(bytes).digest('base64');
    for (let attempt = 1; ; attempt += 1) {
      try {
        await s3.send(
          new PutObjectCommand({
            ...at(key),
            Body: bytes,
            ContentLength: bytes.length,
            IfNoneMatch: '*',
            ChecksumSHA256,
          }),
        );
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
      const Range = range === undefined ? {} : { Range: `bytes=${range.start}-${range.start + range.length - 1}` };
      for (let attempt = 1; ; attempt += 1) {
        try {
          const { Body } = await s3.send(new GetObjectCommand({ ...at(key), ...Range }));
          return (await Body?.transformToByteArray()) ?? new Uint8Array();
        } catch (error) {
          // The SDK tries requests again, but not a body that ends too early.
          if (!isCutOff(error) || attempt === READ_ATTEMPTS) throw storeFault(error, 'read an object', awsRegion);
        }
      }
    },
    async *list(within) {
      try {
        const pages = paginateListObjectsV2(
          { client: s3 },
          { Bucket, ExpectedBucketOwner, Prefix: `${prefix}${within}` },
        );
        for await (const page of pages) {
          for (const object of page.Contents ?? [])
            yield { key: (object.Key ?? '').slice(prefix.length), sizeBytes: object.Size ?? 0 };
        }
      } catch (error) {
        throw storeFault(error, 'list objects', awsRegion);
      }
    },
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

/** Is the bucket there, ours, and in the region we think? Throws Fault `store_unavailable`. */
export async function checkBucket(s3: S3Client, place: Omit<StorePlace, 'prefix'>): Promise<void> {
  const call = () =>
    s3.send(new HeadBucketCommand({ Bucket: place.bucket, ExpectedBucketOwner: place.expectedBucketOwner }));
  try {
    await asking('reach the bucket', place.awsRegion, call);
  } catch (error) {
    throw storeFault(error, 'reach the bucket', place.awsRegion);
  }
}
