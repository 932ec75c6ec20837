import type { RegionalClients } from '../../aws/clients.ts';
import type { BackupDeps } from '../../vault/backup.ts';
import type { RestoreDeps } from '../../vault/restore.ts';
import type { VerifyDeps } from '../../vault/verify.ts';
import type { LaneUse } from '../lanes/pool.ts';
import type { TenantVault, Worker } from './worker.ts';

type Snapshot = LaneUse['snapshot'];

/** A lane reads or writes this one snapshot, as the session of its job, and a tenant's part of the vault. */
function useOf(vault: TenantVault, account: RegionalClients, snapshot: Snapshot): LaneUse {
  return {
    snapshot,
    store: vault.place,
    credentials: { account: () => account.ebs.config.credentials(), vault: () => vault.credentials() },
  };
}

/** Where the blocks of a backup are copied: in the threads of the pool, where there is one. */
export const backupLanes = (
  { lanes }: Worker,
  vault: TenantVault,
  account: RegionalClients,
  snapshot: Snapshot,
): Pick<BackupDeps, 'openLanes'> => (lanes ? { openLanes: lanes.backup(useOf(vault, account, snapshot)) } : {});

/** Where the blocks of a restore are written. */
export const restoreLanes = (
  { lanes }: Worker,
  vault: TenantVault,
  account: RegionalClients,
  snapshot: Snapshot,
): Pick<RestoreDeps, 'openRestoreLanes'> =>
  lanes ? { openRestoreLanes: lanes.restore(useOf(vault, account, snapshot)) } : {};

/** Where packs are read and proved. */
export const verifyLanes = ({ lanes }: Worker, vault: TenantVault): Pick<VerifyDeps, 'openVerifyLanes'> =>
  lanes
    ? { openVerifyLanes: lanes.verify({ store: vault.place, credentials: { vault: () => vault.credentials() } }) }
    : {};
