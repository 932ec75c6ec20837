import { PAGE } from './bundle-writer.ts';
import { type BlockCount, type DamageBook, damageClassOf, type DamageClass, NO_BLOCKS } from './damage.ts';
import { decodeInventory } from './inventory.ts';
import { type AttemptRef, keyObjectKey, packKeyName } from './layout.ts';
import { LEAF_BLOCKS, type LeafBlocks } from './leaf.ts';
import { type ManifestReader, placeOfRoot, type NodeRef, type RootPlace } from './manifest.ts';
import { type LeafRef, NODE_LEAVES, type NodeLeaves } from './node.ts';
import { type ContainerRef, containerName } from './places.ts';
import { assertNotAborted, mapInOrder } from './pipeline.ts';
import { type Point, type SharedPage, sharedLeaves } from './verify-graph.ts';
import { objectKeyOf } from './verify-table.ts';

/** Leaves that are read at a time. */
const LEAVES_IN_FLIGHT = 32;

/** What is wrong with an object: all of its slots (null), or these. `object` where another one is to blame. */
export type Flaw = { class: DamageClass; slots: ReadonlySet<number> | null; object?: string };

/** The blocks of one leaf that lie in one pack: index of the block and its slot. */
type Group = {
  pack: ContainerRef;
  blocks: readonly (readonly [index: number, slot: number])[];
  points: readonly Point[];
};

/** What is asked about everything that the points need. Null: nothing is wrong with it. */
export type Judges = {
  key(ref: AttemptRef & { volumeId: string }, key: string): Promise<DamageClass | null>;
  /** `isSizeStated` false: who refers to it says no more than that it has at least the size in `ref`. */
  bundle(ref: ContainerRef, isSizeStated: boolean): Promise<Flaw | null>;
  pack(group: Group): Promise<Flaw | null>;
};

type Inspection = { volumeId: string; reader: ManifestReader; judges: Judges; book: DamageBook };

const groupsOf = (blocks: LeafBlocks, points: readonly Point[]): Group[] =>
  [...Map.groupBy(blocks, ([, { pack }]) => containerName(pack)).values()].flatMap((group) => {
    const [first] = group;
    return first
      ? [{ pack: first[1].pack, points, blocks: group.map(([index, { slot }]) => [index, slot] as const) }]
      : [];
  });

function countOf({ blocks }: Group, slots: ReadonlySet<number> | null): BlockCount {
  const lost = blocks.filter(([, slot]) => slots === null || slots.has(slot));
  return { count: lost.length, first: lost[0]?.[0] ?? 0 };
}

/** A page of a bundle, who needs it, and how much lies below it. */
type Page = { bundle: ContainerRef; isSizeStated: boolean; points: readonly Point[]; blocks: BlockCount };

/** Asks about a page's bundle and its key, and opens the page. Null: it cannot be read, and that was noted. */
async function openPage<T>(
  { book, judges, volumeId }: Inspection,
  page: Page,
  open: () => Promise<T>,
): Promise<T | null> {
  const { bundle, isSizeStated, points, blocks } = page;
  const object = objectKeyOf('index', bundle);
  const flaw = await judges.bundle(bundle, isSizeStated);
  // A bundle that is cut short may hold this page all the same.
  if (flaw) book.note(object, flaw.class, points, NO_BLOCKS);
  const key = await judges.key(bundle, 'index');
  if (key) {
    book.note(keyObjectKey(volumeId, bundle, 'index'), key, points, blocks);
    return null;
  }
  return open().catch((error: unknown) => {
    book.note(object, damageClassOf(error), points, blocks);
    return null;
  });
}

async function inspectGroup({ book, judges }: Inspection, group: Group): Promise<void> {
  const { pack, points } = group;
  const keyName = packKeyName(pack.ordinal);
  const key = await judges.key(pack, keyName);
  if (key) book.note(keyObjectKey(pack.volumeId, pack, keyName), key, points, countOf(group, null));
  const flaw = await judges.pack(group);
  if (flaw) book.note(flaw.object ?? objectKeyOf('packs', pack), flaw.class, points, countOf(group, flaw.slots));
}

const rootPage = (volumeId: string, place: RootPlace, points: readonly Point[], blocks: BlockCount): Page => ({
  bundle: placeOfRoot(volumeId, place).bundle,
  isSizeStated: false,
  points,
  blocks,
});

function openNode(inspection: Inspection, { ref, number, points }: SharedPage<NodeRef>): Promise<NodeLeaves | null> {
  const { volumeId, reader } = inspection;
  const blocks = { count: ref.blocks, first: number * NODE_LEAVES * LEAF_BLOCKS };
  return openPage(inspection, rootPage(volumeId, ref, points, blocks), () => reader.node(ref));
}

async function inspectLeaf(inspection: Inspection, { ref, number, points }: SharedPage<LeafRef>): Promise<void> {
  const blocks = { count: ref.blocks, first: number * LEAF_BLOCKS };
  const page = { bundle: ref.bundle, isSizeStated: true, points, blocks };
  const leaf = await openPage(inspection, page, () => inspection.reader.leaf(number, ref));
  if (leaf) for (const group of groupsOf(leaf, points)) await inspectGroup(inspection, group);
}

async function inspectInventory(inspection: Inspection, point: Point): Promise<void> {
  const { volumeId, reader } = inspection;
  const { inventory, resumed } = point.manifest;
  for (const place of [inventory, ...resumed].flatMap(({ pages }) => pages)) {
    const page = rootPage(volumeId, place, [point], NO_BLOCKS);
    await openPage(inspection, page, async () =>
      decodeInventory(place.number, await reader.page(PAGE.inventory, place)),
    );
  }
}

/**
 * Goes through everything that these points need, opens every page of their manifests, and asks the judges about the rest.
 *
 * @throws Fault `store_unavailable`, `key_unavailable` and whatever else is no damage; what the signal was aborted with
 */
export async function inspectPoints(
  parts: { volumeId: string; reader: ManifestReader; judges: Judges; book: DamageBook },
  points: readonly Point[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const point of points) await inspectInventory(parts, point);
  const leaves = sharedLeaves(parts.volumeId, points, (node) => openNode(parts, node));
  const inspected = mapInOrder(leaves, LEAVES_IN_FLIGHT, (leaf) => {
    assertNotAborted(signal);
    return inspectLeaf(parts, leaf);
  });
  for await (const _ of inspected) assertNotAborted(signal);
}
