import { createByteReader, createByteWriter, fromHex, toHex } from '../crypto/bytes.ts';
import { ATTEMPT_BYTES } from '../crypto/object-header.ts';
import { createBlockList, createBlockTable } from './block-table.ts';
import type { StoredBlock } from './leaf.ts';
import { type AttemptRef, packKey } from './layout.ts';
import { closedOf, type ContainerRef, containerName, corrupt, DIGEST_BYTES, entryOf, objectRefOf } from './places.ts';

/** Blocks that one dedup page lists. */
const PAGE_ENTRIES = 32_768;
/** Dedup pages that a root names: its own run's, then those of runs before it. */
export const DEDUP_PAGES_MAX = 64;
/** Blocks that one run remembers: the beginning of a volume, where what is the same elsewhere (a system) lies. */
const REMEMBERED_MAX = 8 * PAGE_ENTRIES;
/** All entries that a writer holds, of its own run and of earlier ones: 22 MiB (`block-table.ts`). */
const KNOWN_MAX = 16 * PAGE_ENTRIES;
const PREFIX_BYTES = 16;

/** What a block is known by: the first 128 bits of its id, as characters of one byte each. */
export const dedupKey = (id: Uint8Array): string => Buffer.from(id.subarray(0, PREFIX_BYTES)).toString('latin1');

function encodePage(page: number, entries: readonly [string, StoredBlock][]): Uint8Array {
  const packs = new Map<string, { pack: ContainerRef; number: number }>();
  for (const [, { pack }] of entries) {
    const name = containerName(pack);
    if (!packs.has(name)) packs.set(name, { pack, number: packs.size });
  }
  const writer = createByteWriter();
  const [first] = packs.values();
  writer.u32(page);
  writer.text(first?.pack.runId ?? '');
  writer.bytes(fromHex(first?.pack.attempt ?? ''));
  writer.u16(packs.size);
  for (const { pack } of packs.values()) {
    const { sizeBytes, directoryOffset, sha256 } = closedOf(pack);
    writer.u32(pack.ordinal);
    writer.u32(sizeBytes);
    writer.u32(directoryOffset);
    writer.bytes(fromHex(sha256));
  }
  writer.u16(entries.length);
  for (const [prefix, { pack, slot }] of entries) {
    writer.bytes(Buffer.from(prefix, 'latin1'));
    writer.u16(packs.get(containerName(pack))?.number ?? 0);
    writer.u16(slot);
  }
  return writer.done();
}

/**
 * Names of the packs of an attempt that are in the store and stay there (none of them is condemned), those up to `last` in lexical
 * order at least.
 */
export type StoredPacks = (attempt: AttemptRef, last: string) => Promise<ReadonlySet<string>>;

type DedupPage = { attempt: AttemptRef; packs: ContainerRef[]; entries: [string, StoredBlock][] };

function decodePage(volumeId: string, page: number, bytes: Uint8Array): DedupPage {
  const what = `Dedup page ${page}`;
  const reader = createByteReader(bytes);
  if (reader.u32() !== page) throw corrupt(what);
  const [runId, attempt] = [reader.text(), toHex(reader.bytes(ATTEMPT_BYTES))];
  const packs = reader.table(() => ({
    volumeId,
    runId,
    attempt,
    ordinal: reader.u32(),
    closed: { sizeBytes: reader.u32(), directoryOffset: reader.u32(), sha256: toHex(reader.bytes(DIGEST_BYTES)) },
  }));
  const entries = reader.table((): [string, StoredBlock] => {
    const prefix = Buffer.from(reader.bytes(PREFIX_BYTES)).toString('latin1');
    return [prefix, { pack: entryOf(packs, reader.u16(), what), slot: reader.u16() }];
  });
  reader.end();
  return { attempt: { runId, attempt }, packs, entries };
}

/**
 * What a writer knows of blocks that are stored already, by the first 128 bits of their ids. Only hints: what is missing here is
 * stored again. Bounded, whatever the volume.
 */
export function createDedupIndex() {
  const known = createBlockTable();
  let own = createBlockList();
  return {
    find: (key: string): StoredBlock | null => known.get(key),
    /** A block that this run has stored. */
    add(key: string, block: StoredBlock): void {
      if (own.length() < REMEMBERED_MAX) own.push(key, block);
      if (known.size() < KNOWN_MAX) known.set(key, block);
    },
    /**
     * Takes in a page of an earlier run of `volumeId`. A page outlives what it speaks of, so packs that are gone are left out.
     * False: there is no room for more.
     */
    async load(volumeId: string, page: number, bytes: Uint8Array, storedPacks: StoredPacks): Promise<boolean> {
      const { attempt, packs, entries } = decodePage(volumeId, page, bytes);
      const names = new Map(packs.map((pack) => [pack, packKey(volumeId, objectRefOf(pack))]));
      const last = [...names.values()].reduce((a, b) => (a > b ? a : b), '');
      const stored = await storedPacks(attempt, last);
      for (const [prefix, block] of entries) {
        if (!stored.has(names.get(block.pack) ?? '')) continue;
        if (known.size() >= KNOWN_MAX) return false;
        if (!known.get(prefix)) known.set(prefix, block);
      }
      return true;
    },
    /** The pages of this run, once its packs are closed. */
    pages(): Uint8Array[] {
      const listed = own;
      own = createBlockList();
      const order = listed.order();
      const pages: Uint8Array[] = [];
      for (let from = 0; from < order.length; from += PAGE_ENTRIES) {
        const entries = [...order.subarray(from, from + PAGE_ENTRIES)].map((n) => listed.at(n));
        pages.push(
          encodePage(
            pages.length,
            entries.filter((entry) => entry !== null),
          ),
        );
      }
      return pages;
    },
  };
}

export type DedupIndex = ReturnType<typeof createDedupIndex>;
