import { GetObjectRetentionCommand, PutObjectRetentionCommand, type S3Client } from '@aws-sdk/client-s3';
import type { LockStore } from '../vault/ports.ts';
import { awsErrorName } from './faults.ts';
import { asMissing, type StorePlace, storeFault } from './s3-store.ts';

/**
 * S3 Object Lock in compliance mode: nobody shortens a lock, root included. Whoever may do only a part of this is refused the rest.
 * Source: S3 user guide, "Locking objects with Object Lock"; API reference, GetObjectRetention, PutObjectRetention.
 */
export function openLockStore(s3: S3Client, place: StorePlace): LockStore {
  const { bucket: Bucket, expectedBucketOwner: ExpectedBucketOwner, prefix, awsRegion } = place;
  const at = (key: string) => ({ Bucket, ExpectedBucketOwner, Key: `${prefix}${key}` });
  async function ask<T>(key: string, doing: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw storeFault(await asMissing(s3, place, key, error), doing, awsRegion);
    }
  }
  return {
    lockedUntil: (key) =>
      ask(key, 'see a lock', async () => {
        try {
          const { Retention } = await s3.send(new GetObjectRetentionCommand(at(key)));
          return Retention?.RetainUntilDate ?? null;
        } catch (error) {
          if (awsErrorName(error) === 'NoSuchObjectLockConfiguration') return null; // This object has no lock.
          throw error;
        }
      }),
    extend: (key, until) =>
      ask(key, 'make a lock longer', async () => {
        const Retention = { Mode: 'COMPLIANCE' as const, RetainUntilDate: until };
        await s3.send(new PutObjectRetentionCommand({ ...at(key), Retention }));
      }),
  };
}
