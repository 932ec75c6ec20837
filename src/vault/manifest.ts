import { Fault } from '../core/faults.ts';
import { sha256, toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { decodeHeader, HEADER_BYTES } from '../crypto/object-header.ts';
import { FORMAT, type ObjectContext, SALT_BYTES } from '../crypto/object-key.ts';
import { createObjectSealer, openSealedObject } from '../crypto/sealed-object.ts';
import { CODEC, decode, encode, isCodec } from './codec.ts';
import { type AttemptRef, contextOf, type ObjectRef, pageKey, runOfRootKey, type VolumeScope } from './layout.ts';
import { decodePage, type PageBlocks } from './page.ts';
import type { BlobStore, KeyService } from './ports.ts';
import { createKeyRing, type KeyRing } from './run-keys.ts';

/** A page as a root names it: `ordinal` is the number of the page in the volume. */
export type PageRef = ObjectRef & {
  /** How many blocks of the page are stored. */
  blocks: number;
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
  base: { manifestKey: string; snapshotId: string } | null;
  blocksRead: number;
  blocksStored: number;
  bytesStored: number;
  /** Ascending. A page that is not there holds zeros only. */
  pages: readonly PageRef[];
};

export type VaultDeps = { store: BlobStore; keys: KeyService };

/** Compressed pages and roots expand to at most this: a root of a 64 TiB volume has about 7 MiB. */
const METADATA_BYTES_MAX = 64 * 2 ** 20;

/** Seals a page or root: header, codec, then one slot. */
export async function sealMetadata(
  options: {
    dataKey: Uint8Array;
    context: ObjectContext;
    random: (bytes: number) => Uint8Array;
    monitor?: NonceMonitor | undefined;
  },
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const { dataKey, context, random, monitor } = options;
  const sealer = createObjectSealer({ dataKey, context, salt: random(SALT_BYTES), monitor });
  const { codec, bytes } = await encode(plaintext);
  const { sealed } = sealer.seal({ codec, id: new Uint8Array() }, bytes);
  return Buffer.concat([sealer.header, Uint8Array.of(codec), sealed]);
}

async function openMetadata(dataKey: Uint8Array, object: Uint8Array, context: ObjectContext): Promise<Uint8Array> {
  const opened = openSealedObject(dataKey, object, context);
  const codec = object[HEADER_BYTES] ?? CODEC.raw;
  const bytes = opened.open({ number: 0, codec, id: new Uint8Array() }, object.subarray(HEADER_BYTES + 1));
  if (!isCodec(codec)) throw new Fault('unsupported_format', `A stored object has the unknown codec ${codec}.`);
  return decode({ codec, bytes }, METADATA_BYTES_MAX);
}

export const encodeRoot = (manifest: Manifest): Uint8Array => Buffer.from(JSON.stringify(manifest), 'utf8');

/** What sealed bytes say has been authenticated: only its version is in question. */
function decodeRoot(bytes: Uint8Array, expected: AttemptRef): Manifest {
  const manifest = JSON.parse(Buffer.from(bytes).toString('utf8')) as Manifest;
  if (manifest.format !== FORMAT)
    throw new Fault('unsupported_format', 'A manifest has a format this program does not read.');
  if (manifest.runId !== expected.runId || manifest.attempt !== expected.attempt)
    throw new Fault('object_corrupt', 'A manifest speaks of another run.');
  return manifest;
}

/** Reads manifests of one volume, and keeps their keys open. */
export function createManifestReader(deps: VaultDeps, scope: VolumeScope, ring: KeyRing = createKeyRing(deps, scope)) {
  return {
    ring,
    /**
     * @throws Fault `not_found` (not a manifest's name), `object_missing`, `object_corrupt`, `wrong_key`,
     *   `unsupported_format`, `key_unavailable`, `store_unavailable`
     */
    async root(manifestKey: string): Promise<Manifest> {
      const runId = runOfRootKey(scope.volumeId, manifestKey);
      const object = await deps.store.get(manifestKey);
      const ref = { runId, attempt: decodeHeader(object).attempt };
      const dataKey = await ring.dataKey(ref, 'index');
      return decodeRoot(await openMetadata(dataKey, object, contextOf(scope, ref, 'root', 0)), ref);
    },
    /** @throws as `root` */
    async page(ref: PageRef): Promise<PageBlocks> {
      const object = await deps.store.get(pageKey(scope.volumeId, ref));
      const dataKey = await ring.dataKey(ref, 'index');
      const context = contextOf(scope, ref, 'page', ref.ordinal);
      const plaintext = await openMetadata(dataKey, object, context);
      if (toHex(sha256(object)) !== ref.sha256)
        throw new Fault('object_corrupt', `Manifest page ${ref.ordinal} is another one.`);
      return decodePage(ref.ordinal, plaintext);
    },
  };
}

export type ManifestReader = ReturnType<typeof createManifestReader>;

/** One manifest, for listings and inspection. Throws as `createManifestReader`. */
export function readManifest(deps: VaultDeps, request: VolumeScope & { manifestKey: string }): Promise<Manifest> {
  return createManifestReader(deps, request).root(request.manifestKey);
}

/** How many blocks of a point are stored: what a restore writes. Throws as `createManifestReader`. */
export async function storedBlocks(deps: VaultDeps, request: VolumeScope & { manifestKey: string }): Promise<number> {
  const { pages } = await readManifest(deps, request);
  return pages.reduce((sum, page) => sum + page.blocks, 0);
}
