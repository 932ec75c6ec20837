import { Fault } from '../core/faults.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { decodeHeader, HEADER_BYTES } from '../crypto/object-header.ts';
import { FORMAT, type ObjectContext, SALT_BYTES } from '../crypto/object-key.ts';
import { createObjectSealer, type OpenedObject, openSealedObject } from '../crypto/sealed-object.ts';
import { PAGE, type PageKind, pageId } from './bundle-writer.ts';
import { CODEC, type Codec, decode, encode, isCodec } from './codec.ts';
import { type AttemptRef, bundleKey, contextOf, type ObjectRef, runOfRootKey, type VolumeScope } from './layout.ts';
import { decodeLeaf, type LeafBlocks } from './leaf.ts';
import { decodeNode, type LeafRef, type NodeLeaves } from './node.ts';
import { closedOf, containerName, corrupt, objectRefOf, type PagePlace } from './places.ts';
import type { BlobStore, KeyOpener } from './ports.ts';
import { createKeyRing, type KeyRing } from './run-keys.ts';

/** A page of the manifest as a root names it. */
export type RootPlace = ObjectRef & { number: number; slot: number; offset: number; lengthBytes: number; codec: Codec };
/** A node as a root names it, with how many blocks are stored below it. */
export type NodeRef = RootPlace & { blocks: number };

/** Packs of one attempt; `merkleRoot` is what an attestation cites. */
export type Inventory = {
  attempt: string;
  packs: number;
  bytes: number;
  merkleRoot: string;
  pages: readonly RootPlace[];
};

/** Why a backup that was given a base is a full one all the same. */
export type FullReason = 'base_unreadable' | 'base_mismatch' | 'lineage_lost';

/** A root manifest: one point in time of one volume. It is complete by itself, whatever its `base` was. */
export type Manifest = AttemptRef & {
  format: typeof FORMAT;
  /** The image it was made from. An incremental may build on it only by comparing with this one. */
  snapshotId: string;
  kind: 'full' | 'incremental';
  reason: FullReason | null;
  volumeBytes: number;
  blockBytes: number;
  createdTime: string;
  /** Until when the point is to be locked; its objects are by generations. */
  lockUntil: string | null;
  base: { manifestKey: string; snapshotId: string } | null;
  /** The newest root of the volume when this one was made, and the SHA-256 (hex) of its bytes: the head chain. */
  previous: { runId: string; sha256: string } | null;
  blocksRead: number;
  blocksStored: number;
  bytesStored: number;
  /** Ascending. A node that is not there holds zeros only. */
  nodes: readonly NodeRef[];
  /** Every pack that this attempt wrote. */
  inventory: Inventory;
  /** Those of earlier attempts at the run whose work this one went on with. */
  resumed: readonly Inventory[];
  /** Other volumes of the tenant whose packs it may name. */
  refersTo: readonly string[];
  /** Hints for later writers, newest first. */
  dedup: readonly RootPlace[];
  /** What the caller knew of the point, as JSON: a lost database is rebuilt from it. Null when it said nothing. */
  about: unknown;
  /** Hex. What block ids are made with: handed on from root to root, so that equal blocks have equal ids. */
  idKey: string;
};

export type VaultDeps = { store: BlobStore; keys: KeyOpener };

/** Compressed pages and roots expand to at most this. */
const METADATA_BYTES_MAX = 64 * 2 ** 20;
/** Bundles whose keys are kept derived. */
const OPENED_BUNDLES_MAX = 1_024;

/** Seals a root, or a checkpoint: header, codec, then one slot. */
export function sealRoot(
  options: {
    dataKey: Uint8Array;
    context: ObjectContext;
    random: (bytes: number) => Uint8Array;
    monitor?: NonceMonitor | undefined;
  },
  manifest: Manifest,
): Uint8Array {
  const { dataKey, context, random, monitor } = options;
  const sealer = createObjectSealer({ dataKey, context, salt: random(SALT_BYTES), monitor });
  const { codec, bytes } = encode(Buffer.from(JSON.stringify(manifest), 'utf8'));
  const { sealed } = sealer.seal({ codec, id: new Uint8Array() }, bytes);
  return Buffer.concat([sealer.header, Uint8Array.of(codec), sealed]);
}

function decodeMetadata(codec: number, bytes: Uint8Array): Uint8Array {
  if (!isCodec(codec)) throw new Fault('unsupported_format', `A stored object has the unknown codec ${codec}.`);
  return decode({ codec, bytes }, METADATA_BYTES_MAX);
}

function openRoot(dataKey: Uint8Array, object: Uint8Array, context: ObjectContext): Uint8Array {
  const opened = openSealedObject(dataKey, object, context);
  const codec = object[HEADER_BYTES] ?? CODEC.raw;
  const slot = { number: 0, codec, id: new Uint8Array() };
  return decodeMetadata(codec, opened.open(slot, object.subarray(HEADER_BYTES + 1)));
}

/** What was sealed was checked when it was made: here its version, and whose it is, are in question. */
function decodeRoot(bytes: Uint8Array, expected: AttemptRef): Manifest {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(Buffer.from(bytes).toString('utf8')) as Manifest;
  } catch (cause) {
    throw new Fault('object_corrupt', 'A manifest is not what it should be.', { cause });
  }
  if (manifest.format !== FORMAT)
    throw new Fault('unsupported_format', 'A manifest has a format this program does not read.');
  if (manifest.runId !== expected.runId || manifest.attempt !== expected.attempt)
    throw new Fault('object_corrupt', 'A manifest speaks of another run.');
  return manifest;
}

