import { type AwsClients, createAwsClients } from '../../aws/clients.ts';
import { regionOfKey } from '../../aws/kms-arn.ts';
import { openKeyService } from '../../aws/kms-keys.ts';
import { kmsRecipient } from '../../aws/kms-recipient.ts';
import {
  type ServicePrincipal,
  type VaultAccount,
  vaultRoleArn,
  vaultSessionPolicy,
} from '../../aws/policies/vault-principals.ts';
import { openLockStore } from '../../aws/s3-lock-store.ts';
import { openBlobStore } from '../../aws/s3-store.ts';
import { sessionName, vaultSession } from '../../aws/sessions.ts';
import { type KeyRecipient, RECIPIENT } from '../../vault/ports.ts';
import type { TenantVault, Worker } from './worker.ts';

/** What of a worker it takes to become one of the vault's principals. */
type VaultUser = Pick<Worker, 'region' | 'aws' | 'endpoints' | 'vault'>;

/** The vault of this worker's cell. */
function accountOf({ region, vault }: VaultUser): VaultAccount {
  const { partition, cell } = region;
  return {
    partition,
    cell,
    awsAccountId: vault.bucketOwner,
    bucket: vault.bucket,
    dataKeyArns: [vault.dataKeyArn, ...(vault.formerDataKeyArns ?? [])],
    recoveryKeyArn: vault.recoveryKeyArn,
  };
}

/** The recovery region's key as somebody to wrap for. Throws Fault `residency_violation` for one outside the jurisdiction. */
function recoveryRegion(aws: AwsClients, keyArn: string | undefined): KeyRecipient[] {
  if (keyArn === undefined) return [];
  const awsRegion = regionOfKey(keyArn) ?? '';
  return [kmsRecipient(aws.for(awsRegion).kms, { kind: RECIPIENT.recoveryRegion, keyArn, awsRegion })];
}

/**
 * Runs `work` on one tenant's part of the vault as one of its principals: the worker's own role can neither read nor write there.
 * What the principal may not do for this tenant, AWS refuses.
 */
export async function inVault<T>(
  worker: VaultUser,
  { principal, tenantId }: { principal: ServicePrincipal; tenantId: string },
  work: (vault: TenantVault) => Promise<T>,
): Promise<T> {
  const { region, endpoints } = worker;
  const awsRegion = region.homeAwsRegion;
  const account = accountOf(worker);
  const credentials = vaultSession(worker.aws.for(awsRegion).sts, vaultRoleArn(account, principal), {
    name: sessionName('domicile', principal, tenantId),
    policy: vaultSessionPolicy(principal, account, tenantId),
    awsRegion,
  });
  const { bucket, bucketOwner, dataKeyArn, formerDataKeyArns, recoveryKeyArn } = worker.vault;
  const place = { bucket, expectedBucketOwner: bucketOwner, prefix: `t/${tenantId}/`, awsRegion };
  const aws = createAwsClients({ region, credentials, endpoints });
  const clients = aws.for(awsRegion);
  try {
    return await work({
      place,
      credentials: () => clients.s3.config.credentials(),
      store: openBlobStore(clients, place),
      keys: openKeyService(clients.kms, dataKeyArn, awsRegion, formerDataKeyArns),
      recipients: recoveryRegion(aws, recoveryKeyArn),
      locks: openLockStore(clients.s3, place),
    });
  } finally {
    aws.destroy();
  }
}
