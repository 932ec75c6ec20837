import { sql } from 'drizzle-orm';
import { isFault, toFault } from '../../../core/faults.ts';
import { executeCollection } from '../../../vault/gc/execute.ts';
import { planCollection } from '../../../vault/gc/plan.ts';
import { inTenant } from '../../db/tenancy.ts';
import { inVault } from '../vault-principals.ts';
import type { Worker } from '../worker.ts';
import { openLedger } from './ledger.ts';
import type { VolumeRef } from './state.ts';

/** Each volume is looked at so often although nothing of it was deleted: runs that failed leave garbage, and what is condemned ripens. */
const EVERY_MS = 24 * 3_600_000;

const sizeOf = (objects: readonly { sizeBytes: number }[]) =>
  objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/**
 * Collects a volume's garbage: deletes roots of deleted points and what is ripe, condemns what nothing needs. Backups go on
 * meanwhile. As the deleter, who can read manifests and no pack.
 *
 * @throws Fault of the reason when a kept manifest cannot be read or an object is missing, `conflict` when another collection of the
 *   volume has begun: nothing was deleted then
 */
export async function collectVolume(worker: Worker, volume: VolumeRef): Promise<void> {
  const { tenantId, volumeId } = volume;
  const ledger = openLedger(worker, volume);
  const scope = { cell: worker.region.cell, tenantId, volumeId };
  const plan = await inVault(worker, { principal: 'deleter', tenantId }, async ({ store, keys, locks }) => {
    const made = await planCollection({ store, keys, locks, clock: worker.clock }, scope, () => ledger.begin());
    await executeCollection(made, store, ledger);
    return made;
  });
  const { condemn, sweep, rootsToDelete } = plan;
  if (condemn.length + sweep.delete.length + sweep.release.length + rootsToDelete.length === 0) return;
  worker.log.log('info', 'collection.done', {
    tenantId,
    volumeId,
    roots: rootsToDelete.length,
    condemned: condemn.length,
    deleted: sweep.delete.length,
    deletedBytes: sizeOf(sweep.delete),
    released: sweep.release.length,
    waiting: sweep.wait.length,
    overBudget: sweep.wait.filter(({ why }) => why === 'budget').length,
  });
}

/** Volumes of a tenant that were not collected within a day. A time that is yet to come was written by a clock that was wrong. */
async function dueVolumes(worker: Worker, tenantId: string): Promise<string[]> {
  const now = worker.clock.now();
  const [from, to] = [new Date(now.getTime() - EVERY_MS), now].map((at) => at.toISOString());
  const { rows } = await inTenant(worker.db, tenantId, (tx) =>
    tx.execute<{ id: string }>(sql`
      select id from (
        select volume_id as id from vault_runs where tenant_id = ${tenantId}
        union select volume_id from volume_bases where tenant_id = ${tenantId}
        union select volume_id from condemned_objects where tenant_id = ${tenantId} and deleted_at is null) known
      where not exists (select 1 from collections done where done.tenant_id = ${tenantId} and done.volume_id = known.id
        and done.started_at between ${from}::timestamptz and ${to}::timestamptz)`),
  );
  return rows.map(({ id }) => id);
}

/** Collects what is due of one tenant. One volume that refuses does not hold up the others. */
export async function collectDue(worker: Worker, tenantId: string): Promise<void> {
  for (const volumeId of await dueVolumes(worker, tenantId)) {
    await collectVolume(worker, { tenantId, volumeId }).catch((error: unknown) => {
      const level = isFault(error, 'conflict') ? 'info' : 'warn';
      worker.log.log(level, 'collection.refused', { tenantId, volumeId, code: toFault(error).code }, error);
    });
  }
}
