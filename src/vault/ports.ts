/**
 * What the engine needs of the world. Each port is small, is declared here by its consumer, and is implemented in
 * `src/aws` (and in memory for tests). Implementations throw `Fault`s: the engine never sees a cloud's own errors.
 */

/** Bytes of one EBS block: 512 KiB. Read from the source's answer, never assumed on the read path. */
export const BLOCK_BYTES = 524_288;

export type PutOptions = {
  /** That of the bytes, where the caller knows it: a store that sends it need not hash them again. */
  sha256?: Uint8Array;
  /** Until then nobody can delete the object (S3 Object Lock, compliance mode). */
  lockUntil?: Date | undefined;
};

/**
 * An object store with the semantics of S3: strong read-after-write, atomic puts, no partial objects.
 * Keys are relative to what the store was opened for (one tenant's prefix of the cell's bucket).
 */
export type BlobStore = {
  /**
   * Creates an object, and only creates it. `exists` means that an object of that key is already there (an earlier
   * attempt whose answer was lost, or someone else's): the caller decides what that means. The bytes are the caller's again when
   * it is done.
   */
  putNew(key: string, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'>;
  /** The object's bytes, or `length` bytes from `start`. Throws Fault `object_missing`. */
  get(key: string, range?: { start: number; length: number }): Promise<Uint8Array>;
  /** Keys with this prefix, in lexical order, page by page. */
  list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }>;
  /**
   * The names directly below `prefix` that have objects below them: each with its `/`, without what is before it, in lexical order.
   * What lies below is not listed (S3's delimiter).
   */
  folders(prefix: string): AsyncIterable<string>;
  /** Deletes; an absent object is not an error, one that is locked is Fault `store_unavailable`, or stays as a version. */
  delete(keys: readonly string[]): Promise<void>;
};

/** What the locks of stored objects are asked and told: whoever reads and whoever extends need not be the same. */
export type LockReader = {
  /** When the object's lock ends, or ended; null: it has none. Throws Fault `object_missing`, `store_unavailable`. */
  lockedUntil(key: string): Promise<Date | null>;
};
export type LockExtender = {
  /** Locks the object until then. Throws Fault `object_missing`, `store_unavailable` (a lock that would end earlier than it does, too). */
  extend(key: string, until: Date): Promise<void>;
};
export type LockStore = LockReader & LockExtender;

/** One block of a listing: its index in the volume and whatever the source needs to fetch it. */
export type BlockRef = { index: number; token: string };

/** What changed at an index since the base: a block to fetch, or nothing any more (reads as zeros from now on). */
export type BlockChange = { index: number; token: string | null };

/** A point-in-time image of a volume that can be read block by block (an EBS snapshot). */
export type BlockSource = {
  /** Size of the volume in bytes, at the time of the image. */
  readonly volumeBytes: number;
  readonly blockBytes: number;
  /** Every block that was ever written, from index `from` on, in ascending order. May hold all-zero blocks. */
  list(from: number): AsyncIterable<BlockRef>;
  /**
   * What differs from `base`, an earlier image of the same volume, from index `from` on, ascending; null when source and base
   * are not of one lineage or the base is gone: back up in full, and say so.
   */
  listChanged(base: string, from: number): Promise<AsyncIterable<BlockChange> | null>;
  /**
   * The bytes of a block and their SHA-256 as the source states it: the engine holds one to the other, once, and asks again
   * where they differ. The bytes may be put `into` memory of the caller's.
   */
  fetch(ref: BlockRef, into?: Uint8Array): Promise<{ bytes: Uint8Array; sha256: Uint8Array }>;
};

/** A new, empty image of a volume that is being written (an EBS snapshot between Start and Complete). */
export type BlockSink = {
  readonly blockBytes: number;
  /** Writes one block. Indexes left out read as zeros. Writing an index again replaces it. */
  put(index: number, bytes: Uint8Array, sha256: Uint8Array): Promise<void>;
  /**
   * Seals the image: `count` blocks were written, `linearSha256` is the SHA-256 over their raw SHA-256 digests in
   * ascending order of index. Returns when the image is complete; throws `restore_checksum_mismatch` when refused.
   */
  complete(count: number, linearSha256: Uint8Array): Promise<void>;
};

/** What a key may be used for; bound into the key and refused by the key service for anything else. */
export type KeyPurpose = 'pack' | 'index';

/**
 * Names a key by its use: `volume` is what the data belongs to (with purpose `configuration`, an instance). All opaque ids: it
 * appears in the clear in the key service's own log.
 */
export type KeyContext = {
  cell: string;
  tenant: string;
  volume: string;
  run: string;
  purpose: KeyPurpose | 'configuration';
};

/** Kinds of recipients of a data key: numbers of the format. */
export const RECIPIENT = { cell: 1, recoveryRegion: 2, tenant: 3 } as const;

/** Somebody who opens data keys that were wrapped for them. `label` says the same as the context, and more exactly. */
export type KeyOpener = {
  /** Can it open what was wrapped for this recipient? `name` says which key of its kind: an ARN, a fingerprint. */
  opens(recipient: { kind: number; name: string }): boolean;
  /**
   * `name` is that of the recipient for whom it was wrapped. Throws Fault `wrong_key` for another context or key, `key_unavailable`
   * when the service cannot be used now.
   */
  unwrap(wrapped: Uint8Array, context: KeyContext, label: Uint8Array, name: string): Promise<Uint8Array>;
};

/** Makes and opens data keys (256 bit) under the cell's *data* key. A wrong context never opens a key. */
export type KeyService = KeyOpener & {
  /** As which recipient it is named beside a key that it has wrapped. */
  readonly recipient: { readonly kind: number; readonly name: string };
  generate(context: KeyContext): Promise<{ key: Uint8Array; wrapped: Uint8Array }>;
  /** As an opener's: the context is all that a key service binds a key to. Without `name`, whichever of its keys opens it. */
  unwrap(wrapped: Uint8Array, context: KeyContext, label?: Uint8Array, name?: string): Promise<Uint8Array>;
};

/** Somebody else for whom every data key is wrapped too: the recovery region, or the tenant's own recovery key. */
export type KeyRecipient = {
  readonly kind: number;
  readonly name: string;
  wrap(dataKey: Uint8Array, context: KeyContext, label: Uint8Array): Promise<Uint8Array>;
};

/** Progress of a long run, in blocks; `total` is null until the listing is complete. */
export type Progress = { blocksDone: number; blocksTotal: number | null; bytesStored: number };
