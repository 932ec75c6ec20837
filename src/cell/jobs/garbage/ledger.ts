import { and, eq, inArray, isNull, lt, sql } from 'drizzle-orm';
import { Fault } from '../../../core/faults.ts';
import type { CollectionLedger } from '../../../vault/gc/execute.ts';
import type { CollectionPlan } from '../../../vault/gc/plan.ts';
import type { VolumeState } from '../../../vault/gc/state.ts';
import type { Tx } from '../../db/client.ts';
import { collections, condemnations, condemnedObjects } from '../../db/schema/garbage.ts';
import { inTenant } from '../../db/tenancy.ts';
import type { Worker } from '../worker.ts';
import { beginCollection, isOpen, mayNamePacks, type VolumeRef } from './state.ts';

/** Rows that one statement writes or names. */
const BATCH = 1_000;
const DELETED_KEPT_MS = 24 * 3_600_000;

function* batches<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += BATCH) yield all.slice(from, from + BATCH);
}

const objectsOf = ({ tenantId, volumeId }: VolumeRef) =>
  and(eq(condemnedObjects.tenantId, tenantId), eq(condemnedObjects.volumeId, volumeId));
const condemnationsOf = ({ tenantId, volumeId }: VolumeRef) =>
  and(eq(condemnations.tenantId, tenantId), eq(condemnations.volumeId, volumeId));

/** Locks the volume's row. Throws Fault `conflict` when a later collection has begun. */
async function holdNumber(tx: Tx, { tenantId, volumeId }: VolumeRef, number: number): Promise<void> {
  const one = and(eq(collections.tenantId, tenantId), eq(collections.volumeId, volumeId));
  const [row] = await tx.select().from(collections).where(one).for('update');
  if (row?.number !== number)
    throw new Fault('conflict', 'Another collection of this volume has begun.', { facts: { volumeId } });
}

/** Forgets what is over: packs deleted more than a day ago, empty condemnations, runs that ended and whose roots are gone. */
async function tidy(tx: Tx, volume: VolumeRef, now: Date): Promise<void> {
  const old = lt(condemnedObjects.deletedAt, new Date(now.getTime() - DELETED_KEPT_MS));
  await tx.delete(condemnedObjects).where(and(objectsOf(volume), old));
  const isEmpty = sql`not exists (select 1 from condemned_objects one where one.tenant_id = ${condemnations.tenantId}
    and one.volume_id = ${condemnations.volumeId} and one.collection = ${condemnations.collection} and one.doomed_at is null)`;
  await tx.delete(condemnations).where(and(condemnationsOf(volume), isEmpty));
  await tx.execute(sql`
    delete from vault_runs run where run.tenant_id = ${volume.tenantId} and run.volume_id = ${volume.volumeId} and not ${isOpen('run')}
      and not exists (select 1 from volume_bases base
        where base.tenant_id = run.tenant_id and base.volume_id = run.volume_id and base.run_id = run.run_id)
      and not exists (select 1 from recovery_points point where point.tenant_id = run.tenant_id
        and point.volumes @> jsonb_build_array(jsonb_build_object('volumeId', run.volume_id, 'runId', run.run_id)))`);
}

/** Writes a plan down. */
async function write(tx: Tx, volume: VolumeRef, number: number, plan: CollectionPlan): Promise<void> {
  const doomedAt = new Date(plan.plannedAt);
  const named = (keys: readonly { key: string }[]) =>
    and(
      objectsOf(volume),
      inArray(
        condemnedObjects.key,
        keys.map(({ key }) => key),
      ),
    );
  if (plan.condemn.length > 0) await tx.insert(condemnations).values({ ...volume, collection: number });
  for (const some of batches(plan.condemn)) {
    const rows = some.map(({ key, sizeBytes }) => ({ ...volume, key, sizeBytes, collection: number }));
    await tx.insert(condemnedObjects).values(rows);
  }
  for (const some of batches(plan.sweep.release)) await tx.delete(condemnedObjects).where(named(some));
  for (const some of batches(plan.sweep.delete))
    await tx
      .update(condemnedObjects)
      .set({ doomedAt })
      .where(and(named(some), isNull(condemnedObjects.doomedAt)));
  const one = and(eq(collections.tenantId, volume.tenantId), eq(collections.volumeId, volume.volumeId));
  await tx.update(collections).set({ packs: plan.stored.packs }).where(one);
}

/** Runs that are open and may name packs of the volume: those that entered the vault, whatever became of their claims. */
async function openRunsThatMayName(tx: Tx, volume: VolumeRef): Promise<string[]> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select distinct run.run_id as id from vault_runs run
    where run.tenant_id = ${volume.tenantId} and ${isOpen('run')} and ${mayNamePacks('run', volume)}`);
  return rows.map(({ id }) => id);
}

/** What the database knows of a volume's garbage, for one collection. No transaction is open between two of its calls. */
export function openLedger(worker: Worker, volume: VolumeRef) {
  const { db, clock } = worker;
  let number: number | null = null;
  const inOne = <T>(work: (tx: Tx) => Promise<T>) => inTenant(db, volume.tenantId, work);
  const ledger: CollectionLedger = {
    record: (plan) =>
      inOne(async (tx) => {
        if (number === null) throw new Fault('internal', 'A collection is recorded that has not begun.');
        await holdNumber(tx, volume, number);
        await write(tx, volume, number, plan);
        await tidy(tx, volume, clock.now());
      }),
    fence: () =>
      inOne(async (tx) => {
        const fence = { fencedAt: clock.now(), openRunIds: await openRunsThatMayName(tx, volume) };
        await tx
          .update(condemnations)
          .set(fence)
          .where(and(condemnationsOf(volume), isNull(condemnations.fencedAt)));
      }),
    forget: (keys) =>
      inOne(async (tx) => {
        const gone = and(objectsOf(volume), inArray(condemnedObjects.key, [...keys]));
        await tx.update(condemnedObjects).set({ deletedAt: clock.now() }).where(gone);
      }),
  };
  return {
    ...ledger,
    async begin(): Promise<VolumeState> {
      const begun = await inOne((tx) => beginCollection(tx, volume, clock.now()));
      number = begun.number;
      return begun.state;
    },
  };
}
