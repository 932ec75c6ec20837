import { type BundleWriter, PAGE } from './bundle-writer.ts';
import { encodeLeaf, LEAF_BLOCKS, type LeafBlocks, type StoredBlock } from './leaf.ts';
import { type Manifest, type ManifestReader, type NodeRef, rootPlaceOf } from './manifest.ts';
import { encodeNode, NODE_LEAVES, type NodeLeaves } from './node.ts';

/** Leaves that wait for the pack of their last blocks to close. More of them close it early: memory stays bounded. */
const WAITING_LEAVES_MAX = 128;

export type ManifestWriterOptions = {
  volumeId: string;
  /** Where packs are filled: `close` ends those that are open, `finish` waits until all are stored. */
  packs: { close(): Promise<void>; finish(): Promise<void> };
  bundles: BundleWriter;
  parent: Manifest | null;
  /** Opens pages of the parent, and those that this writer has stored. */
  reader: ManifestReader;
};

type OpenLeaf = { number: number; blocks: LeafBlocks };

/** Builds the pages of a new manifest from changes in ascending order; what has no change below it is the parent's own. */
export function createManifestWriter(options: ManifestWriterOptions) {
  const { volumeId, packs, bundles, parent, reader } = options;
  const nodes = new Map<number, NodeRef>((parent?.nodes ?? []).map((ref) => [ref.number, ref]));
  let node: { number: number; leaves: NodeLeaves } | null = null;
  let leaf: OpenLeaf | null = null;
  let waiting: OpenLeaf[] = [];

  async function storeLeaf({ number, blocks }: OpenLeaf): Promise<void> {
    if (blocks.size === 0) return void node?.leaves.delete(number);
    const place = await bundles.add(PAGE.leaf, number, encodeLeaf(volumeId, number, blocks));
    node?.leaves.set(number, { ...place, blocks: blocks.size });
  }

  const isComplete = ({ blocks }: OpenLeaf) => [...blocks.values()].every(({ pack }) => pack.closed !== null);

  /** Stores the leaves whose packs all have their names. */
  async function flush(): Promise<void> {
    for (let first = waiting[0]; first && isComplete(first); first = waiting[0]) {
      await storeLeaf(first);
      waiting = waiting.slice(1);
    }
  }

  /** Stores a node and its leaves. Its leaves' bundle is closed for it, so that the node can name it. */
  async function closeNode(): Promise<void> {
    if (leaf) waiting.push(leaf);
    leaf = null;
    if (!waiting.every(isComplete)) await packs.close();
    await flush();
    if (!node) return;
    const { number, leaves } = node;
    node = null;
    if (leaves.size === 0) return void nodes.delete(number);
    await bundles.close();
    const place = await bundles.add(PAGE.node, number, encodeNode(volumeId, number, leaves));
    const blocks = [...leaves.values()].reduce((sum, one) => sum + one.blocks, 0);
    placed.push({ number, blocks, place });
  }

  /** Nodes whose bundle may still be open. */
  const placed: { number: number; blocks: number; place: Awaited<ReturnType<BundleWriter['add']>> }[] = [];

  async function openNode(number: number): Promise<NodeLeaves> {
    await closeNode();
    const ref = nodes.get(number);
    const leaves: NodeLeaves = ref ? await reader.node(ref) : new Map();
    node = { number, leaves };
    return leaves;
  }

  async function openLeaf(number: number): Promise<OpenLeaf> {
    const nodeNumber = Math.floor(number / NODE_LEAVES);
    if (leaf) waiting.push(leaf);
    leaf = null;
    const leaves = node?.number === nodeNumber ? node.leaves : await openNode(nodeNumber);
    if (waiting.length >= WAITING_LEAVES_MAX) await packs.close();
    await flush();
    const ref = leaves.get(number);
    leaf = { number, blocks: ref ? await reader.leaf(number, ref) : new Map<number, StoredBlock>() };
    return leaf;
  }

  return {
    /** Records where a block lies from now on; null: it reads as zeros. Indexes must ascend. */
    async set(index: number, block: StoredBlock | null): Promise<void> {
      const number = Math.floor(index / LEAF_BLOCKS);
      const { blocks } = leaf?.number === number ? leaf : await openLeaf(number);
      if (block) blocks.set(index, block);
      else blocks.delete(index);
    },
    /** Stores every page, and waits until every pack is stored. What comes later opens its pages again. */
    async closePages(): Promise<void> {
      await packs.finish();
      await closeNode();
    },
    /** The nodes of the manifest as it is, ascending. All bundles must be closed. */
    nodes(): NodeRef[] {
      for (const { number, blocks, place } of placed.splice(0))
        nodes.set(number, { ...rootPlaceOf(number, place), blocks });
      return [...nodes.values()].toSorted((a, b) => a.number - b.number);
    },
  };
}
