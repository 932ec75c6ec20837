import { Fault } from '../core/faults.ts';
import type { BackupLane, Copied } from './lane.ts';
import { mapInOrder } from './pipeline.ts';
import type { BlockChange, BlockSource } from './ports.ts';

/** Neighbouring blocks that one lane takes at a time: 128 MiB of a volume. */
const STRIPE_BLOCKS = 256;
/** Stripes of a lane under way: while one waits for its last block, the next one fills the window. */
const STRIPES_PER_LANE = 2;

/** Refuses a listing that would put blocks in the wrong place. */
function createOrderCheck(source: BlockSource) {
  const end = Math.ceil(source.volumeBytes / source.blockBytes);
  let last = -1;
  return (index: number) => {
    if (!Number.isInteger(index) || index <= last || index >= end)
      throw new Fault('internal', 'The source listed a block out of order or beyond the end of the volume.');
    last = index;
  };
}

/** Changes in stripes: cut where the index passes a multiple, so that a lane's blocks are neighbours. */
async function* stripesOf(changes: AsyncIterable<BlockChange>, check: (index: number) => void) {
  let stripe: BlockChange[] = [];
  let number = -1;
  for await (const change of changes) {
    check(change.index);
    const its = Math.floor(change.index / STRIPE_BLOCKS);
    // A scattered listing would make stripes of one block each: then they are cut by count.
    if (stripe.length >= STRIPE_BLOCKS || (its !== number && stripe.length >= STRIPE_BLOCKS / 4)) {
      yield stripe;
      stripe = [];
    }
    number = its;
    stripe.push(change);
  }
  if (stripe.length > 0) yield stripe;
}

/** Hands each piece of work to the lane that has the least to do; `size` says how much a piece is. */
export function createShare<Lane>(lanes: readonly Lane[]) {
  const load = new Map(lanes.map((lane) => [lane, 0]));
  const loadOf = (lane: Lane) => load.get(lane) ?? 0;
  return async <T>(size: number, work: (lane: Lane) => Promise<T>): Promise<T> => {
    const [lane] = lanes.toSorted((a, b) => loadOf(a) - loadOf(b));
    if (lane === undefined) throw new Fault('internal', 'There is no lane to copy blocks.');
    load.set(lane, loadOf(lane) + size);
    try {
      return await work(lane);
    } finally {
      load.set(lane, loadOf(lane) - size);
    }
  };
}

/** Shares the changes of a volume among lanes, and gives what became of them in the order of the volume. */
export async function* copyInLanes(
  source: BlockSource,
  changes: AsyncIterable<BlockChange>,
  lanes: readonly BackupLane[],
): AsyncGenerator<Copied> {
  const share = createShare(lanes);
  const copy = (stripe: readonly BlockChange[]) => share(stripe.length, (lane) => lane.copy(stripe));
  const stripes = stripesOf(changes, createOrderCheck(source));
  for await (const stripe of mapInOrder(stripes, lanes.length * STRIPES_PER_LANE, copy)) yield* stripe;
}

/** All lanes as one writer of packs. */
export const allPacks = (lanes: readonly BackupLane[]) => ({
  close: async () => void (await Promise.all(lanes.map((lane) => lane.closePack()))),
  finish: async () => void (await Promise.all(lanes.map((lane) => lane.finish()))),
  settle: async () => void (await Promise.all(lanes.map((lane) => lane.settle()))),
  totals: () =>
    lanes
      .map((lane) => lane.totals())
      .reduce(
        (sum, one) => ({
          blocksStored: sum.blocksStored + one.blocksStored,
          bytesStored: sum.bytesStored + one.bytesStored,
        }),
        { blocksStored: 0, bytesStored: 0 },
      ),
});
