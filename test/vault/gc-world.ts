import { isFault } from '../../src/core/faults.ts';
import { newId } from '../../src/core/ids.ts';
import { executeCollection } from '../../src/vault/gc/execute.ts';
import { markVolume } from '../../src/vault/gc/mark.ts';
import { planCollection } from '../../src/vault/gc/plan.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import type { BlobStore } from '../../src/vault/ports.ts';
import { block, contentOf, createVault, SCOPE } from './fixture.ts';
import { createDesk } from './gc-desk.ts';

const BLOCK = 512;
const BLOCKS = 64;
/** A small volume has several packs and checkpoints, and looks at what earlier runs stored. */
const TUNING = { packBytes: 200, changesPerDedupPage: 1, checkpointEvery: 3 };

class Died extends Error {}

/** Something that goes on step by step: it stops at each gate until somebody lets it pass, or makes it die there. */
export function createActor(work: (gate: () => Promise<void>) => Promise<void>) {
  const waiting: { pass: () => void; die: () => void }[] = [];
  let wake: () => void = () => {};
  let over = false;
  let failure: unknown = null;
  const gate = () =>
    new Promise<void>((resolve, reject) => {
      waiting.push({ pass: resolve, die: () => reject(new Died('The process died.')) });
      wake();
    });
  void gate()
    .then(() => work(gate))
    .catch((error: unknown) => {
      if (!(error instanceof Died)) failure = error;
    })
    .finally(() => {
      over = true;
      wake();
    });
  async function go(how: 'pass' | 'die'): Promise<void> {
    const next = waiting.shift();
    const until = new Promise<void>((resolve) => {
      wake = resolve;
    });
    next?.[how]();
    if (!over && waiting.length === 0) await until;
  }
  async function toTheEnd(how: 'pass' | 'die'): Promise<void> {
    while (!over) await go(how);
  }
  return {
    step: () => go('pass'),
    die: () => toTheEnd('die'),
    finish: () => toTheEnd('pass'),
    isOver: () => over,
    failure: () => failure,
  };
}
export type Actor = ReturnType<typeof createActor>;

/** What ends something that another one overtook: a claim, a collection, a root that was deleted after it was listed. */
const OVERTAKEN = ['stale_claim', 'conflict', 'object_missing'] as const;

/** An image of a few blocks; equal seeds are equal blocks. */
const imageOf = (seeds: readonly number[]): MemoryImage =>
  new Map(seeds.map((seed, index) => [index * 3, block(seed, BLOCK)]));

