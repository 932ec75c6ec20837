import { createByteReader, createByteWriter } from '../crypto/bytes.ts';
import { containerTables, corrupt, type PagePlace, readContainers, readPagePlace, writePagePlace } from './places.ts';

/** Leaves that one node of the manifest speaks of: 256 GiB of a volume. */
export const NODE_LEAVES = 512;

/** A leaf: its place, and how many blocks are stored in it. */
export type LeafRef = PagePlace & { blocks: number };

/** The leaves of a node by leaf number; one that is not there reads as zeros. */
export type NodeLeaves = Map<number, LeafRef>;

/** A node as bytes. See docs/format.md. */
export function encodeNode(volumeId: string, node: number, leaves: NodeLeaves): Uint8Array {
  const ordered = [...leaves].toSorted(([a], [b]) => a - b);
  const bundles = containerTables(
    volumeId,
    ordered.map(([, { bundle }]) => bundle),
  );
  const writer = createByteWriter();
  writer.u32(node);
  bundles.write(writer);
  writer.u16(ordered.length);
  for (const [leaf, ref] of ordered) {
    writer.u16(leaf - node * NODE_LEAVES);
    writePagePlace(writer, bundles.numberOf(ref.bundle), ref);
    writer.u16(ref.blocks);
  }
  return writer.done();
}

/** @throws Fault `object_corrupt` for bytes that are not node `node`, `unsupported_format` for an unknown codec */
export function decodeNode(volumeId: string, node: number, bytes: Uint8Array): NodeLeaves {
  const what = `Manifest node ${node}`;
  const reader = createByteReader(bytes);
  if (reader.u32() !== node) throw corrupt(what);
  const bundles = readContainers(reader, volumeId, what);
  const leaves: NodeLeaves = new Map();
  let last = -1;
  reader.table(() => {
    const within = reader.u16();
    const place = readPagePlace(reader, bundles, what);
    const blocks = reader.u16();
    if (within <= last || within >= NODE_LEAVES || blocks === 0 || place.bundle.volumeId !== volumeId)
      throw corrupt(what);
    leaves.set(node * NODE_LEAVES + within, { ...place, blocks });
    last = within;
  });
  reader.end();
  return leaves;
}
