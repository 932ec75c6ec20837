/**
 * Key objects are the exception among a vault's objects: they are replaced when they are wrapped anew, and destroyed with all
 * their versions when data is erased. These ports are for that and for nothing else; backups never see them.
 */

/** An object as it is now. `version` is the store's word for exactly these bytes (S3: the ETag). */
export type VersionedObject = { bytes: Uint8Array; version: string };

export type KeyObjectStore = {
  /** Keys with this prefix, in lexical order. */
  list(prefix: string): AsyncIterable<{ key: string }>;
  /** Throws Fault `object_missing`. */
  get(key: string): Promise<VersionedObject>;
  /** Replaces the object if it is still of this version. `changed`: it is another one now, or gone, and was left alone. */
  replace(key: string, bytes: Uint8Array, version: string): Promise<'replaced' | 'changed'>;
};

/** One stored version of an object, or the marker that a deletion has left. */
export type ObjectVersion = { key: string; versionId: string; deleteMarker: boolean };

export type VersionStore = {
  /** Every version and delete marker of the keys with this prefix, in lexical order of keys. */
  listVersions(prefix: string): AsyncIterable<ObjectVersion>;
  /** Destroys these versions; one that is gone already is not an error. Throws Fault `store_unavailable` when one stays. */
  deleteVersions(versions: readonly ObjectVersion[]): Promise<void>;
};
