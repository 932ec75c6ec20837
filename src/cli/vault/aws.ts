import { REGIONS, regionOf } from '../../../regions/index.ts';
import { ambientCredentials, type AwsClients, createAwsClients } from '../../aws/clients.ts';
import type { AwsCredentials } from '../../aws/data-clients.ts';
import { endpointsFrom } from '../../aws/endpoints.ts';
import { regionOfKey } from '../../aws/kms-arn.ts';
import { openAnyKey, openKeyService } from '../../aws/kms-keys.ts';
import { kmsRecipient } from '../../aws/kms-recipient.ts';
import { openKeyObjectStore } from '../../aws/s3-key-store.ts';
import { openLockStore } from '../../aws/s3-lock-store.ts';
import { openBlobStore } from '../../aws/s3-store.ts';
import { callerAccount } from '../../aws/sessions.ts';
import type { KeyObjectStore, VersionStore } from '../../vault/key-store.ts';
import type { BlobStore, KeyOpener, KeyRecipient, LockReader } from '../../vault/ports.ts';
import { usageError } from '../failure.ts';
import type { VaultPlace } from './threads/messages.ts';

/** A tenant's part of a bucket. `owner` is the account of the bucket; the caller's own when it is not named. */
export type BucketPlace = {
  cell: string;
  bucket: string;
  prefix: string;
  awsRegion: string | undefined;
  owner: string | undefined;
};

/** What a command may do in a bucket: locks are only looked at. */
export type OpenBucket = {
  store: BlobStore;
  locks: LockReader;
  /** For threads that open it for themselves. */
  place: VaultPlace;
  credentials: () => Promise<AwsCredentials>;
};

/**
 * AWS as the user's own credentials see it: those of the environment, of a profile or of the machine. Each cell's calls stay in its
 * jurisdiction.
 *
 * @param variables the environment, for `AWS_ENDPOINT_URL…`
 * @param profile whose credentials, in place of those that the SDK finds
 */
export function openAws(variables: Record<string, string | undefined>, profile?: string) {
  const credentials = ambientCredentials(profile);
  const made = new Map<string, AwsClients>();

  function clientsOf(cell: string) {
    const region = regionOf(cell);
    if (!region) throw usageError(`There is no cell ${cell}`, `Cells: ${REGIONS.map((one) => one.cell).join(', ')}`);
    const endpoints = endpointsFrom(variables, region);
    const clients = made.get(cell) ?? createAwsClients({ region, credentials, endpoints });
    made.set(cell, clients);
    return { region, endpoints, clients };
  }

  async function placed({ cell, bucket, prefix, awsRegion, owner }: BucketPlace) {
    const { region, endpoints, clients } = clientsOf(cell);
    const where = awsRegion ?? region.homeAwsRegion;
    const regional = clients.for(where);
    const expectedBucketOwner = owner ?? (await callerAccount(regional.sts, where));
    return { regional, region, endpoints, place: { bucket, prefix, awsRegion: where, expectedBucketOwner } };
  }

  return {
    /** Opens whatever these credentials may open, by the key that is named beside it. */
    keys: openAnyKey((cell, awsRegion) => clientsOf(cell).clients.for(awsRegion).kms),
    async open(at: BucketPlace): Promise<OpenBucket> {
      const { regional, region, endpoints, place } = await placed(at);
      return {
        store: openBlobStore(regional, place),
        locks: openLockStore(regional.s3, place),
        place: { kind: 'bucket', region, endpoints, place },
        credentials: () => regional.s3.config.credentials(),
      };
    },
    /** The same for who may replace and destroy key objects. */
    async openKeyObjects(where: BucketPlace): Promise<{ store: BlobStore; objects: KeyObjectStore & VersionStore }> {
      const { regional, place } = await placed(where);
      return { store: openBlobStore(regional, place), objects: openKeyObjectStore(regional.s3, place) };
    },
    /** A key of KMS, to open what it has wrapped, and to wrap for it. Throws Failure for what is no ARN of a key. */
    kmsKey(cell: string, keyArn: string): { opener: KeyOpener; recipient: (kind: number) => KeyRecipient } {
      const awsRegion = regionOfKey(keyArn);
      if (awsRegion === undefined)
        throw usageError(`${keyArn} is not the ARN of a KMS key`, 'Name the key, not an alias.');
      const { kms } = clientsOf(cell).clients.for(awsRegion);
      return {
        opener: openKeyService(kms, keyArn, awsRegion),
        recipient: (kind) => kmsRecipient(kms, { kind, keyArn, awsRegion }),
      };
    },
    destroy(): void {
      for (const clients of made.values()) clients.destroy();
    },
  };
}
