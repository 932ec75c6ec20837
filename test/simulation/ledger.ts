import { Fault } from '../../src/core/faults.ts';
import { type Condemnation, type Garbage, isPack } from '../../src/vault/gc/condemned.ts';
import type { CollectionLedger } from '../../src/vault/gc/execute.ts';
import type { VolumeState } from '../../src/vault/gc/state.ts';

/** What the service's database has of the garbage of one volume. Each call is one transaction. */
export function createLedger() {
  let generation = 0;
  let condemnations: { objects: Map<string, Garbage>; fence: Condemnation['fence'] }[] = [];
  const doomed = new Map<string, Garbage>();

  const ledgerOf = (number: number, fenceNow: () => NonNullable<Condemnation['fence']>): CollectionLedger => ({
    async record({ condemn, sweep }) {
      if (number !== generation) throw new Fault('conflict', 'Another collection has begun.');
      condemnations.push({ objects: new Map(condemn.map((one) => [one.key, one])), fence: null });
      for (const { key } of [...sweep.release, ...sweep.delete])
        for (const { objects } of condemnations) objects.delete(key);
      for (const object of sweep.delete) doomed.set(object.key, object);
      condemnations = condemnations.filter(({ objects }) => objects.size > 0);
    },
    async fence() {
      for (const one of condemnations) one.fence ??= fenceNow();
    },
    async forget(keys) {
      for (const key of keys) doomed.delete(key);
    },
  });
  return {
    /** Packs that nothing new may be built on. */
    condemned: (): string[] =>
      [...condemnations.flatMap(({ objects }) => [...objects.keys()]), ...doomed.keys()].filter(isPack),
    isEmpty: () => condemnations.length === 0 && doomed.size === 0,
    /** A collection reads what is condemned, and takes its number: only the latest may write. */
    claim(fenceNow: () => NonNullable<Condemnation['fence']>): {
      state: Pick<VolumeState, 'condemnations' | 'doomed'>;
      ledger: CollectionLedger;
    } {
      generation += 1;
      return {
        state: {
          condemnations: condemnations.map(({ objects, fence }) => ({ objects: [...objects.values()], fence })),
          doomed: [...doomed.values()],
        },
        ledger: ledgerOf(generation, fenceNow),
      };
    },
  };
}

export type Ledger = ReturnType<typeof createLedger>;
