import { type AttemptRef, bundleKey, packKey, rootKey, type VolumeScope } from '../layout.ts';
import type { Manifest, ManifestReader, NodeRef, RootPlace } from '../manifest.ts';
import { assertNotAborted } from '../pipeline.ts';
import { objectRefOf, type PagePlace } from '../places.ts';
import type { LockNeed } from './plan.ts';

/** Remembers numbers of things by whose they are, in a bit each: a volume has millions of objects. */
function createSeen() {
  const rows = new Map<string, Uint8Array>();
  return {
    /** Is this the first time? */
    isNew(whose: string, number: number): boolean {
      const [at, bit] = [Math.floor(number / 8), 1 << (number % 8)];
      let row = rows.get(whose) ?? new Uint8Array(64);
      if (at >= row.length) {
        const longer = new Uint8Array(Math.max(at + 1, row.length * 2));
        longer.set(row);
        row = longer;
      }
      rows.set(whose, row);
      const before = row[at] ?? 0;
      row[at] = before | bit;
      return row[at] !== before;
    },
  };
}

/**
 * Goes through points of a volume and tells what each refers to: roots, bundles and packs, never keys. A page that several share is
 * read once, an object told of once, so the point that is locked longest must come first. Opens index keys and no pack.
 */
export function createLockWalk(reader: ManifestReader, { volumeId }: VolumeScope, signal: AbortSignal | undefined) {
  const pages = createSeen();
  const objects = createSeen();
  const isNewPage = (bundle: AttemptRef & { ordinal: number }, slot: number) =>
    pages.isNew(`${bundle.runId}/${bundle.attempt}/${bundle.ordinal}`, slot);
  const isNewLeaf = ({ bundle, slot }: PagePlace) => isNewPage(bundle, slot);
  const isNewNode = (node: RootPlace) => isNewPage(node, node.slot);
  const attemptOf = (kind: string, volume: string, { runId, attempt }: AttemptRef) =>
    `${kind}/${volume}/${runId}/${attempt}`;

  function* bundle(ref: AttemptRef & { ordinal: number; sha256: string }): Generator<string> {
    if (objects.isNew(attemptOf('index', volumeId, ref), ref.ordinal)) yield bundleKey(volumeId, ref);
  }

  /** What one node leads to that is new. */
  async function* below(node: NodeRef): AsyncGenerator<string> {
    for (const [number, ref] of await reader.node(node)) {
      if (!isNewLeaf(ref)) continue;
      assertNotAborted(signal);
      yield* bundle(objectRefOf(ref.bundle));
      for (const { pack } of (await reader.leaf(number, ref)).values())
        if (objects.isNew(attemptOf('packs', pack.volumeId, pack), pack.ordinal))
          yield packKey(pack.volumeId, objectRefOf(pack));
    }
  }

  return {
    /** @throws Fault of the reason when a page cannot be read */
    async *needs(manifest: Manifest, lockUntil: Date): AsyncGenerator<LockNeed> {
      yield { key: rootKey(volumeId, manifest.runId), what: 'root', lockUntil };
      const shared = (key: string): LockNeed => ({ key, what: 'shared', lockUntil });
      const inventories = [manifest.inventory, ...manifest.resumed];
      for (const place of [...inventories.flatMap((one) => one.pages), ...manifest.nodes])
        for (const key of bundle(place)) yield shared(key);
      for (const node of manifest.nodes) if (isNewNode(node)) for await (const key of below(node)) yield shared(key);
    },
    /** Leaves out of `next` what a point refers to that is known to be locked. Of equal nodes nothing is read. */
    async leaveOut(held: Manifest, next: Manifest): Promise<void> {
      const nodeOf = new Map(next.nodes.map((node) => [node.number, node]));
      for (const node of held.nodes) {
        const other = nodeOf.get(node.number);
        isNewNode(node);
        for (const _ of bundle(node)) assertNotAborted(signal);
        const same = other?.runId === node.runId && other.attempt === node.attempt && other.ordinal === node.ordinal;
        if (!other || (same && other.slot === node.slot)) continue;
        for (const [, ref] of await reader.node(node)) isNewLeaf(ref);
      }
    },
  };
}
