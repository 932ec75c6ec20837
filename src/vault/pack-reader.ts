import { Fault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import { HEADER_BYTES } from '../crypto/object-header.ts';
import { type OpenedObject, openSealedObject } from '../crypto/sealed-object.ts';
import { decode } from './codec.ts';
import { contextOf, packKey, type VolumeScope } from './layout.ts';
import type { VaultDeps } from './manifest.ts';
import { closedPack, type PackRef, type StoredBlock } from './page.ts';
import type { KeyRing } from './run-keys.ts';

/** Bytes between two wanted blocks that are read along rather than asked around. */
const GAP_BYTES = 256 * 1_024;
/** Packs whose keys are kept derived: a derivation and a small read each when one falls out. */
const OPENED_PACKS_MAX = 1_024;

/** A block's place and its sealed bytes, read but not yet opened, with the pack's keys. */
export type SealedBlock = { index: number; block: StoredBlock; sealed: Uint8Array; pack: OpenedObject };

type Wanted = { index: number; block: StoredBlock };
type Range = { pack: PackRef; start: number; end: number; wanted: Wanted[] };

const nameOf = (pack: PackRef) => `${pack.runId}/${pack.attempt}/${pack.ordinal}`;

/** The fewest reads that fetch these blocks: for each pack, neighbours in one read. Pure. */
function planRanges(wanted: readonly Wanted[]): Range[] {
  const ranges: Range[] = [];
  const byPack = Map.groupBy(wanted, ({ block }) => nameOf(block.pack));
  for (const blocks of byPack.values()) {
    let range: Range | null = null;
    for (const one of blocks.toSorted((a, b) => a.block.offset - b.block.offset)) {
      const { offset, lengthBytes, pack } = one.block;
      if (!range || offset - range.end > GAP_BYTES) {
        range = { pack, start: offset, end: offset, wanted: [] };
        ranges.push(range);
      }
      range.end = Math.max(range.end, offset + lengthBytes);
      range.wanted.push(one);
    }
  }
  return ranges;
}

/** Reads blocks of one volume out of its packs. */
export function createPackReader(deps: VaultDeps, scope: VolumeScope, ring: KeyRing) {
  const opened = new Map<string, Promise<OpenedObject>>();

  async function openPack(pack: PackRef): Promise<OpenedObject> {
    const [dataKey, header] = await Promise.all([
      ring.dataKey(pack, 'pack'),
      deps.store.get(packKey(scope.volumeId, closedPack(pack)), { start: 0, length: HEADER_BYTES }),
    ]);
    return openSealedObject(dataKey, header, contextOf(scope, pack, 'pack', pack.ordinal));
  }

  function packOf(pack: PackRef): Promise<OpenedObject> {
    const name = nameOf(pack);
    const known = opened.get(name);
    if (known) return known;
    const [oldest] = opened.keys();
    if (opened.size >= OPENED_PACKS_MAX && oldest !== undefined) opened.delete(oldest);
    const opening = openPack(pack);
    opened.set(name, opening);
    opening.catch(() => opened.delete(name));
    return opening;
  }

  async function readRange({ pack, start, end, wanted }: Range): Promise<SealedBlock[]> {
    const key = packKey(scope.volumeId, closedPack(pack));
    // Both are awaited: that a pack is not ours goes before what may be wrong with its length.
    const [openedPack, bytes] = await Promise.all([packOf(pack), deps.store.get(key, { start, length: end - start })]);
    if (bytes.length !== end - start) throw new Fault('object_corrupt', 'A stored pack is shorter than it was.');
    return wanted.map(({ index, block }) => {
      const from = block.offset - start;
      return { index, block, sealed: bytes.subarray(from, from + block.lengthBytes), pack: openedPack };
    });
  }

  return {
    /** Reads the sealed bytes of some blocks, in the order given. */
    async read(wanted: readonly Wanted[]): Promise<SealedBlock[]> {
      const read = await Promise.all(planRanges(wanted).map(readRange));
      return read.flat().toSorted((a, b) => a.index - b.index);
    },
    /**
     * The block's own bytes: what is returned has the SHA-256 that the manifest states.
     *
     * @throws Fault `wrong_key`, `object_corrupt`, `object_missing`, `key_unavailable`, `store_unavailable`
     */
    async open({ index, block, sealed, pack }: SealedBlock, blockBytes: number): Promise<Uint8Array> {
      const slot = { number: block.slot, codec: block.codec, id: block.sha256 };
      const bytes = await decode({ codec: block.codec, bytes: pack.open(slot, sealed) }, blockBytes);
      if (bytes.length !== blockBytes || !equalBytes(sha256(bytes), block.sha256))
        throw new Fault('object_corrupt', `Stored block ${index} is not what was backed up.`);
      return bytes;
    },
  };
}
