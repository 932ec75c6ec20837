import { fromHex, sha256, toHex } from '../crypto/bytes.ts';
import { decodeHeader } from '../crypto/object-header.ts';
import { createDamageBook, type Damage, type DamageBook, damageClassOf } from './damage.ts';
import { keyObjectKey, runOfRootKey, type VolumeScope, volumePrefix } from './layout.ts';
import { createManifestReader, type Manifest, type ManifestReader, type VaultDeps } from './manifest.ts';
import { assertNotAborted, mapInOrder } from './pipeline.ts';
import type { BlobStore } from './ports.ts';
import { createKeyRing } from './run-keys.ts';
import { attribute } from './verify-attribute.ts';
import type { Point } from './verify-graph.ts';
import { inspectPoints, type Judges } from './verify-inspect.ts';
import { createJudges, createKeyJudge } from './verify-judges.ts';
import { createObjectTable, type ObjectTable } from './verify-table.ts';

/** Roots that are read at a time. */
const ROOTS_IN_FLIGHT = 8;

/** What block ids are made with, and of how many bytes blocks are: the same for all points of one lineage. */
export type Series = { idKey: Uint8Array; blockBytes: number };

/** What the first look at a volume gives: its damage so far, and what the second one reads. */
export type Existence = {
  damage: readonly Damage[];
  points: readonly Point[];
  series: readonly Series[];
  table: ObjectTable;
  reader: ManifestReader;
};

type Opening = {
  volumeId: string;
  reader: ManifestReader;
  keyJudge: Judges['key'];
  book: DamageBook;
};

type OpenedRoot = { manifestKey: string; manifest: Manifest; sha256: string };

/** Opens a root. Null: it cannot be, and that was noted. */
async function openRoot(
  { volumeId, reader, keyJudge, book }: Opening,
  store: BlobStore,
  manifestKey: string,
): Promise<OpenedRoot | null> {
  const point = [{ manifestKey }];
  try {
    const bytes = await store.get(manifestKey);
    const ref = { volumeId, runId: runOfRootKey(volumeId, manifestKey), attempt: decodeHeader(bytes).attempt };
    const key = await keyJudge(ref, 'index');
    if (key) book.note(keyObjectKey(volumeId, ref, 'index'), key, point, null);
    return key
      ? null
      : { manifestKey, manifest: await reader.openRoot(manifestKey, bytes), sha256: toHex(sha256(bytes)) };
  } catch (error) {
    book.note(manifestKey, damageClassOf(error), point, null);
    return null;
  }
}

/** Notes every root that is not the one which the next root of the volume goes on from (docs/format.md, head chain). */
function checkChain(volumeId: string, roots: readonly OpenedRoot[], book: DamageBook): void {
  const byRun = new Map(roots.map((root) => [runOfRootKey(volumeId, root.manifestKey), root]));
  for (const { manifest } of roots) {
    const previous = byRun.get(manifest.previous?.runId ?? '');
    if (previous && previous.sha256 !== manifest.previous?.sha256)
      book.note(previous.manifestKey, 'object_corrupt', [previous], null);
  }
}

/** Numbers the lineages of the points. */
function withSeries(roots: readonly OpenedRoot[]): { points: Point[]; series: Series[] } {
  const names: string[] = [];
  const series: Series[] = [];
  const points = roots.map(({ manifestKey, manifest }) => {
    const name = `${manifest.idKey} ${manifest.blockBytes}`;
    if (!names.includes(name)) {
      names.push(name);
      series.push({ idKey: fromHex(manifest.idKey), blockBytes: manifest.blockBytes });
    }
    return { manifestKey, manifest, series: names.indexOf(name) };
  });
  return { points, series };
}

/** Of a damaged bundle, also the points whose own pages in it are sound. */
async function withSoundPages(
  parts: { volumeId: string; reader: ManifestReader; points: readonly Point[] },
  damage: readonly Damage[],
  signal: AbortSignal | undefined,
): Promise<readonly Damage[]> {
  const isBundle = ({ object }: Damage) => object.startsWith(`${volumePrefix(parts.volumeId)}index/`);
  const flaws = damage.filter(isBundle).map((one) => [one.object, { class: one.class, slots: null }] as const);
  const bundles = new Map((await attribute(parts, new Map(flaws), signal)).map((one) => [one.object, one]));
  return damage.map((one) => bundles.get(one.object) ?? one);
}

/**
 * Looks whether everything that these points need is there: opens their roots, every page of their manifests and every data key, and
 * holds packs and bundles to one listing. Reads no pack.
 *
 * @throws Fault `store_unavailable`, `key_unavailable`, `not_found` for a name that is not a manifest's; what the signal was aborted with
 */
export async function checkExistence(
  deps: VaultDeps,
  input: VolumeScope & { manifestKeys: readonly string[] },
  signal?: AbortSignal,
): Promise<Existence> {
  const { volumeId } = input;
  const { store } = deps;
  const table = createObjectTable();
  await table.addListing(store, volumeId);
  const ring = createKeyRing(deps, input);
  const reader = createManifestReader(deps, input, ring);
  const book = createDamageBook(volumeId);
  const key = createKeyJudge(ring);
  const opening = { volumeId, reader, keyJudge: key, book };
  const roots: OpenedRoot[] = [];
  const names = [...new Set(input.manifestKeys)].toSorted();
  for (const name of names) runOfRootKey(volumeId, name);
  for await (const root of mapInOrder(names, ROOTS_IN_FLIGHT, (name) => openRoot(opening, store, name))) {
    assertNotAborted(signal);
    if (root) roots.push(root);
  }
  checkChain(volumeId, roots, book);
  const { points, series } = withSeries(roots);
  const judges = createJudges({ store, scope: input, table, key });
  await inspectPoints({ volumeId, reader, judges, book }, points, signal);
  const damage = await withSoundPages({ volumeId, reader, points }, book.list(), signal);
  return { damage, points, series, table, reader };
}
