import { createDamageBook, type Damage } from './damage.ts';
import type { ManifestReader } from './manifest.ts';
import type { ContainerRef } from './places.ts';
import type { Point } from './verify-graph.ts';
import { type Flaw, inspectPoints, type Judges } from './verify-inspect.ts';
import { type ContainerKind, objectKeyOf } from './verify-table.ts';

/**
 * Which points need the objects that were found damaged (by their names), and which of their blocks lie there. Goes through all of the
 * points again: it is done only when there is damage, and saves keeping for each pack who needs it. What no point needs any more is left out.
 *
 * @throws Fault `store_unavailable`, `key_unavailable` and whatever else is no damage
 */
export async function attribute(
  parts: { volumeId: string; reader: ManifestReader; points: readonly Point[] },
  damaged: ReadonlyMap<string, Flaw>,
  signal?: AbortSignal,
): Promise<Damage[]> {
  if (damaged.size === 0) return [];
  const { volumeId, reader, points } = parts;
  const book = createDamageBook(volumeId);
  const flawIn = (kind: ContainerKind, ref: ContainerRef) => damaged.get(objectKeyOf(kind, ref)) ?? null;
  const judges: Judges = {
    key: async () => null,
    bundle: async (ref) => flawIn('index', ref),
    pack: async ({ pack }) => flawIn('packs', pack),
  };
  await inspectPoints({ volumeId, reader, judges, book }, points, signal);
  const names = new Set([...damaged].map(([name, { object }]) => object ?? name));
  return book.list().filter(({ object }) => names.has(object));
}
