import { REGIONS, regionOf } from '../../../regions/index.ts';
import { ambientCredentials, type AwsClients, createAwsClients } from '../../aws/clients.ts';
import { endpointsFrom } from '../../aws/endpoints.ts';
import { openAnyKey } from '../../aws/kms-keys.ts';
import { openLockStore } from '../../aws/s3-lock-store.ts';
import { openBlobStore } from '../../aws/s3-store.ts';
import { callerAccount } from '../../aws/sessions.ts';
import type { BlobStore, KeyOpener, LockReader } from '../../vault/ports.ts';
import { usageError } from '../failure.ts';

/** A tenant's part of a bucket. `owner` is the account of the bucket; the caller's own when it is not named. */
export type BucketPlace = {
  cell: string;
  bucket: string;
  prefix: string;
  awsRegion: string | undefined;
  owner: string | undefined;
};

/** What a command may do in a bucket: locks are only looked at. */
export type OpenBucket = { store: BlobStore; locks: LockReader };

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

  function clientsOf(cell: string): { region: NonNullable<ReturnType<typeof regionOf>>; clients: AwsClients } {
    const region = regionOf(cell);
    if (!region) throw usageError(`There is no cell ${cell}`, `Cells: ${REGIONS.map((one) => one.cell).join(', ')}`);
    const endpoints = endpointsFrom(variables, region);
    const clients = made.get(cell) ?? createAwsClients({ region, credentials, endpoints });
    made.set(cell, clients);
    return { region, clients };
  }

  return {
    /** Opens whatever these credentials may open, by the key that is named beside it. */
    keys: openAnyKey((cell, awsRegion) => clientsOf(cell).clients.for(awsRegion).kms),
    async open({ cell, bucket, prefix, awsRegion, owner }: BucketPlace): Promise<OpenBucket> {
      const { region, clients } = clientsOf(cell);
      const where = awsRegion ?? region.homeAwsRegion;
      const regional = clients.for(where);
      const expectedBucketOwner = owner ?? (await callerAccount(regional.sts, where));
      const place = { bucket, prefix, awsRegion: where, expectedBucketOwner };
      return { store: openBlobStore(regional, place), locks: openLockStore(regional.s3, place) };
    },
    destroy(): void {
      for (const clients of made.values()) clients.destroy();
    },
  } satisfies { keys: KeyOpener; open: unknown; destroy(): void };
}
