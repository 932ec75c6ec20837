import { createSecretKey } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import { isZero } from './codec.ts';
import { dedupKey } from './dedup.ts';
import type { StoredBlock } from './leaf.ts';
import { blockId, type PackWriter } from './pack-writer.ts';
import type { BlockChange, BlockRef, BlockSource } from './ports.ts';

/** Blocks of a lane that are being fetched, or wait for their turn in its pack. */
export const WINDOW_BLOCKS = 64;
/** A block whose checksum is wrong is fetched again: the line may be to blame, the image cannot change. */
const FETCH_ATTEMPTS = 3;

/** What became of one change: where its block lies now; null reads as zeros. `read`: it was fetched. */
export type Copied = { index: number; block: StoredBlock | null; read: boolean };

/**
 * Takes stripes of a volume into packs of its own: one thread's share of a run. Stripes must ascend; several may be under way.
 */
export type BackupLane = {
  copy(stripe: readonly BlockChange[]): Promise<readonly Copied[]>;
  /** Ends the pack that is being filled. */
  closePack(): Promise<void>;
  /** Waits until every pack is durable. */
  finish(): Promise<void>;
  /** Waits for what is under way and forgets how it ended. */
  settle(): Promise<void>;
  totals(): LaneTotals;
};

export type LaneTotals = { blocksStored: number; bytesStored: number };

/** What a lane knows of blocks that are stored already. */
export type KnownBlocks = {
  /** Asks early what is known of a block, where `find` cannot tell by itself. */
  lookAhead?: (key: string) => Promise<void>;
  find(key: string): StoredBlock | null;
  add(key: string, block: StoredBlock): void;
};

export type LaneDeps = {
  source: Pick<BlockSource, 'blockBytes' | 'fetch'>;
  idKey: Uint8Array;
  known: KnownBlocks;
  packs: PackWriter;
  windowBlocks?: number;
  assertGoingOn: () => void;
  onCopied?: () => void;
};

type Fetched = { bytes: Uint8Array; sha256: Uint8Array };
type Named = Fetched & { id: Uint8Array; key: string; memory: Uint8Array };

/** First come, first served: at most `limit` hold a place. */
function createPlaces(limit: number) {
  let free = limit;
  const waiting: (() => void)[] = [];
  return {
    async take(): Promise<void> {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    give(): void {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    },
    /** Lets everybody through: nothing waits for a place that nobody will give. */
    open(): void {
      free = Number.POSITIVE_INFINITY;
      for (const next of waiting.splice(0)) next();
    },
  };
}

/**
 * Memory of blocks, used again and again. A new half MiB for each block costs more than its hash: the collector runs for every
 * hundred of them.
 */
function createMemory(blockBytes: number) {
  const free: Uint8Array[] = [];
  return {
    take: () => free.pop() ?? new Uint8Array(blockBytes),
    give: (memory: Uint8Array) => void free.push(memory),
  };
}

/** Fetches a block and holds it to the checksum that came with it. Null is a block of zeros. */
function createFetch(source: LaneDeps['source']) {
  const zeroSha256 = sha256(new Uint8Array(source.blockBytes));
  return async (ref: BlockRef, memory: Uint8Array): Promise<Fetched | null> => {
    for (let attempt = 1; ; attempt += 1) {
      const fetched = await source.fetch(ref, memory);
      const zero = fetched.bytes.length === source.blockBytes && isZero(fetched.bytes);
      const digest = zero ? zeroSha256 : sha256(fetched.bytes);
      if (fetched.bytes.length === source.blockBytes && equalBytes(digest, fetched.sha256))
        return zero ? null : fetched;
      if (attempt === FETCH_ATTEMPTS)
        throw new Fault('block_checksum_mismatch', `Block ${ref.index} is not what its checksum says.`);
    }
  };
}

/** A lane in this thread. */
export function createLane(deps: LaneDeps): BackupLane {
  const { known, packs, assertGoingOn } = deps;
  const idKey = createSecretKey(deps.idKey); // Prepared once, not for each block.
  const read = createFetch(deps.source);
  const memories = createMemory(deps.source.blockBytes);
  const places = createPlaces(deps.windowBlocks ?? WINDOW_BLOCKS);
  let turn: Promise<unknown> = Promise.resolve();
  let failed = false;

  /** Where a block lies: where the same one lies already, else its new place. */
  async function place({ bytes, sha256: digest, id, key }: Named): Promise<StoredBlock> {
    const same = known.find(key);
    if (same) return same;
    const block = await packs.add(bytes, id, digest);
    known.add(key, block);
    return block;
  }

  async function begin({ index, token }: BlockChange): Promise<Named | null> {
    await places.take();
    assertGoingOn();
    if (token === null || failed) return null;
    const memory = memories.take();
    const fetched = await read({ index, token }, memory);
    if (!fetched) {
      memories.give(memory);
      return null;
    }
    const id = blockId(idKey, fetched.sha256);
    const key = dedupKey(id);
    await known.lookAhead?.(key);
    return { ...fetched, id, key, memory };
  }

  async function copyInTurn(
    stripe: readonly BlockChange[],
    fetching: readonly Promise<Named | null>[],
    before: Promise<unknown>,
  ): Promise<Copied[]> {
    await before;
    const copied: Copied[] = [];
    for (const [n, { index, token }] of stripe.entries()) {
      const fetched = (await fetching[n]) ?? null;
      assertGoingOn();
      copied.push({ index, block: fetched && (await place(fetched)), read: token !== null });
      if (fetched) memories.give(fetched.memory);
      places.give();
      deps.onCopied?.();
    }
    return copied;
  }

  return {
    copy(stripe) {
      const fetching = stripe.map(begin);
      for (const one of fetching) one.catch(() => {}); // Each is awaited in its turn: until then it is not unhandled.
      const work = copyInTurn(stripe, fetching, turn);
      // What comes behind a failure fails with it, and nothing goes on behind the caller's back.
      turn = work.catch(async (error: unknown) => {
        failed = true;
        places.open();
        await Promise.allSettled(fetching);
        throw error;
      });
      turn.catch(() => {});
      return work;
    },
    closePack: () => packs.close(),
    finish: () => packs.finish(),
    async settle() {
      await turn.catch(() => {});
      await packs.settle();
    },
    totals: () => ({ blocksStored: packs.blocksStored(), bytesStored: packs.bytesStored() }),
  };
}
