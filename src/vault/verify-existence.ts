import { Fault } from '../core/faults.ts';
import { fromHex, sha256, toHex } from '../crypto/bytes.ts';
import { decodeHeader } from '../crypto/object-header.ts';
import { createDamageBook, type Damage, type DamageBook, damageClassOf, type DamageClass } from './damage.ts';
import { type AttemptRef, keyObjectKey, runOfRootKey, type VolumeScope } from './layout.ts';
import { createManifestReader, type Manifest, type ManifestReader, type VaultDeps } from './manifest.ts';
import { closedOf, type ContainerRef } from './places.ts';
import { assertNotAborted, mapInOrder } from './pipeline.ts';
import type { BlobStore } from './ports.ts';
import { createKeyRing, type KeyRing } from './run-keys.ts';
import type { Point } from './verify-graph.ts';
import { type Flaw, inspectPoints, type Judges } from './verify-inspect.ts';
import { type ContainerKind, createObjectTable, objectKeyOf, type ObjectTable } from './verify-table.ts';

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

const classOf = (work: Promise<unknown>): Promise<DamageClass | null> => work.then(() => null, damageClassOf);

/** Each question once: what was answered is kept. */
function createMemo<T>() {
  const answers = new Map<string, Promise<T>>();
  return (name: string, ask: () => Promise<T>): Promise<T> => {
    const known = answers.get(name);
    if (known) return known;
    const answer = ask();
    answers.set(name, answer);
    return answer;
  };
}

/** Is the data key there, whole, of this very place, and does it open? Each is asked for once. */
function createKeyJudge(ring: KeyRing) {
  const once = createMemo<DamageClass | null>();
  return (ref: AttemptRef & { volumeId: string }, key: string) =>
    once(keyObjectKey(ref.volumeId, ref, key), () => classOf(ring.dataKey(ref, key)));
}

/** The size of an object, asked of itself: by its last byte, or by all of it where its size is not known. */
async function sizeOf(store: BlobStore, key: string, stated: number | null): Promise<number> {
  if (stated === null) return (await store.get(key)).length;
  const end = await store.get(key, { start: stated - 1, length: 2 });
  if (end.length !== 1) throw new Fault('object_corrupt', 'A stored object is not as long as it was.');
  return stated;
}

/** Is a pack or bundle there, of its size? The listing says so at no cost; where it does not, the object itself is asked. */
function createContainerJudge(store: BlobStore, scope: VolumeScope, table: ObjectTable) {
  const listed = createMemo<void>();
  const once = createMemo<number | DamageClass>();
  return async (kind: ContainerKind, ref: ContainerRef, isSizeStated: boolean): Promise<number | DamageClass> => {
    if (ref.volumeId !== scope.volumeId) await listed(ref.volumeId, () => table.addListing(store, ref.volumeId)); // Blocks of another volume of the tenant.
    const { sizeBytes } = closedOf(ref);
    const size = table.listedSize(kind, ref);
    if (size !== null && (isSizeStated ? size === sizeBytes : size >= sizeBytes)) return size;
    const key = objectKeyOf(kind, ref);
    return once(`${key} ${isSizeStated}`, () =>
      sizeOf(store, key, isSizeStated ? sizeBytes : null).then(
        (found) => (found >= sizeBytes ? found : 'object_corrupt'),
        damageClassOf,
      ),
    );
  };
}

type Opening = {
  volumeId: string;
  reader: ManifestReader;
  keyJudge: ReturnType<typeof createKeyJudge>;
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

/** Judges by the listing, and notes in the table what the second look is to read. */
function existenceJudges(parts: {
  table: ObjectTable;
  key: Judges['key'];
  container: ReturnType<typeof createContainerJudge>;
}): Judges {
  const { table, key, container } = parts;
  const flawed = (damage: DamageClass): Flaw => ({ class: damage, slots: null });
  return {
    key,
    async bundle(ref, isSizeStated) {
      const found = await container('index', ref, isSizeStated);
      if (typeof found !== 'number') return flawed(found);
      const whole = { ...ref, closed: { ...closedOf(ref), sizeBytes: found } };
      return table.need('index', whole, 0, 0) ? null : flawed('object_corrupt');
    },
    async pack({ pack, blocks, points }) {
      const found = await container('packs', pack, true);
      if (typeof found !== 'number') return flawed(found);
      const slots = blocks.reduce((most, [, slot]) => Math.max(most, slot + 1), 0);
      const isOne = points.every(({ series }) => table.need('packs', pack, slots, series));
      return isOne ? null : flawed('object_corrupt');
    },
  };
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
  const judges = existenceJudges({ table, key, container: createContainerJudge(store, input, table) });
  await inspectPoints({ volumeId, reader, judges, book }, points, signal);
  return { damage: book.list(), points, series, table, reader };
}
