import type { KeyObjectStore, VersionStore } from '../../vault/key-store.ts';
import type { VaultDeps } from '../../vault/manifest.ts';
import type { Session } from '../session.ts';
import type { openAws } from './aws.ts';
import { readOnly } from './directory-store.ts';
import { cellOf } from './open.ts';

export type KeyAdminOptions = {
  bucket: string;
  tenant: string;
  cell?: string;
  region?: string;
  bucketOwner?: string;
  dryRun?: true;
};

/** A tenant's keys, open to be replaced and destroyed; all else to be read, if the credentials can. */
export type KeyAdmin = {
  scope: { cell: string; tenantId: string };
  objects: KeyObjectStore & VersionStore;
  vault: VaultDeps;
  kmsKey: (keyArn: string) => ReturnType<ReturnType<typeof openAws>['kmsKey']>;
};

/** Opens them with the user's AWS credentials, and closes them when `work` is done. */
export async function asKeyAdmin<T>(
  session: Session,
  options: KeyAdminOptions,
  work: (admin: KeyAdmin) => Promise<T>,
): Promise<T> {
  const { bucket, tenant: tenantId, region, bucketOwner } = options;
  const cell = cellOf({ cell: options.cell, tenantId });
  const module = await import('./aws.ts');
  const aws = module.openAws(session.environment.aws ?? {});
  const place = { cell, bucket, prefix: `t/${tenantId}/`, awsRegion: region, owner: bucketOwner };
  try {
    const { store, objects } = await aws.openKeyObjects(place);
    const vault = { store: readOnly(store), keys: aws.keys };
    return await work({ scope: { cell, tenantId }, objects, vault, kmsKey: (arn) => aws.kmsKey(cell, arn) });
  } finally {
    aws.destroy();
  }
}
