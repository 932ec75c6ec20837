import type { BlobStore } from '../ports.ts';
import type { Garbage } from './condemned.ts';
import type { CollectionPlan } from './plan.ts';

/** Objects that are deleted between two notes of it. */
const BATCH = 1_000;

/**
 * Where the caller keeps what is condemned. Two collections of one volume may overlap: each takes a number when it reads the
 * state, and only the latest may write.
 */
export type CollectionLedger = {
  /**
   * In one step: adds what the plan condemns, without a fence, drops what it releases, and notes as doomed what it deletes. What is
   * doomed stays condemned for writers, and is never released: whoever reads the ledger next deletes it, too.
   *
   * @throws Fault `conflict` when another collection of the volume has begun since this one read the state
   */
  record(plan: CollectionPlan): Promise<void>;
  /** Fences every condemnation that has no fence: the time, and the runs that are open *now*, after `record` can be seen. */
  fence(): Promise<void>;
  /** Drops doomed objects that are gone. */
  forget(keys: readonly string[]): Promise<void>;
};

/**
 * Does what a plan says. What is condemned is written down, and can be seen by writers, before anything is fenced; what is deleted is
 * written down before it goes. A crash anywhere leaves garbage and no broken point: the next collection goes on with it.
 *
 * @throws Fault `conflict`, and nothing was done: plan again. Faults of the store and of the ledger.
 */
export async function executeCollection(
  plan: CollectionPlan,
  store: Pick<BlobStore, 'delete'>,
  ledger: CollectionLedger,
): Promise<void> {
  await ledger.record(plan);
  await ledger.fence();
  await store.delete(plan.rootsToDelete);
  const keys = plan.sweep.delete.map(({ key }: Garbage) => key);
  for (let from = 0; from < keys.length; from += BATCH) {
    const batch = keys.slice(from, from + BATCH);
    await store.delete(batch);
    await ledger.forget(batch);
  }
}
