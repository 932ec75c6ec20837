import { createHash, createHmac, type Hash, type KeyObject } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { equalBytes, sha256, toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { SALT_BYTES } from '../crypto/object-key.ts';
import {
  createObjectSealer,
  type ObjectSealer,
  type OpenedObject,
  openSealedObject,
  TAG_BYTES,
} from '../crypto/sealed-object.ts';
import { createEncoder, decode, encode } from './codec.ts';
import { type DirectoryEntry, encodeDirectory, encodeTail } from './directory.ts';
import { type AttemptRef, contextOf, PACK_BYTES_MAX, packKey, type VolumeScope } from './layout.ts';
import type { StoredBlock } from './leaf.ts';
import { type ContainerRef, objectRefOf } from './places.ts';
import type { BlobStore, PutOptions } from './ports.ts';
import { createUploads } from './uploads.ts';

/** A pack is closed when it has grown to this many bytes … */
const PACK_BYTES = 16 * 2 ** 20;
/** … or holds this many blocks. */
const PACK_SLOTS_MAX = 4_096;
/** More than a slot takes in the directory, and more than all else that ends a pack. */
const DIRECTORY_BYTES_PER_SLOT = 48;
const TAIL_BYTES = 1_024;
/** Packs that are on their way to the store while the next one is filled. */
const PUTS_IN_FLIGHT = 3;
/** One block in this many is opened again as soon as it is sealed, and compared. */
const CHECK_EVERY = 32;

type OpenPack = {
  ref: ContainerRef;
  sealer: ObjectSealer;
  checker: OpenedObject;
  memory: Uint8Array;
  digest: Hash;
  directory: DirectoryEntry[];
  sizeBytes: number;
};

/** Numbers the packs of an attempt, gives each its key, and hears of each as it is closed: all lanes share one. */
export type PackNumbers = {
  open(): Promise<{ ordinal: number; dataKey: Uint8Array }>;
  /** Until when the pack is locked as it is put. */
  closed(pack: ContainerRef): Promise<Date | undefined>;
};

export type PackWriterOptions = {
  store: BlobStore;
  scope: VolumeScope;
  attempt: AttemptRef;
  blockBytes: number;
  random: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor | undefined;
  /** Open every block again, not a sample. */
  checkAll?: boolean | undefined;
  /** When a pack is closed. Less in tests, so that a small volume has many. */
  packBytes?: number | undefined;
  packs: PackNumbers;
};

/** Identity of a block in a dedup scope: HMAC-SHA-256 over its SHA-256, so that the block itself is hashed once. */
export function blockId(idKey: Uint8Array | KeyObject, blockSha256: Uint8Array): Uint8Array {
  return createHmac('sha256', idKey).update(blockSha256).digest();
}

async function beginPack(options: PackWriterOptions, memory: Uint8Array): Promise<OpenPack> {
  const { scope, attempt, random, monitor } = options;
  const { ordinal, dataKey } = await options.packs.open();
  const ref: ContainerRef = { volumeId: scope.volumeId, ...attempt, ordinal, closed: null };
  const context = contextOf(scope, attempt, 'pack', ordinal);
  const sealer = createObjectSealer({ dataKey, context, salt: random(SALT_BYTES), monitor });
  const checker = openSealedObject(dataKey, sealer.header, context);
  return { ref, sealer, checker, memory, digest: createHash('sha256'), directory: [], sizeBytes: 0 };
}

/** What was sealed must open to what was read, while the source is still there to be read again. */
function check(pack: OpenPack, slot: number, blockBytes: number, blockSha256: Uint8Array): void {
  const entry = pack.directory[slot];
  if (!entry) throw new Fault('internal', 'A block was sealed and not listed.');
  const { offset, lengthBytes, codec, id } = entry;
  const sealed = pack.memory.subarray(offset, offset + lengthBytes);
  const bytes = decode({ codec, bytes: pack.checker.open({ number: slot, codec, id }, sealed) }, blockBytes);
  if (!equalBytes(sha256(bytes), blockSha256)) throw new Fault('internal', 'A block did not survive being sealed.');
}

/** Seals blocks into packs in the order they come, and stores each pack under the SHA-256 of its bytes. */
export function createPackWriter(options: PackWriterOptions) {
  const { store, scope, blockBytes, packBytes = PACK_BYTES } = options;
  const uploads = createUploads(PUTS_IN_FLIGHT);
  const encodeBlock = createEncoder();
  /** Memory of packs that are stored, used again: sixteen MiB that are new cost a run of the collector each. */
  const free: Uint8Array[] = [];
  const slotsMax = Math.min(PACK_SLOTS_MAX, 1 + Math.ceil(packBytes / TAG_BYTES));
  const memoryBytes = packBytes + blockBytes + slotsMax * DIRECTORY_BYTES_PER_SLOT + TAIL_BYTES;
  if (memoryBytes > PACK_BYTES_MAX) throw new Fault('internal', 'Packs of this size would not be read again.');
  let open: OpenPack | null = null;
  let blocks = 0;
  let bytesStored = 0;

  async function upload({ ref, memory }: OpenPack, bytes: Uint8Array, put: PutOptions): Promise<void> {
    await store.putNew(packKey(scope.volumeId, objectRefOf(ref)), bytes, put); // 'exists': the same bytes are there already.
    bytesStored += bytes.length;
    free.push(memory);
  }

  /** Ends the pack that is being filled, if any. Its name is then known; its bytes are on their way. */
  async function close(): Promise<void> {
    if (!open) return;
    const pack = open;
    const { ref, memory, sealer, directory, sizeBytes } = pack;
    open = null;
    const { codec, bytes: plaintext } = encode(encodeDirectory(directory));
    const tail = encodeTail(codec, sealer.sealDirectory(codec, plaintext), sealer.header);
    memory.set(tail, sizeBytes);
    const bytes = memory.subarray(0, sizeBytes + tail.length);
    const digest = pack.digest.update(tail).digest();
    ref.closed = { sizeBytes: bytes.length, directoryOffset: sizeBytes, sha256: toHex(digest) };
    const lockUntil = await options.packs.closed(ref);
    await uploads.start(upload(pack, bytes, { sha256: digest, lockUntil }));
  }

  return {
    close,
    bytesStored: () => bytesStored,
    blocksStored: () => blocks,
    /** @param id the block's id; `blockSha256` is what it must still have after being opened again */
    async add(block: Uint8Array, id: Uint8Array, blockSha256: Uint8Array): Promise<StoredBlock> {
      const pack = open ?? (await beginPack(options, free.pop() ?? new Uint8Array(memoryBytes)));
      open = pack;
      const { codec, bytes } = encodeBlock(block);
      const { memory, sizeBytes: offset } = pack;
      const { number, lengthBytes } = pack.sealer.sealInto({ codec, id }, bytes, memory, offset);
      const sealed = memory.subarray(offset, offset + lengthBytes);
      pack.digest.update(sealed); // Now, while it is in the processor's cache.
      pack.directory.push({ offset, lengthBytes, codec, id });
      pack.sizeBytes += lengthBytes;
      blocks += 1;
      if (options.checkAll || blocks % CHECK_EVERY === 1) check(pack, number, blockBytes, blockSha256);
      if (pack.sizeBytes >= packBytes || pack.directory.length === PACK_SLOTS_MAX) await close();
      return { pack: pack.ref, slot: number };
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
