import { Fault } from '../../src/core/faults.ts';
import { type Condemnation, type Garbage, isPack } from '../../src/vault/gc/condemned.ts';
import type { CollectionLedger } from '../../src/vault/gc/execute.ts';
import type { VolumeState } from '../../src/vault/gc/state.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { SCOPE } from './fixture.ts';

type Run = { open: boolean; claims: number; buildsOn: readonly string[] };

/**
 * What a service keeps of one volume: runs, points, the base of the next backup, condemned objects. Each method is one transaction.
 */
export function createDesk(options: { now: () => Date; longestJobMs?: number; volumeId?: string }) {
  const { now, longestJobMs = 0, volumeId = SCOPE.volumeId } = options;
  const runs = new Map<string, Run>();
  const points = new Map<string, 'kept' | 'deleting'>();
  let base: string | null = null;
  let generation = 0;
  let condemnations: { objects: Map<string, Garbage>; fence: Condemnation['fence'] }[] = [];
  const doomed = new Map<string, Garbage>();
  const openRunIds = () => [...runs].filter(([, { open }]) => open).map(([id]) => id);

  return {
    runs,
    points,
    keptRunIds: () => [...points].filter(([, state]) => state === 'kept').map(([id]) => id),
    /** A run is asked for. */
    create: (runId: string) => void runs.set(runId, { open: true, claims: 0, buildsOn: [] }),
    /** A try at a run begins: what it builds on is written down with the claim, beside what earlier tries built on. */
    begin(runId: string, useBase: boolean): { claim: number; base: string | null } {
      const run = runs.get(runId);
      if (!run?.open) throw new Fault('stale_claim', 'The run is over.');
      const buildsOn = useBase && base !== null ? [...run.buildsOn, base] : run.buildsOn;
      runs.set(runId, { open: true, claims: run.claims + 1, buildsOn });
      return { claim: run.claims + 1, base: useBase ? base : null };
    },
    condemned: (): ReadonlySet<string> =>
      new Set([...condemnations.flatMap(({ objects }) => [...objects.keys()]), ...doomed.keys()].filter(isPack)),
    /** The acknowledgement of a point, with the run's end: only by the latest claim. */
    commit(runId: string, claim: number): void {
      const run = runs.get(runId);
      if (!run?.open || run.claims !== claim) throw new Fault('stale_claim', 'Another worker has taken over.');
      runs.set(runId, { ...run, open: false });
      points.set(runId, 'kept');
      base = runId;
    },
    fail(runId: string): void {
      const run = runs.get(runId);
      if (run) runs.set(runId, { ...run, open: false });
    },
    deletePoint: (runId: string) => void points.set(runId, 'deleting'),

    /** A collection reads the state, and takes its number. */
    claim(packsAllowed = Number.POSITIVE_INFINITY): { state: VolumeState; ledger: CollectionLedger; number: number } {
      generation += 1;
      const number = generation;
      const kept = [...points].filter(([, state]) => state === 'kept').map(([id]) => id);
      const builtOn = [...runs.values()].flatMap(({ open, buildsOn }) => (open ? buildsOn : []));
      const stays = new Set([...kept, ...builtOn, ...(base === null ? [] : [base])]);
      const deleted = [...points].filter(([id, state]) => state === 'deleting' && !stays.has(id)).map(([id]) => id);
      const state: VolumeState = {
        kept: [{ volumeId, manifestKeys: [...stays].map((id) => rootKey(volumeId, id)) }],
        deletedRoots: deleted.map((id) => rootKey(volumeId, id)),
        openRunIds: openRunIds(),
        condemnations: condemnations.map(({ objects, fence }) => ({ objects: [...objects.values()], fence })),
        doomed: [...doomed.values()],
        longestJobMs,
        packsAllowed: () => packsAllowed,
      };
      return { state, ledger: ledgerOf(number), number };
    },
  };

  function ledgerOf(number: number): CollectionLedger {
    return {
      async record(plan) {
        if (number !== generation) throw new Fault('conflict', 'Another collection has begun.');
        condemnations.push({ objects: new Map(plan.condemn.map((one) => [one.key, one])), fence: null });
        for (const { key } of [...plan.sweep.release, ...plan.sweep.delete])
          for (const { objects } of condemnations) objects.delete(key);
        for (const object of plan.sweep.delete) doomed.set(object.key, object);
        condemnations = condemnations.filter(({ objects }) => objects.size > 0);
      },
      async fence() {
        for (const one of condemnations) one.fence ??= { since: now().toISOString(), openRunIds: openRunIds() };
      },
      async forget(keys) {
        for (const key of keys) doomed.delete(key);
      },
    };
  }
}

export type Desk = ReturnType<typeof createDesk>;
