import { type Clock, systemClock } from '../core/clock.ts';
import type { Damage } from './damage.ts';
import { createShare } from './lanes.ts';
import type { VolumeScope } from './layout.ts';
import { closedOf } from './places.ts';
import { mapInOrder } from './pipeline.ts';
import type { BlobStore } from './ports.ts';
import type { DataKeys } from './run-keys.ts';
import type { Existence, Series } from './verify-existence.ts';
import { attribute } from './verify-attribute.ts';
import type { Flaw } from './verify-inspect.ts';
import { createVerifyLane, type Verdict, type VerifyLane } from './verify-lane.ts';
import { type NeededObject, objectKeyOf } from './verify-table.ts';

/** Objects of a lane under way: while one is proved, the next ones are read. Each is a pack: 16 MiB. */
const OBJECTS_PER_LANE = 3;

/** What each lane of a verification starts from. */
export type VerifyStart = { scope: VolumeScope; series: readonly Series[]; ring: DataKeys };
/** Opens the lanes of a verification: one in this thread, or one in each thread of a pool. */
export type OpenVerifyLanes = (start: VerifyStart) => Promise<readonly VerifyLane[]>;

export type ReadDeps = {
  store: BlobStore;
  clock?: Clock;
  /** Where packs are read and proved; in this thread when it is not given. */
  openVerifyLanes?: OpenVerifyLanes;
};

/** How much is read at once. An aborted signal ends the reading as a deadline does: no further object is begun. */
export type ReadLimits = { budgetBytes?: number; bytesPerSec?: number; deadline?: Date; signal?: AbortSignal };

export type ReadCounts = { objects: number; blocks: number; bytes: number };

/** Holds reading to a pace, by the clock. */
function createPace(clock: Clock, { bytesPerSec, signal }: ReadLimits) {
  let freeAt = clock.now().getTime();
  return async (bytes: number): Promise<void> => {
    if (bytesPerSec === undefined) return;
    const wait = freeAt - clock.now().getTime();
    if (wait > 0) await clock.sleep(wait, signal);
    freeAt = Math.max(freeAt, clock.now().getTime()) + (bytes / bytesPerSec) * 1_000;
  };
}

/** As many of the objects as the limits let through, in order. */
async function* within(
  objects: Iterable<NeededObject>,
  limits: ReadLimits,
  clock: Clock,
): AsyncGenerator<NeededObject> {
  const { budgetBytes = Infinity, deadline, signal } = limits;
  const pace = createPace(clock, limits);
  const isOver = () => signal?.aborted === true || (deadline !== undefined && clock.now() >= deadline);
  let left = budgetBytes;
  for (const object of objects) {
    left -= closedOf(object.ref).sizeBytes;
    if (left < 0 || isOver()) return;
    await pace(closedOf(object.ref).sizeBytes);
    if (isOver()) return;
    yield object;
  }
}

const flawOf = ({ damage }: Verdict): Flaw | null =>
  damage && { ...damage, slots: damage.slots && new Set(damage.slots) };

/** The one lane in this thread. */
const laneHere = (store: BlobStore, start: VerifyStart) => [createVerifyLane({ store, ...start })];

/**
 * Reads objects, proves every byte and block of each, and says which points need those that are damaged.
 *
 * @param onRead is told of each, in the order of `objects`
 * @throws Fault `store_unavailable`, `key_unavailable` and whatever else is no damage: what was read in this call counts for nothing
 */
export async function readObjects(
  deps: ReadDeps,
  parts: { scope: VolumeScope; existence: Existence; limits: ReadLimits; onRead?: (object: NeededObject) => void },
  objects: Iterable<NeededObject>,
): Promise<ReadCounts & { damage: readonly Damage[] }> {
  const { scope, existence, limits, onRead } = parts;
  const { series, reader, points } = existence;
  const start = { scope, series, ring: reader.ring };
  const lanes = await (deps.openVerifyLanes?.(start) ?? laneHere(deps.store, start));
  const counts = { objects: 0, blocks: 0, bytes: 0 };
  const damaged = new Map<string, Flaw>();
  try {
    const share = createShare(lanes);
    const check = async (object: NeededObject) => {
      const verdict = await share(closedOf(object.ref).sizeBytes, (lane) => lane.check(object));
      return { object, verdict };
    };
    const sequence = within(objects, limits, deps.clock ?? systemClock);
    for await (const { object, verdict } of mapInOrder(sequence, lanes.length * OBJECTS_PER_LANE, check)) {
      const flaw = flawOf(verdict);
      if (flaw) damaged.set(objectKeyOf(object.kind, object.ref), flaw);
      counts.objects += 1;
      counts.blocks += verdict.blocks;
      counts.bytes += closedOf(object.ref).sizeBytes;
      onRead?.(object);
    }
  } finally {
    await Promise.all(lanes.map((lane) => lane.settle()));
  }
  return { ...counts, damage: await attribute({ volumeId: scope.volumeId, reader, points }, damaged) };
}
