import { LEAF_BLOCKS } from './leaf.ts';
import type { Manifest, ManifestReader } from './manifest.ts';
import { NODE_LEAVES } from './node.ts';
import type { Place } from './restore-lane.ts';

/** Neighbouring blocks that one lane takes at a time: about two packs. */
const SPAN_BLOCKS = 128;
const NODE_BLOCKS = NODE_LEAVES * LEAF_BLOCKS;

/**
 * Every stored block of a point from the index `from` on, ascending, in spans; one leaf is in memory at a time. Of what lies before
 * `from` nothing is read.
 */
export async function* spansOf(reader: ManifestReader, manifest: Manifest, from: number): AsyncGenerator<Place[]> {
  for (const node of manifest.nodes) {
    if ((node.number + 1) * NODE_BLOCKS <= from) continue;
    for (const [number, ref] of await reader.node(node)) {
      if ((number + 1) * LEAF_BLOCKS <= from) continue;
      const places: Place[] = [];
      for (const [index, block] of await reader.leaf(number, ref)) if (index >= from) places.push({ index, block });
      for (let at = 0; at < places.length; at += SPAN_BLOCKS) yield places.slice(at, at + SPAN_BLOCKS);
    }
  }
}

/** How many stored blocks of a point lie before the index `from`: one node and one leaf are read for it, at most. */
export async function blocksBefore(reader: ManifestReader, manifest: Manifest, from: number): Promise<number> {
  let blocks = 0;
  for (const node of manifest.nodes) {
    if ((node.number + 1) * NODE_BLOCKS <= from) blocks += node.blocks;
    else if (node.number * NODE_BLOCKS < from)
      for (const [number, ref] of await reader.node(node)) {
        if ((number + 1) * LEAF_BLOCKS <= from) blocks += ref.blocks;
        else if (number * LEAF_BLOCKS < from)
          for (const index of (await reader.leaf(number, ref)).keys()) if (index < from) blocks += 1;
      }
  }
  return blocks;
}
