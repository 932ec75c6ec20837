import { createNonceMonitor } from '../../src/crypto/nonce-monitor.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { executeCollection } from '../../src/vault/gc/execute.ts';
import { planCollection } from '../../src/vault/gc/plan.ts';
import type { VolumeState } from '../../src/vault/gc/state.ts';
import { rootKey } from '../../src/vault/layout.ts';
import { createMemorySink, createMemorySource, createMemoryStore, type MemoryImage } from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap, type Rewrap } from '../../src/vault/rotate.ts';
import { executeShred, planShred } from '../../src/vault/shred.ts';
import { verifyVolume } from '../../src/vault/verify.ts';
import { block, contentOf } from '../vault/fixture.ts';
import { keyObjectsOf } from './key-objects.ts';
import { createSeededKeys } from './keys.ts';
import { createLedger } from './ledger.ts';
import { faultyKeys, faultySink, faultySource, faultyStore, type Intercept } from './ports.ts';
import { createRandom } from './random.ts';

const BLOCK = 128;
const BLOCKS = 12;
const SCOPE = { cell: 'eu', tenantId: 'ten_eu_a', volumeId: 'vol-1' };
const TUNING = { packBytes: 300, changesPerDedupPage: 1 };
const DAY_MS = 86_400_000;
/** Runs' ids tell their age: those of a scene are old, so that nothing takes them for ones that have just begun. */
const idOf = (n: number) => `run_eu_01kdv${n}00000000000000000000`;

const IMAGES: readonly MemoryImage[] = [
  new Map([0, 1, 2, 3, 4, 5].map((n) => [n, block(n, BLOCK)])),
  new Map([0, 1, 2, 3, 4, 5].map((n) => [n, block(n % 2 === 0 ? n + 50 : n, BLOCK)])),
  new Map([0, 2, 3, 4, 5, 7].map((n) => [n, block(n === 3 ? 99 : n, BLOCK)])),
];
const imageOf = (n: number) => IMAGES[n - 1] ?? new Map<number, Uint8Array>();

/** A vault with two acknowledged points of one volume, and what is done with it, by ports that may go wrong. */
export async function createScene() {
  const random = createRandom(1);
  const store = createMemoryStore();
  const keys = createSeededKeys(random);
  const ledger = createLedger();
  const { monitor } = createNonceMonitor();
  const time = { ms: Date.parse('2026-06-01T00:00:00Z') };
  const clock = { now: () => new Date(time.ms), sleep: async () => {} };
  const points = new Set<number>();
  const lineage = new Map(IMAGES.map((image, n) => [`snap-${n + 1}`, image]));
  let rewrap: Rewrap | null = null;

  const depsOf = (intercept: Intercept) => ({
    store: faultyStore(store, intercept, random),
    keys: faultyKeys(keys.service, intercept),
    clock,
    random: (bytes: number) => random.bytes(bytes),
    monitor,
    checkAll: true,
  });

  async function backUp(n: number, base: number | null, intercept: Intercept, checkpointEvery = 1_000): Promise<void> {
    const source = createMemorySource({ image: imageOf(n), blockBytes: BLOCK, volumeBytes: BLOCK * BLOCKS, lineage });
    await backupVolume(
      { ...depsOf(intercept), tuning: { ...TUNING, checkpointEvery } },
      {
        ...SCOPE,
        runId: idOf(n),
        snapshotId: `snap-${n}`,
        source: faultySource(source, intercept, random),
        base: base === null ? null : { manifestKey: rootKey(SCOPE.volumeId, idOf(base)), snapshotId: `snap-${base}` },
      },
    );
    points.add(n);
  }

  async function restore(n: number, intercept: Intercept): Promise<void> {
    const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: BLOCK * BLOCKS });
    const input = { ...SCOPE, manifestKey: rootKey(SCOPE.volumeId, idOf(n)) };
    await restoreVolume(depsOf(intercept), input, faultySink(sink, intercept, random));
    if (JSON.stringify([...contentOf(sink.image)]) !== JSON.stringify([...contentOf(imageOf(n))]))
      throw new Error(`point ${n} was restored wrongly`);
  }

  async function collect(intercept: Intercept): Promise<void> {
    let claimed: ReturnType<typeof ledger.claim> | null = null;
    const deps = depsOf(intercept);
    const readState = async (): Promise<VolumeState> => {
      claimed = ledger.claim(() => ({ since: clock.now().toISOString(), openRunIds: [] }));
      const kept = [...points].map((n) => rootKey(SCOPE.volumeId, idOf(n)));
      const deletedRoots = IMAGES.flatMap((_, n) => (points.has(n + 1) ? [] : rootKey(SCOPE.volumeId, idOf(n + 1))));
      return {
        ...claimed.state,
        kept: [{ volumeId: SCOPE.volumeId, manifestKeys: kept }],
        deletedRoots,
        openRunIds: [],
        longestJobMs: 0,
        packsAllowed: () => Number.POSITIVE_INFINITY,
      };
    };
    const plan = await planCollection(deps, SCOPE, readState);
    const { ledger: its } = claimed as unknown as ReturnType<typeof ledger.claim>;
    await executeCollection(plan, deps.store, its);
  }

  const clean: Intercept = (call) => call.effect();
  await backUp(1, null, clean);
  await backUp(2, 1, clean);
  return {
    points,
    clean,
    backUp,
    restore,
    /** The first point is deleted, and its garbage is collected, in two goes with days between. */
    async forget(intercept: Intercept): Promise<void> {
      points.delete(1);
      await collect(intercept);
      time.ms += 5 * DAY_MS;
      await collect(intercept);
    },
    async rotate(intercept: Intercept): Promise<void> {
      rewrap ??= keys.renew();
      const objects = keyObjectsOf(store.objects, intercept);
      await executeRewrap(objects, await planRewrap(objects, SCOPE, rewrap), rewrap);
    },
    /** The older master key is destroyed. */
    retire: () => keys.retireOlder(),
    async shred(intercept: Intercept): Promise<void> {
      const objects = keyObjectsOf(store.objects, intercept);
      await executeShred(objects, await planShred(objects, { ...SCOPE, volumeIds: [SCOPE.volumeId] }), clock);
    },
    async verify(intercept: Intercept): Promise<void> {
      const manifestKeys = [...points].map((n) => rootKey(SCOPE.volumeId, idOf(n)));
      const { damage } = await verifyVolume(depsOf(intercept), { ...SCOPE, manifestKeys });
      if (damage.length > 0) throw new Error(`damage was found: ${JSON.stringify(damage[0])}`);
    },
    /** What the store holds, by name. */
    objects: () => store.objects,
  };
}

export type Scene = Awaited<ReturnType<typeof createScene>>;
