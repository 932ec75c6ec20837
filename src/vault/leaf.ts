import { createByteReader, createByteWriter } from '../crypto/bytes.ts';
import { type ContainerRef, containerName, containerTables, corrupt, entryOf, readContainers } from './places.ts';

/** Blocks that one leaf of the manifest speaks of: 512 MiB of a volume. A change rewrites the leaves it touches. */
export const LEAF_BLOCKS = 1_024;

/** Where a block lies: its number in the directory of a pack. */
export type StoredBlock = { pack: ContainerRef; slot: number };

/** The stored blocks of a leaf by block index; an index that is not there reads as zeros. */
export type LeafBlocks = Map<number, StoredBlock>;

/** Neighbouring blocks that lie in neighbouring slots of one pack. */
type Extent = { first: number; count: number; pack: ContainerRef; slot: number };

function extentsOf(blocks: LeafBlocks): Extent[] {
  const extents: Extent[] = [];
  for (const [index, { pack, slot }] of [...blocks].toSorted(([a], [b]) => a - b)) {
    const last = extents.at(-1);
    const goesOn =
      last &&
      index === last.first + last.count &&
      slot === last.slot + last.count &&
      (pack === last.pack || containerName(pack) === containerName(last.pack));
    if (goesOn) last.count += 1;
    else extents.push({ first: index, count: 1, pack, slot });
  }
  return extents;
}

/** A leaf as bytes: tables of attempts and packs, then extents. See docs/format.md. */
export function encodeLeaf(volumeId: string, leaf: number, blocks: LeafBlocks): Uint8Array {
  const extents = extentsOf(blocks);
  const packs = containerTables(
    volumeId,
    extents.map(({ pack }) => pack),
  );
  const writer = createByteWriter();
  writer.u32(leaf);
  packs.write(writer);
  writer.u16(extents.length);
  for (const { first, count, pack, slot } of extents) {
    writer.u16(first - leaf * LEAF_BLOCKS);
    writer.u16(count);
    writer.u16(packs.numberOf(pack));
    writer.u16(slot);
  }
  return writer.done();
}

/** @throws Fault `object_corrupt` for bytes that are not leaf `leaf` */
export function decodeLeaf(volumeId: string, leaf: number, bytes: Uint8Array): LeafBlocks {
  const what = `Manifest leaf ${leaf}`;
  const reader = createByteReader(bytes);
  if (reader.u32() !== leaf) throw corrupt(what);
  const packs = readContainers(reader, volumeId, what);
  const blocks: LeafBlocks = new Map();
  let end = 0;
  reader.table(() => {
    const [first, count] = [reader.u16(), reader.u16()];
    const pack = entryOf(packs, reader.u16(), what);
    const slot = reader.u16();
    if (count === 0 || first < end || first + count > LEAF_BLOCKS) throw corrupt(what);
    for (let n = 0; n < count; n += 1) blocks.set(leaf * LEAF_BLOCKS + first + n, { pack, slot: slot + n });
    end = first + count;
  });
  reader.end();
  return blocks;
}
