import { Fault } from '../core/faults.ts';
import { equalBytes, sha256, toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { SALT_BYTES } from '../crypto/object-key.ts';
import { createObjectSealer, type ObjectSealer, type OpenedObject, openSealedObject } from '../crypto/sealed-object.ts';
import { decode, type Encoded } from './codec.ts';
import { contextOf, packKey, type VolumeScope } from './layout.ts';
import { closedPack, type PackRef, type StoredBlock } from './page.ts';
import type { BlobStore } from './ports.ts';
import type { AttemptKeys } from './run-keys.ts';

/** A pack is closed when it has grown to this many bytes … */
const PACK_BYTES = 16 * 2 ** 20;
/** … or holds this many blocks. */
const PACK_SLOTS_MAX = 4_096;
/** Packs that are on their way to the store while the next one is filled. */
const PUTS_IN_FLIGHT = 3;
/** One block in this many is opened again as soon as it is sealed, and compared. */
const CHECK_EVERY = 32;

type OpenPack = { ref: PackRef; sealer: ObjectSealer; checker: OpenedObject; parts: Uint8Array[]; sizeBytes: number };

export type PackWriterOptions = {
  store: BlobStore;
  scope: VolumeScope;
  attempt: AttemptKeys;
  blockBytes: number;
  random: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor | undefined;
  /** Open every block again, not a sample. */
  checkAll?: boolean | undefined;
};

/** Puts under way: at most `limit`; the first failure is thrown by whatever is called next. */
function createUploads(limit: number) {
  const flying = new Set<Promise<void>>();
  let failure: { error: unknown } | null = null;
  const check = () => {
    if (failure) throw failure.error;
  };
  return {
    /** Takes over an upload, and returns as soon as another one may begin. */
    async start(upload: Promise<void>): Promise<void> {
      const done = (error?: { error: unknown }) => {
        failure ??= error ?? null;
        flying.delete(tracked);
      };
      const tracked: Promise<void> = upload.then(
        () => done(),
        (error: unknown) => done({ error }),
      );
      flying.add(tracked);
      if (flying.size >= limit) await Promise.race(flying);
      check();
    },
    async finish(): Promise<void> {
      await Promise.all(flying);
      check();
    },
    async settle(): Promise<void> {
      await Promise.all(flying);
    },
  };
}

/** Seals blocks into packs in the order they come, and stores each pack under the SHA-256 of its bytes. */
export function createPackWriter(options: PackWriterOptions) {
  const { store, scope, attempt, random, monitor } = options;
  const uploads = createUploads(PUTS_IN_FLIGHT);
  let open: OpenPack | null = null;
  let ordinal = 0;
  let blocks = 0;
  let bytesStored = 0;

  function begin(): OpenPack {
    const ref: PackRef = { runId: attempt.runId, attempt: attempt.attempt, ordinal, sha256: null };
    ordinal += 1;
    const context = contextOf(scope, attempt, 'pack', ref.ordinal);
    const sealer = createObjectSealer({ dataKey: attempt.keys.pack, salt: random(SALT_BYTES), context, monitor });
    const checker = openSealedObject(attempt.keys.pack, sealer.header, context);
    return { ref, sealer, checker, parts: [sealer.header], sizeBytes: sealer.header.length };
  }

  /** What was sealed must open to what was read, while the source is still there to be read again. */
  async function check(pack: OpenPack, block: StoredBlock, sealed: Uint8Array): Promise<void> {
    const slot = { number: block.slot, codec: block.codec, id: block.sha256 };
    const bytes = await decode({ codec: block.codec, bytes: pack.checker.open(slot, sealed) }, options.blockBytes);
    if (!equalBytes(sha256(bytes), block.sha256)) throw new Fault('internal', 'A block did not survive being sealed.');
  }

  async function upload(ref: PackRef, bytes: Uint8Array): Promise<void> {
    await store.putNew(packKey(scope.volumeId, closedPack(ref)), bytes); // 'exists': the same bytes are there already.
    bytesStored += bytes.length;
  }

  /** Ends the pack that is being filled, if any. Its name is then known; its bytes are on their way. */
  async function close(): Promise<void> {
    if (!open) return;
    const { ref, parts } = open;
    open = null;
    const bytes = Buffer.concat(parts);
    ref.sha256 = toHex(sha256(bytes));
    await uploads.start(upload(ref, bytes));
  }

  return {
    close,
    bytesStored: () => bytesStored,
    blocksStored: () => blocks,
    async add({ codec, bytes }: Encoded, id: Uint8Array): Promise<StoredBlock> {
      open ??= begin();
      const pack = open;
      const { number, sealed } = pack.sealer.seal({ codec, id }, bytes);
      const block = {
        pack: pack.ref,
        slot: number,
        offset: pack.sizeBytes,
        lengthBytes: sealed.length,
        codec,
        sha256: id,
      };
      pack.parts.push(sealed);
      pack.sizeBytes += sealed.length;
      blocks += 1;
      if (options.checkAll || blocks % CHECK_EVERY === 1) await check(pack, block, sealed);
      if (pack.sizeBytes >= PACK_BYTES || pack.parts.length > PACK_SLOTS_MAX) await close();
      return block;
    },
    /** Waits until every pack is durable. Throws what any of them failed with. */
    async finish(): Promise<void> {
      await close();
      await uploads.finish();
    },
    /** Waits for what is under way and forgets how it ended. */
    settle: () => uploads.settle(),
  };
}

export type PackWriter = ReturnType<typeof createPackWriter>;
