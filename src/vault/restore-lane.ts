import { createSecretKey } from 'node:crypto';
import type { StoredBlock } from './leaf.ts';
import type { PackReader, SealedBlock } from './pack-reader.ts';
import { mapInOrder } from './pipeline.ts';
import type { BlockSink } from './ports.ts';

/** Blocks that are read together, so that neighbours in a pack come in one request: 4 to 8 MiB of it. */
const BATCH_BLOCKS = 16;
/** Batches of a span being read, while the one before is being written. */
const BATCHES_IN_FLIGHT = 2;
/** Blocks of a span being opened and written to the sink. */
const WRITES_IN_FLIGHT = 32;
export const DIGEST_BYTES = 32;

/** Where the bytes of a block of the volume lie. */
export type Place = { index: number; block: StoredBlock };

/** Opens blocks out of packs and writes them: one thread's share of a restore. Several spans may be under way. */
export type RestoreLane = {
  /** The SHA-256 of each block that was written, one after another, in the order of `span`. */
  write(span: readonly Place[]): Promise<Uint8Array>;
  /** Waits for what is under way and forgets how it ended. */
  settle(): Promise<void>;
};

export type RestoreLaneDeps = {
  packs: PackReader;
  sink: Pick<BlockSink, 'put'>;
  idKey: Uint8Array;
  blockBytes: number;
  assertGoingOn: () => void;
};

/** What of a span is read together. */
export function* batchesOf(span: readonly Place[]): Generator<readonly Place[]> {
  for (let from = 0; from < span.length; from += BATCH_BLOCKS) yield span.slice(from, from + BATCH_BLOCKS);
}

async function* flatten<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const batch of batches) yield* batch;
}

/** A lane in this thread. */
export function createRestoreLane(deps: RestoreLaneDeps): RestoreLane {
  const { packs, sink, blockBytes, assertGoingOn } = deps;
  const idKey = createSecretKey(deps.idKey); // Prepared once, not for each block.
  const flying = new Set<Promise<unknown>>();

  async function writeSpan(span: readonly Place[]): Promise<Uint8Array> {
    const reading = mapInOrder(batchesOf(span), BATCHES_IN_FLIGHT, async (batch) => {
      assertGoingOn();
      return packs.read(batch);
    });
    const writing = mapInOrder(flatten(reading), WRITES_IN_FLIGHT, async (sealed: SealedBlock) => {
      assertGoingOn();
      const { bytes, sha256 } = packs.open(sealed, idKey, blockBytes);
      await sink.put(sealed.index, bytes, sha256);
      return sha256;
    });
    const digests = new Uint8Array(span.length * DIGEST_BYTES);
    let at = 0;
    for await (const digest of writing) {
      digests.set(digest, at);
      at += DIGEST_BYTES;
    }
    return digests;
  }

  return {
    write(span) {
      const work = writeSpan(span);
      flying.add(work);
      const done = () => void flying.delete(work);
      work.then(done, done);
      return work;
    },
    settle: async () => void (await Promise.allSettled(flying)),
  };
}
