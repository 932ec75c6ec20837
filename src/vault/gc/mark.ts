import { type AttemptRef, packKeyName, type VolumeScope } from '../layout.ts';
import {
  createManifestReader,
  type Manifest,
  type ManifestReader,
  type RootPlace,
  type VaultDeps,
} from '../manifest.ts';
import { assertNotAborted, mapInOrder } from '../pipeline.ts';
import { closedOf, type ContainerRef, objectRefOf } from '../places.ts';
import { numberOfKey, objectNameOf } from './object-name.ts';
import { createObjectMarks } from './object-marks.ts';
import { withWholeBundles } from './whole-bundles.ts';

/** Nodes of a root that are gone through at once. */
const NODES_AT_ONCE = 8;

/** Points of a volume that stay. */
export type KeptRoots = { volumeId: string; manifestKeys: readonly string[] };

export type MarkInput = VolumeScope & {
  /**
   * The roots to keep: of the volume itself, and of every other volume of the tenant whose blocks may lie in its packs. Of a root of
   * another volume no more is read than the root, unless it says that it refers to this one.
   */
  kept: readonly KeptRoots[];
};

/** What a set of roots needs of one volume's objects. */
export type Marks = ReturnType<typeof createMarks>;

function createMarks(volumeId: string) {
  const kinds = { packs: createObjectMarks(), index: createObjectMarks(), keys: createObjectMarks() };
  const roots = new Set<string>();
  const foundRoots = new Set<string>();
  const markKey = ({ runId, attempt }: AttemptRef, key: string) =>
    kinds.keys.mark({ runId, attempt, number: numberOfKey(key), digest: '' }, 0);
  return {
    volumeId,
    packs: kinds.packs,
    root({ runId, attempt }: AttemptRef): void {
      roots.add(runId);
      markKey({ runId, attempt }, 'index');
    },
    /** False: this page was met before. */
    page(bundle: AttemptRef & { ordinal: number; sha256: string }, slot: number): boolean {
      markKey(bundle, 'index');
      return kinds.index.mark({ ...bundle, number: bundle.ordinal, digest: bundle.sha256 }, slot);
    },
    block(pack: ContainerRef, slot: number, lockedUntilMs: number): void {
      const { sizeBytes, directoryOffset } = closedOf(pack);
      const { runId, attempt, ordinal, sha256 } = objectRefOf(pack);
      const facts = { sizeBytes, directoryOffset, lockedUntilMs };
      kinds.packs.mark({ runId, attempt, number: ordinal, digest: sha256 }, slot, facts);
      markKey(pack, packKeyName(ordinal));
    },
    /** Is this object of the volume needed? If so, it is noted that it is there. */
    needs(key: string): boolean {
      const name = objectNameOf(volumeId, key);
      if (!name || name.kind === 'checkpoints') return false;
      if (name.kind !== 'roots') return kinds[name.kind].find(name);
      if (roots.has(name.runId)) foundRoots.add(name.runId);
      return roots.has(name.runId);
    },
    /** One object that is needed and was not found by `needs`; null: all are there. */
    missing(): { kind: string; runId: string; number: number } | null {
      for (const runId of roots) if (!foundRoots.has(runId)) return { kind: 'roots', runId, number: 0 };
      for (const [kind, marks] of Object.entries(kinds)) for (const one of marks.missing()) return { kind, ...one };
      return null;
    },
  };
}

const lockOf = ({ lockUntil }: Manifest) => (lockUntil === null ? 0 : new Date(lockUntil).getTime());

/** Goes through one node; of its leaves those that no root before led to. */
async function markNode(marks: Marks, reader: ManifestReader, node: RootPlace, options: MarkOptions): Promise<void> {
  for (const [number, ref] of await reader.node(node)) {
    if (!options.isNew(objectRefOf(ref.bundle), ref.slot)) continue;
    assertNotAborted(options.signal);
    for (const { pack, slot } of (await reader.leaf(number, ref)).values())
      if (pack.volumeId === marks.volumeId) marks.block(pack, slot, options.lockedUntilMs);
  }
}

type MarkOptions = {
  isNew: (bundle: AttemptRef & { ordinal: number; sha256: string }, slot: number) => boolean;
  lockedUntilMs: number;
  signal: AbortSignal | undefined;
};

/** Marks what the kept roots of one volume, perhaps another one than that of the marks, need. */
async function markRoots(
  marks: Marks,
  reader: ManifestReader,
  roots: readonly Manifest[],
  options: { own: boolean; signal: AbortSignal | undefined },
): Promise<void> {
  const { own, signal } = options;
  const elsewhere = createObjectMarks();
  const isNew: MarkOptions['isNew'] = (bundle, slot) =>
    own ? marks.page(bundle, slot) : elsewhere.mark({ ...bundle, number: bundle.ordinal, digest: bundle.sha256 }, slot);
  // Those that are locked longest come first: a page that is shared is read once, and its packs are locked as long as the first.
  for (const manifest of roots.toSorted((a, b) => lockOf(b) - lockOf(a))) {
    if (own) {
      marks.root(manifest);
      for (const { pages } of [manifest.inventory, ...manifest.resumed])
        for (const place of pages) marks.page(place, place.slot);
    } else if (!manifest.refersTo.includes(marks.volumeId)) continue;
    const nodes = manifest.nodes.filter((node) => isNew(node, node.slot));
    const lockedUntilMs = lockOf(manifest);
    const mark = (node: RootPlace) => markNode(marks, reader, node, { isNew, lockedUntilMs, signal });
    for await (const _ of mapInOrder(nodes, NODES_AT_ONCE, mark)) assertNotAborted(signal);
  }
}

/**
 * Finds out what of a volume the kept points need: every page of every manifest is read, once, however many points share it. Opens
 * index keys and no pack: who deletes needs no right to read blocks.
 *
 * @throws Fault of the reason when a manifest cannot be read in full: what it needs is then unknown, so nothing may go
 */
export async function markVolume(
  deps: VaultDeps,
  input: MarkInput,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Marks> {
  const marks = createMarks(input.volumeId);
  for (const { volumeId, manifestKeys } of input.kept) {
    const reader = createManifestReader({ ...deps, store: withWholeBundles(deps.store) }, { ...input, volumeId });
    const roots: Manifest[] = [];
    for (const key of new Set(manifestKeys)) roots.push(await reader.root(key));
    await markRoots(marks, reader, roots, { own: volumeId === input.volumeId, signal: options.signal });
  }
  return marks;
}
