import { sha256, toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { SALT_BYTES } from '../crypto/object-key.ts';
import { createObjectSealer, type ObjectSealer } from '../crypto/sealed-object.ts';
import { encode } from './codec.ts';
import { bundleKey, contextOf, type VolumeScope } from './layout.ts';
import { type ContainerRef, objectRefOf, type PagePlace } from './places.ts';
import type { BlobStore } from './ports.ts';
import type { AttemptKeys } from './run-keys.ts';

/** Kinds of manifest pages: numbers of the format. */
export const PAGE = { leaf: 1, node: 2, inventory: 3, dedup: 4 } as const;
export type PageKind = (typeof PAGE)[keyof typeof PAGE];

const BUNDLE_BYTES = 4 * 2 ** 20;
const BUNDLE_SLOTS_MAX = 4_096;

/** What a page is authenticated as: one that is asked for by another kind or number does not open. */
export function pageId(kind: PageKind, number: number): Uint8Array {
  const id = Buffer.alloc(5);
  id.writeUInt8(kind);
  id.writeUInt32BE(number, 1);
  return id;
}

type OpenBundle = { ref: ContainerRef; sealer: ObjectSealer; parts: Uint8Array[]; sizeBytes: number };

/** Seals manifest pages into bundles, and stores each bundle under the SHA-256 of its bytes. */
export function createBundleWriter(options: {
  store: BlobStore;
  scope: VolumeScope;
  attempt: AttemptKeys;
  random: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor | undefined;
  /** Until when a bundle is locked that is put now. */
  lockUntil?: () => Date | undefined;
}) {
  const { store, scope, attempt, random, monitor, lockUntil } = options;
  let open: OpenBundle | null = null;
  let ordinal = 0;
  let bytesStored = 0;

  function begin(): OpenBundle {
    const { runId, attempt: attemptId } = attempt;
    const ref: ContainerRef = { volumeId: scope.volumeId, runId, attempt: attemptId, ordinal, closed: null };
    ordinal += 1;
    const context = contextOf(scope, attempt, 'index', ref.ordinal);
    const sealer = createObjectSealer({ dataKey: attempt.index, context, salt: random(SALT_BYTES), monitor });
    return { ref, sealer, parts: [sealer.header], sizeBytes: sealer.header.length };
  }

  /** Ends the bundle that is being filled, if any, and waits until it is stored. */
  async function close(): Promise<void> {
    if (!open) return;
    const { ref, parts } = open;
    open = null;
    const bytes = Buffer.concat(parts);
    ref.closed = { sizeBytes: bytes.length, directoryOffset: 0, sha256: toHex(sha256(bytes)) };
    const put = { lockUntil: lockUntil?.() };
    await store.putNew(bundleKey(scope.volumeId, objectRefOf(ref)), bytes, put); // 'exists': the same bytes are there.
    bytesStored += bytes.length;
  }

  return {
    close,
    bytesStored: () => bytesStored,
    /** The page's place. Its bundle is not closed yet: others may refer to it once it is. */
    async add(kind: PageKind, number: number, plaintext: Uint8Array): Promise<PagePlace> {
      const { codec, bytes } = encode(plaintext);
      open ??= begin();
      const bundle = open;
      const { number: slot, sealed } = bundle.sealer.seal({ codec, id: pageId(kind, number) }, bytes);
      const place = { bundle: bundle.ref, slot, offset: bundle.sizeBytes, lengthBytes: sealed.length, codec };
      bundle.parts.push(sealed);
      bundle.sizeBytes += sealed.length;
      if (bundle.sizeBytes >= BUNDLE_BYTES || bundle.parts.length > BUNDLE_SLOTS_MAX) await close();
      return place;
    },
  };
}

export type BundleWriter = ReturnType<typeof createBundleWriter>;
