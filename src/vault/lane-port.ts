import { type Calls, connectPort, type Port } from '../core/port-calls.ts';
import { Fault } from '../core/faults.ts';
import type { LaneStart } from './backup-attempt.ts';
import { type BackupLane, type Copied, createLane, type KnownBlocks, type LaneTotals } from './lane.ts';
import type { AttemptRef, VolumeScope } from './layout.ts';
import type { StoredBlock } from './leaf.ts';
import { createPackWriter } from './pack-writer.ts';
import { type Closed, closedOf, type ContainerRef } from './places.ts';
import { assertNotAborted, onAbort, type StopReason } from './pipeline.ts';
import type { BlobStore, BlockChange, BlockSource } from './ports.ts';

/** What a lane in another thread is told when it is opened. Plain data: it is cloned. */
export type LaneOrder = {
  scope: VolumeScope;
  attempt: AttemptRef;
  idKey: Uint8Array;
  checkAll: boolean;
};

/** A block that a lane stored, and what it is known by. */
type News = { key: string; block: StoredBlock };
type Share = { copied: readonly Copied[]; news: readonly News[]; totals: LaneTotals };

/** What the thread of a lane answers. */
type LaneCalls = {
  copy(stripe: readonly BlockChange[]): Promise<Share>;
  closePack(input: null): Promise<void>;
  finish(input: null): Promise<LaneTotals>;
  settle(input: null): Promise<void>;
  stop(reason: StopReason): void;
};

/** What the thread of the run answers. */
type RunCalls = {
  openPack(input: null): Promise<{ ordinal: number; dataKey: Uint8Array }>;
  closedPack(pack: { ordinal: number; closed: Closed }): Promise<Date | undefined>;
  find(keys: readonly string[]): readonly (StoredBlock | null)[];
};

/** Own blocks that a lane remembers: more than the packs that are being filled hold, for those the run cannot tell. */
const OWN_MAX = 16_384;

/** Asks the run for what is known, many keys in one message; keeps the answers and the newest of the lane's own blocks. */
function createKnownBlocks(find: (keys: readonly string[]) => Promise<readonly (StoredBlock | null)[]>) {
  const blocks = new Map<string, StoredBlock>();
  let news: News[] = [];
  let batch: { keys: string[]; answer: Promise<void> } | null = null;
  function keep(key: string, block: StoredBlock): void {
    blocks.set(key, block);
    const [oldest] = blocks.keys();
    if (blocks.size > OWN_MAX && oldest !== undefined) blocks.delete(oldest);
  }
  async function ask(keys: readonly string[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    batch = null;
    for (const [n, block] of (await find(keys)).entries()) if (block) keep(keys[n] ?? '', block);
  }
  const known: KnownBlocks = {
    async lookAhead(key) {
      if (blocks.has(key)) return;
      if (!batch) {
        const keys: string[] = [];
        batch = { keys, answer: ask(keys) };
      }
      batch.keys.push(key);
      await batch.answer;
    },
    find: (key) => blocks.get(key) ?? null,
    add(key, block) {
      keep(key, block);
      news.push({ key, block });
    },
  };
  return { known, takeNews: () => news.splice(0) };
}

/** The lane's own end: copies blocks as the other end says. Nothing is left of it once the port is closed. */
export function serveLane(
  port: Port,
  order: LaneOrder,
  parts: { source: Pick<BlockSource, 'blockBytes' | 'fetch'>; store: BlobStore; random: (bytes: number) => Uint8Array },
): void {
  const { source } = parts;
  const stopping = new AbortController();
  const { known, takeNews } = createKnownBlocks((keys) => call('find', keys));
  const packs = createPackWriter({
    ...order,
    ...parts,
    blockBytes: source.blockBytes,
    packs: {
      open: () => call('openPack', null),
      closed: (pack) => call('closedPack', { ordinal: pack.ordinal, closed: closedOf(pack) }),
    },
  });
  const assertGoingOn = () => assertNotAborted(stopping.signal);
  const lane = createLane({ source, idKey: order.idKey, known, packs, assertGoingOn });
  const mine: LaneCalls = {
    async copy(stripe) {
      const copied = await lane.copy(stripe);
      return { copied, news: takeNews(), totals: lane.totals() };
    },
    closePack: () => lane.closePack(),
    async finish() {
      await lane.finish();
      return lane.totals();
    },
    settle: () => lane.settle(),
    stop: ({ code, message }) => stopping.abort(new Fault(code, message)),
  };
  const call = connectPort<RunCalls>(port, mine satisfies Calls);
}

/**
 * Packs that the lanes of a run are filling: a block may be told of before its pack has a name. Refs that were cloned on their way
 * become the run's own again.
 */
export function createOpenPacks(start: LaneStart) {
  const { scope, attempt } = start;
  const open = new Map<number, ContainerRef>();
  const own = (block: StoredBlock): StoredBlock => {
    if (block.pack.closed) return block;
    const pack = open.get(block.pack.ordinal);
    if (!pack) throw new Fault('internal', 'A block lies in a pack that nobody has begun.');
    return { ...block, pack };
  };
  const runCalls: RunCalls = {
    async openPack() {
      const { ordinal, dataKey } = await start.packs.open();
      open.set(ordinal, { volumeId: scope.volumeId, ...attempt, ordinal, closed: null });
      return { ordinal, dataKey };
    },
    async closedPack({ ordinal, closed }) {
      const pack = open.get(ordinal);
      if (!pack) throw new Fault('internal', 'A pack was closed that nobody has begun.');
      open.delete(ordinal);
      pack.closed = closed;
      return start.packs.closed(pack);
    },
    // A pack without a name yet may be closed before the answer is used: such a block is stored once more.
    find: (keys) =>
      keys.map((key) => {
        const block = start.known.find(key);
        return block?.pack.closed ? block : null;
      }),
  };
  return { own, runCalls };
}

/** The run's end of a lane in another thread. */
export function connectLane(port: Port, start: LaneStart, packs: ReturnType<typeof createOpenPacks>): BackupLane {
  const call = connectPort<LaneCalls>(port, packs.runCalls satisfies Calls);
  let totals: LaneTotals = { blocksStored: 0, bytesStored: 0 };
  // A lane that is gone has stopped.
  const deafen = onAbort(start.signal, ({ code, message }) => void call('stop', { code, message }).catch(() => {}));
  return {
    async copy(stripe) {
      const share = await call('copy', stripe);
      for (const { key, block } of share.news) start.known.add(key, packs.own(block));
      totals = share.totals;
      start.onCopied(share.copied.length);
      return share.copied.map((one) => (one.block ? { ...one, block: packs.own(one.block) } : one));
    },
    closePack: () => call('closePack', null),
    async finish() {
      totals = await call('finish', null);
    },
    async settle() {
      deafen();
      await call('settle', null).catch(() => {}); // Of a thread that is gone nothing is under way.
    },
    totals: () => totals,
  };
}
