import { bundleKey } from './layout.ts';
import type { Manifest, NodeRef } from './manifest.ts';
import type { LeafRef, NodeLeaves } from './node.ts';
import { objectRefOf } from './places.ts';
import { mapInOrder } from './pipeline.ts';

/** A point whose root was opened. `series` numbers its id key and block size: points of one lineage have the same. */
export type Point = { manifestKey: string; manifest: Manifest; series: number };

/** A page of the manifest, and the points that it is part of. */
export type SharedPage<Ref> = { number: number; ref: Ref; points: readonly Point[] };

/** Nodes of one number that are opened at a time. */
const NODES_IN_FLIGHT = 16;

/** Joins what lies at the same place. */
function share<Ref>(pages: Iterable<SharedPage<Ref>>, placeOf: (ref: Ref) => string): SharedPage<Ref>[] {
  const shared = new Map<string, { number: number; ref: Ref; points: Point[] }>();
  for (const { number, ref, points } of pages) {
    const place = placeOf(ref);
    const before = shared.get(place);
    if (before) before.points.push(...points);
    else shared.set(place, { number, ref, points: [...points] });
  }
  return [...shared.values()];
}

/** The nodes of all points, number by number. */
function* sharedNodes(volumeId: string, points: readonly Point[]): Generator<SharedPage<NodeRef>[]> {
  const all = points.flatMap((point) =>
    point.manifest.nodes.map((ref) => ({ number: ref.number, ref, points: [point] })),
  );
  const byNumber = Map.groupBy(all, ({ number }) => number);
  for (const number of [...byNumber.keys()].toSorted((a, b) => a - b))
    yield share(byNumber.get(number) ?? [], (ref) => `${bundleKey(volumeId, ref)}#${ref.slot}`);
}

/** The leaves of some nodes of one number, leaf by leaf. */
function* sharedLeavesOf(
  volumeId: string,
  nodes: readonly { leaves: NodeLeaves; points: readonly Point[] }[],
): Generator<SharedPage<LeafRef>> {
  const numbers = new Set(nodes.flatMap(({ leaves }) => [...leaves.keys()]));
  for (const number of [...numbers].toSorted((a, b) => a - b)) {
    const pages = nodes.flatMap(({ leaves, points }) => {
      const ref = leaves.get(number);
      return ref ? [{ number, ref, points }] : [];
    });
    yield* share(pages, ({ bundle, slot }) => `${bundleKey(volumeId, objectRefOf(bundle))}#${slot}`);
  }
}

/**
 * Every leaf of these points, once, however many of them share it. All points are gone through side by side, so that one node of each
 * is in memory and nothing has to be remembered.
 *
 * @param openNode gives null for one that cannot be read: what lies below it is left out
 */
export async function* sharedLeaves(
  volumeId: string,
  points: readonly Point[],
  openNode: (node: SharedPage<NodeRef>) => Promise<NodeLeaves | null>,
): AsyncGenerator<SharedPage<LeafRef>> {
  for (const nodes of sharedNodes(volumeId, points)) {
    const opened: { leaves: NodeLeaves; points: readonly Point[] }[] = [];
    const opening = mapInOrder(nodes, NODES_IN_FLIGHT, async (node) => ({
      leaves: await openNode(node),
      points: node.points,
    }));
    for await (const { leaves, points: its } of opening) if (leaves) opened.push({ leaves, points: its });
    yield* sharedLeavesOf(volumeId, opened);
  }
}
