import { hkdfSync } from 'node:crypto';
import { toHex } from '../crypto/bytes.ts';
import { ATTEMPT_BYTES } from '../crypto/object-header.ts';
import { encodeKeyObject, identityLabel, keyContextOf, type KeyIdentity, openKeyObject } from './key-object.ts';
import { type AttemptRef, keyObjectKey, packKeyName, type VolumeScope } from './layout.ts';
import type { BlobStore, KeyOpener, KeyRecipient, KeyService } from './ports.ts';

export type KeyDeps = {
  store: BlobStore;
  keys: KeyService;
  /** Others for whom each new key is wrapped, beside the key service. */
  recipients?: readonly KeyRecipient[] | undefined;
};

type MadeKey = { key: Uint8Array; wrapped: Uint8Array };

/** Stores a new data key wrapped for all recipients: before anything is sealed under it. Returns the bytes of its object. */
export async function storeKey(
  deps: KeyDeps,
  { key, wrapped }: MadeKey,
  identity: KeyIdentity,
  objectKey: string,
): Promise<number> {
  const context = keyContextOf(identity);
  const others = (deps.recipients ?? []).map(async (other) => ({
    kind: other.kind,
    name: other.name,
    wrapped: await other.wrap(key, context, identityLabel(identity)),
  }));
  const recipients = [{ ...deps.keys.recipient, wrapped }, ...(await Promise.all(others))];
  const object = encodeKeyObject(identity, recipients);
  await deps.store.putNew(objectKey, object); // 'exists': our own put, whose answer was lost.
  return object.length;
}

/**
 * Made of the attempt's first key as well as of chance. A machine that is copied while it runs, or restored to an earlier state, gives two
 * workers the same random numbers; the key service is outside of it, and gives each a key of its own. Were their attempts the same,
 * one would seal under a key whose name in the store is the other's.
 */
function attemptIdOf(indexKey: Uint8Array, random: Uint8Array): string {
  return toHex(new Uint8Array(hkdfSync('sha512', indexKey, random, 'domicile/v1/attempt', ATTEMPT_BYTES)));
}

/** The data keys of a new attempt. Made here, used to seal, never unwrapped by the writer. */
export type AttemptKeys = AttemptRef & {
  index: Uint8Array;
  /** The key that the pack of this number is sealed under; a new one for each thousand packs. */
  pack(ordinal: number): Promise<Uint8Array>;
  /** Bytes of the wrapped keys that were stored. */
  bytesStored(): number;
};

/** Fresh keys and a fresh attempt id: a second try of a run shares neither with the first. */
export async function createAttemptKeys(
  deps: KeyDeps,
  scope: VolumeScope,
  runId: string,
  random: (bytes: number) => Uint8Array,
): Promise<AttemptKeys> {
  const { cell, tenantId, volumeId } = scope;
  const generate = (key: string) => deps.keys.generate(keyContextOf({ cell, tenantId, volumeId, runId, key }));
  const index = await generate('index');
  const ref = { runId, attempt: attemptIdOf(index.key, random(ATTEMPT_BYTES)) };
  let bytesStored = 0;
  async function store(made: MadeKey, key: string): Promise<Uint8Array> {
    const identity = { cell, tenantId, volumeId, ...ref, key };
    bytesStored += await storeKey(deps, made, identity, keyObjectKey(volumeId, ref, key));
    return made.key;
  }
  let latest: { name: string; key: Promise<Uint8Array> } | null = null;
  return {
    ...ref,
    index: await store(index, 'index'),
    bytesStored: () => bytesStored,
    pack(ordinal) {
      const name = packKeyName(ordinal);
      if (latest?.name !== name) latest = { name, key: generate(name).then((made) => store(made, name)) };
      return latest.key;
    },
  };
}

/** Opened keys that are kept: a restore of a very old volume refers to few more runs at a time. */
const OPENED_MAX = 4_096;

/**
 * Opens data keys of earlier attempts, each once.
 *
 * `dataKey` throws Fault `object_missing`, `object_corrupt`, `wrong_key`, `unsupported_format` or `key_unavailable`.
 */
export function createKeyRing(deps: { store: BlobStore; keys: KeyOpener }, scope: VolumeScope) {
  const opened = new Map<string, Promise<Uint8Array>>();
  function open(objectKey: string, identity: KeyIdentity): Promise<Uint8Array> {
    const known = opened.get(objectKey);
    if (known) return known;
    const [oldest] = opened.keys();
    if (opened.size >= OPENED_MAX && oldest !== undefined) opened.delete(oldest);
    const key = deps.store.get(objectKey).then((object) => openKeyObject(deps.keys, object, identity));
    opened.set(objectKey, key);
    key.catch(() => opened.delete(objectKey)); // A failure may be passing: the next reader asks again.
    return key;
  }
  const { cell, tenantId } = scope;
  return {
    /** Takes in a key that is open already: the key service is not asked for it. */
    know(ref: AttemptRef, key: string, dataKey: Uint8Array): void {
      opened.set(keyObjectKey(scope.volumeId, ref, key), Promise.resolve(dataKey));
    },
    /** The key of an attempt at a run of `volumeId`; this volume's own when it is not given. */
    dataKey(ref: AttemptRef & { volumeId?: string }, key: string): Promise<Uint8Array> {
      const { runId, attempt, volumeId = scope.volumeId } = ref;
      return open(keyObjectKey(volumeId, ref, key), { cell, tenantId, volumeId, runId, attempt, key });
    },
  };
}

export type KeyRing = ReturnType<typeof createKeyRing>;
/** All that reading needs of it. */
export type DataKeys = Pick<KeyRing, 'dataKey'>;