/** The place of a page as a root writes it down, once its bundle is closed. */
export function rootPlaceOf(number: number, { bundle, slot, offset, lengthBytes, codec }: PagePlace): RootPlace {
  const { runId, attempt, ordinal, sha256 } = objectRefOf(bundle);
  return { number, runId, attempt, ordinal, sha256, slot, offset, lengthBytes, codec };
}

/** The other way round, for a root of `volumeId`. */
export function placeOfRoot(volumeId: string, place: RootPlace): PagePlace {
  const { runId, attempt, ordinal, sha256, slot, offset, lengthBytes, codec } = place;
  const closed = { sizeBytes: offset + lengthBytes, directoryOffset: 0, sha256 };
  return { bundle: { volumeId, runId, attempt, ordinal, closed }, slot, offset, lengthBytes, codec };
}

/** Opens manifest pages; the header of each bundle is read once. */
function createPageReader(deps: VaultDeps, scope: VolumeScope, ring: KeyRing) {
  const opened = new Map<string, Promise<OpenedObject>>();
  async function openBundle({ bundle }: PagePlace): Promise<OpenedObject> {
    const [dataKey, header] = await Promise.all([
      ring.dataKey(bundle, 'index'),
      deps.store.get(bundleKey(scope.volumeId, objectRefOf(bundle)), { start: 0, length: HEADER_BYTES }),
    ]);
    return openSealedObject(dataKey, header, contextOf(scope, bundle, 'index', bundle.ordinal));
  }
  function keysOf(place: PagePlace): Promise<OpenedObject> {
    const name = containerName(place.bundle);
    const known = opened.get(name);
    if (known) return known;
    const [oldest] = opened.keys();
    if (opened.size >= OPENED_BUNDLES_MAX && oldest !== undefined) opened.delete(oldest);
    const opening = openBundle(place);
    opened.set(name, opening);
    opening.catch(() => opened.delete(name));
    return opening;
  }
  return async (kind: PageKind, number: number, place: PagePlace): Promise<Uint8Array> => {
    const { bundle, slot, offset, lengthBytes, codec } = place;
    if (offset < HEADER_BYTES || lengthBytes > closedOf(bundle).sizeBytes) throw corrupt('A manifest');
    const keys = await keysOf(place);
    const range = { start: offset, length: lengthBytes };
    const sealed = await deps.store.get(bundleKey(scope.volumeId, objectRefOf(bundle)), range);
    return decodeMetadata(codec, keys.open({ number: slot, codec, id: pageId(kind, number) }, sealed));
  };
}

/** Reads manifests of one volume, and keeps their keys open. */
export function createManifestReader(deps: VaultDeps, scope: VolumeScope, ring: KeyRing = createKeyRing(deps, scope)) {
  const { volumeId } = scope;
  const page = createPageReader(deps, scope, ring);
  async function openBytes(manifestKey: string, object: Uint8Array): Promise<Manifest> {
    const ref = { runId: runOfRootKey(volumeId, manifestKey), attempt: decodeHeader(object).attempt };
    const dataKey = await ring.dataKey(ref, 'index');
    return decodeRoot(openRoot(dataKey, object, contextOf(scope, ref, 'root', 0)), ref);
  }
  return {
    ring,
    /** A root whose bytes are at hand. @throws as `root` */
    openRoot: openBytes,
    /** A checkpoint of a run. @throws as `root` */
    async checkpoint(key: string, runId: string, next: number): Promise<Manifest> {
      const object = await deps.store.get(key);
      const ref = { runId, attempt: decodeHeader(object).attempt };
      const dataKey = await ring.dataKey(ref, 'index');
      return decodeRoot(openRoot(dataKey, object, contextOf(scope, ref, 'checkpoint', next)), ref);
    },
    /**
     * @throws Fault `not_found` (not a manifest's name), `object_missing`, `object_corrupt`, `wrong_key`,
     *   `unsupported_format`, `key_unavailable`, `store_unavailable`
     */
    async root(manifestKey: string): Promise<Manifest> {
      runOfRootKey(volumeId, manifestKey);
      return openBytes(manifestKey, await deps.store.get(manifestKey));
    },
    /** @throws as `root` */
    async node(ref: RootPlace): Promise<NodeLeaves> {
      return decodeNode(volumeId, ref.number, await page(PAGE.node, ref.number, placeOfRoot(volumeId, ref)));
    },
    /** @throws as `root` */
    async leaf(number: number, ref: LeafRef): Promise<LeafBlocks> {
      return decodeLeaf(volumeId, number, await page(PAGE.leaf, number, ref));
    },
    /** A page that a root names, as bytes. @throws as `root` */
    page: (kind: PageKind, ref: RootPlace) => page(kind, ref.number, placeOfRoot(volumeId, ref)),
    /** The leaves of a point, ascending, one node in memory at a time. @throws as `root` */
    async *leaves(manifest: Manifest): AsyncGenerator<{ number: number; ref: LeafRef }> {
      for (const node of manifest.nodes) for (const [number, ref] of await this.node(node)) yield { number, ref };
    },
  };
}

export type ManifestReader = ReturnType<typeof createManifestReader>;

/** One manifest, for listings and inspection. Throws as `createManifestReader`. */
export function readManifest(deps: VaultDeps, request: VolumeScope & { manifestKey: string }): Promise<Manifest> {
  return createManifestReader(deps, request).root(request.manifestKey);
}

/** How many blocks of a point are stored: what a restore writes. */
export const blocksOf = ({ nodes }: Pick<Manifest, 'nodes'>): number =>
  nodes.reduce((sum, { blocks }) => sum + blocks, 0);

/** The same, read. Throws as `createManifestReader`. */
export async function storedBlocks(deps: VaultDeps, request: VolumeScope & { manifestKey: string }): Promise<number> {
  return blocksOf(await readManifest(deps, request));
}