/** One volume of a service, whose parts take turns as a test says. */
export function createGcWorld(options: { longestJobMs?: number } = {}) {
  const vault = createVault();
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  const clock = { now: () => new Date(nowMs), sleep: async () => {} };
  const desk = createDesk({ now: clock.now, ...options });
  const images = new Map<string, MemoryImage>();
  const lineage = new Map<string, MemoryImage>();
  const locks = new Map<string, number>();
  const lockedUntilMs = (key: string) => locks.get(key) ?? 0;
  const brokenLocks: string[] = [];
  const objects = vault.store.objects;
  let serial = 0;

  /** The store of somebody who can stop between any two of its calls of these kinds. */
  const gated = (gate: () => Promise<void>, kinds: readonly ('list' | 'get' | 'putNew' | 'delete')[]): BlobStore => ({
    ...vault.store,
    async putNew(key, bytes) {
      if (kinds.includes('putNew')) await gate();
      return vault.store.putNew(key, bytes);
    },
    async get(key, range) {
      if (kinds.includes('get')) await gate();
      return vault.store.get(key, range);
    },
    async *list(prefix) {
      if (kinds.includes('list')) await gate();
      yield* vault.store.list(prefix);
    },
    async delete(keys) {
      for (const key of keys) {
        if (kinds.includes('delete')) await gate();
        objects.delete(key);
      }
    },
  });

  /** One try at a run, to its root. */
  async function copy(runId: string, image: MemoryImage, useBase: boolean, store: BlobStore): Promise<number> {
    const { base, claim } = desk.begin(runId, useBase);
    const condemned = desk.condemned();
    const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK, lineage });
    const snapshotId = `snap-${runId}`;
    lineage.set(snapshotId, image);
    const on = base === null ? null : { manifestKey: rootKey(SCOPE.volumeId, base), snapshotId: `snap-${base}` };
    const input = { ...SCOPE, runId, snapshotId, source, base: on, condemned };
    await backupVolume({ ...vault.deps, checkAll: false, tuning: TUNING, clock, store }, input);
    return claim;
  }

  return {
    vault,
    desk,
    clock,
    locks,
    brokenLocks,
    images,
    jump: (ms: number) => {
      nowMs += ms;
    },
    /** A backup that stops before each list and each object that it stores, and before its point is acknowledged. */
    backup(seeds: readonly number[], useBase: boolean, again?: string): Actor & { runId: string } {
      serial += 1;
      const runId = again ?? newId('run', 'eu', new Date(nowMs + serial));
      const image = images.get(runId) ?? imageOf(seeds);
      images.set(runId, image);
      if (again === undefined) desk.create(runId);
      const actor = createActor(async (gate) => {
        const claim = await copy(runId, image, useBase, gated(gate, ['putNew', 'list']));
        await gate();
        desk.commit(runId, claim);
      });
      return { ...actor, runId };
    },
    /** A collection that stops before each list, the first reads, each note and each deletion. */
    collect(packsAllowed?: number): Actor {
      return createActor(async (gate) => {
        let claimed: ReturnType<typeof desk.claim> | null = null;
        const readState = async () => {
          await gate();
          claimed = desk.claim(packsAllowed);
          return claimed.state;
        };
        const locksOf = { lockedUntil: async (key: string) => new Date(lockedUntilMs(key)) };
        const deps = { ...vault.deps, clock, locks: locksOf, store: gated(gate, ['list']) };
        const plan = await planCollection(deps, SCOPE, readState);
        const { ledger, state } = claimed!;
        const decided = new Set(state.doomed.map(({ key }) => key));
        const goes = [...plan.rootsToDelete, ...plan.sweep.delete.map(({ key }) => key)];
        brokenLocks.push(...goes.filter((key) => !decided.has(key) && lockedUntilMs(key) > Date.parse(plan.plannedAt)));
        await gate();
        await executeCollection(plan, gated(gate, ['delete']), {
          record: (made) => ledger.record(made),
          async fence() {
            await gate();
            await ledger.fence();
          },
          async forget(keys) {
            await gate();
            await ledger.forget(keys);
          },
        });
      });
    },
    /** Runs a backup or a collection to its end. It may be refused for what others do meanwhile. */
    async finish(actor: Actor): Promise<void> {
      await actor.finish();
      const failure = actor.failure();
      if (failure !== null && !OVERTAKEN.some((code) => isFault(failure, code))) throw failure;
    },
    /** The same, with nobody else about: nothing may refuse it. */
    async finishAlone(actor: Actor): Promise<void> {
      await actor.finish();
      if (actor.failure() !== null) throw actor.failure();
    },
    /** Every object that the kept points and the base of the next backup need. */
    async needed(): Promise<string[]> {
      const { state } = desk.claim();
      const marks = await markVolume(vault.deps, { ...SCOPE, kept: state.kept });
      return [...objects.keys()].filter((key) => marks.needs(key)).toSorted();
    },
    /** The kept points that do not restore to their images, with why. */
    async lost(): Promise<string[]> {
      const lost: string[] = [];
      for (const runId of desk.keptRunIds()) {
        const restored = await vault.restore(rootKey(SCOPE.volumeId, runId), { blockBytes: BLOCK }).then(
          ({ image }) => JSON.stringify([...contentOf(image)]),
          (error: unknown) => String(error),
        );
        if (restored !== JSON.stringify([...contentOf(images.get(runId)!)]))
          lost.push(`${runId}: ${restored.slice(0, 200)}`);
      }
      return lost;
    },
  };
}

export type GcWorld = ReturnType<typeof createGcWorld>;
