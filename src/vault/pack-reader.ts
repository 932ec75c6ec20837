import type { KeyObject } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import { type OpenedObject, openSealedObject } from '../crypto/sealed-object.ts';
import { decode } from './codec.ts';
import { type DirectoryEntry, headerOfTail, openDirectory } from './directory.ts';
import { contextOf, PACK_BYTES_MAX, packKey, packKeyName, type VolumeScope } from './layout.ts';
import type { StoredBlock } from './leaf.ts';
import type { VaultDeps } from './manifest.ts';
import { blockId } from './pack-writer.ts';
import { closedOf, type ContainerRef, containerName, corrupt, objectRefOf } from './places.ts';
import type { BlobStore } from './ports.ts';
import type { DataKeys } from './run-keys.ts';

/** Bytes between two wanted blocks that are read along rather than asked around. */
const GAP_BYTES = 256 * 1_024;
/**
 * Slots of packs whose keys and directory are kept, about 300 bytes each: a pack costs one small read and two derivations when it
 * falls out. Packs of blocks that compress well have thousands, so packs are not what is counted.
 */
const OPENED_SLOTS_MAX = 32_768;

type Opened = { keys: OpenedObject; directory: readonly DirectoryEntry[] };

/** A block's sealed bytes, read but not yet opened, with what opens them. */
export type SealedBlock = {
  index: number;
  slot: number;
  entry: DirectoryEntry;
  sealed: Uint8Array;
  keys: OpenedObject;
};

type Wanted = { index: number; block: StoredBlock };
type Placed = { index: number; slot: number; entry: DirectoryEntry };
type Range = { start: number; end: number; placed: Placed[] };

/** One read of a pack: neighbouring slots. */
export type PackRead = { object: string; start: number; length: number; placed: readonly Placed[]; keys: OpenedObject };

/** The fewest reads that fetch these slots of one pack: neighbours in one. Pure. */
function planRanges(placed: readonly Placed[]): Range[] {
  const ranges: Range[] = [];
  let range: Range | null = null;
  for (const one of placed.toSorted((a, b) => a.entry.offset - b.entry.offset)) {
    const { offset, lengthBytes } = one.entry;
    if (!range || offset - range.end > GAP_BYTES) {
      range = { start: offset, end: offset, placed: [] };
      ranges.push(range);
    }
    range.end = Math.max(range.end, offset + lengthBytes);
    range.placed.push(one);
  }
  return ranges;
}

async function readRange(store: BlobStore, { object, start, length, placed, keys }: PackRead): Promise<SealedBlock[]> {
  const bytes = await store.get(object, { start, length });
  if (bytes.length !== length) throw corrupt('A stored pack');
  return placed.map(({ index, slot, entry }) => {
    const from = entry.offset - start;
    return { index, slot, entry, sealed: bytes.subarray(from, from + entry.lengthBytes), keys };
  });
}

function openBlock(
  block: SealedBlock,
  idKey: Uint8Array | KeyObject,
  blockBytes: number,
): { bytes: Uint8Array; sha256: Uint8Array } {
  const { index, slot, entry, sealed, keys } = block;
  const { codec, id } = entry;
  const bytes = decode({ codec, bytes: keys.open({ number: slot, codec, id }, sealed) }, blockBytes);
  const digest = sha256(bytes);
  if (bytes.length !== blockBytes || !equalBytes(blockId(idKey, digest), id))
    throw new Fault('object_corrupt', `Stored block ${index} is not what was backed up.`);
  return { bytes, sha256: digest };
}

/** Opens each pack once, and forgets those opened first as long as there are too many slots. */
function createOpenedPacks(open: (pack: ContainerRef) => Promise<Opened>) {
  const opened = new Map<string, Promise<Opened>>();
  const kept = new Map<string, number>();
  let slotsKept = 0;
  function keep(name: string, slots: number): void {
    kept.set(name, slots);
    slotsKept += slots;
    for (const [oldest, its] of kept) {
      if (slotsKept <= OPENED_SLOTS_MAX) return;
      kept.delete(oldest);
      opened.delete(oldest);
      slotsKept -= its;
    }
  }
  return (pack: ContainerRef): Promise<Opened> => {
    const name = containerName(pack);
    const known = opened.get(name);
    if (known) return known;
    const opening = open(pack);
    opened.set(name, opening);
    opening.then(
      ({ directory }) => keep(name, directory.length),
      () => opened.delete(name),
    );
    return opening;
  };
}

/** Reads blocks out of packs. */
export function createPackReader(deps: Pick<VaultDeps, 'store'>, scope: VolumeScope, ring: DataKeys) {
  const packOf = createOpenedPacks(openPack);

  /** One read of a pack's end gives its keys and its directory. */
  async function openPack(pack: ContainerRef): Promise<Opened> {
    const { sizeBytes, directoryOffset } = closedOf(pack);
    if (sizeBytes > PACK_BYTES_MAX || directoryOffset >= sizeBytes) throw corrupt('A page');
    const start = directoryOffset;
    const [dataKey, tail] = await Promise.all([
      ring.dataKey(pack, packKeyName(pack.ordinal)),
      deps.store.get(packKey(pack.volumeId, objectRefOf(pack)), { start, length: sizeBytes - start }),
    ]);
    if (tail.length !== sizeBytes - start) throw corrupt('The end of a stored pack');
    const context = contextOf({ ...scope, volumeId: pack.volumeId }, pack, 'pack', pack.ordinal);
    const keys = openSealedObject(dataKey, headerOfTail(tail), context);
    return { keys, directory: openDirectory(keys, tail, directoryOffset) };
  }

  async function planPack(pack: ContainerRef, wanted: readonly Wanted[]): Promise<PackRead[]> {
    const { keys, directory } = await packOf(pack);
    const placed = wanted.map(({ index, block: { slot } }) => {
      const entry = directory[slot];
      if (!entry) throw corrupt('A page');
      return { index, slot, entry };
    });
    const object = packKey(pack.volumeId, objectRefOf(pack));
    return planRanges(placed).map(({ start, end, placed: blocks }) => ({
      object,
      start,
      length: end - start,
      placed: blocks,
      keys,
    }));
  }

  /** Does something with the reads of each pack as soon as they are known. */
  async function perPack<T>(wanted: readonly Wanted[], work: (reads: PackRead[]) => Promise<T[]>): Promise<T[]> {
    const packs = Map.groupBy(wanted, ({ block }) => containerName(block.pack));
    const done = [...packs.values()].map(async (blocks) => {
      const [first] = blocks;
      return first ? work(await planPack(first.block.pack, blocks)) : [];
    });
    return (await Promise.all(done)).flat();
  }

  return {
    /** What `read` of these blocks would read, beside the ends of packs: those are read, for where blocks lie. */
    plan: (wanted: readonly Wanted[]): Promise<PackRead[]> => perPack(wanted, async (reads) => reads),
    /** Reads the sealed bytes of some blocks. They come in the order of their indexes. */
    async read(wanted: readonly Wanted[]): Promise<SealedBlock[]> {
      const blocks = await perPack(wanted, async (reads) =>
        (await Promise.all(reads.map((one) => readRange(deps.store, one)))).flat(),
      );
      return blocks.toSorted((a, b) => a.index - b.index);
    },
    /**
     * The block's own bytes and their SHA-256: what is returned has the id that was authenticated with it.
     *
     * @throws Fault `wrong_key`, `object_corrupt`, `object_missing`, `key_unavailable`, `store_unavailable`
     */
    open: openBlock,
  };
}

export type PackReader = ReturnType<typeof createPackReader>;
