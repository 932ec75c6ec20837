import { Fault } from '../core/faults.ts';
import { createByteReader, createByteWriter, equalBytes, sha256, toHex } from '../crypto/bytes.ts';
import { ATTEMPT_BYTES } from '../crypto/object-header.ts';
import { type AttemptRef, type VolumeScope, wrappedKeyKey } from './layout.ts';
import type { BlobStore, KeyContext, KeyPurpose, KeyService } from './ports.ts';

const MAGIC = 0x444d_4b59; // "DMKY"
const VERSION = 0;
const DIGEST_BYTES = 32;
const PURPOSES: readonly KeyPurpose[] = ['pack', 'index'];

const contextOf = (scope: VolumeScope, runId: string, purpose: KeyPurpose): KeyContext => ({
  cell: scope.cell,
  tenant: scope.tenantId,
  volume: scope.volumeId,
  run: runId,
  purpose,
});

/** The fields that say whose key it is, then the wrapped key, then the SHA-256 of all of it. */
function encodeWrappedKey(context: KeyContext, attempt: string, wrapped: Uint8Array): Uint8Array {
  const writer = createByteWriter();
  writer.u32(MAGIC);
  writer.u8(VERSION);
  for (const field of [context.cell, context.tenant, context.volume, context.run, attempt, context.purpose])
    writer.text(field);
  writer.u16(wrapped.length);
  writer.bytes(wrapped);
  writer.bytes(sha256(writer.done()));
  return writer.done();
}

function decodeWrappedKey(bytes: Uint8Array, context: KeyContext, attempt: string): Uint8Array {
  const digestAt = bytes.length - DIGEST_BYTES;
  if (digestAt < 0 || !equalBytes(sha256(bytes.subarray(0, digestAt)), bytes.subarray(digestAt)))
    throw new Fault('object_corrupt', 'A stored key is damaged.');
  const reader = createByteReader(bytes.subarray(0, digestAt));
  if (reader.u32() !== MAGIC) throw new Fault('object_corrupt', 'A stored key is damaged.');
  const version = reader.u8();
  if (version !== VERSION) throw new Fault('unsupported_format', `A stored key has format version ${version}.`);
  for (const field of [context.cell, context.tenant, context.volume, context.run, attempt, context.purpose])
    if (reader.text() !== field) throw new Fault('wrong_key', 'A stored key belongs to something else.');
  const wrapped = reader.bytes(reader.u16());
  reader.end();
  return wrapped;
}

/** The two data keys of a new attempt. Made here, used to seal, never unwrapped by the writer. */
export type AttemptKeys = AttemptRef & {
  keys: Record<KeyPurpose, Uint8Array>;
  /** The wrapped keys as they are to be stored, before the root that needs them. */
  objects: readonly { key: string; bytes: Uint8Array }[];
};

/** Fresh keys and a fresh attempt id: a second try of a run shares neither with the first. */
export async function generateAttemptKeys(
  keys: KeyService,
  scope: VolumeScope,
  runId: string,
  random: (bytes: number) => Uint8Array,
): Promise<AttemptKeys> {
  const attempt = toHex(random(ATTEMPT_BYTES));
  const made = await Promise.all(
    PURPOSES.map(async (purpose) => {
      const context = contextOf(scope, runId, purpose);
      const { key, wrapped } = await keys.generate(context);
      const object = wrappedKeyKey(scope.volumeId, { runId, attempt }, purpose);
      return { purpose, key, object: { key: object, bytes: encodeWrappedKey(context, attempt, wrapped) } };
    }),
  );
  const [pack, index] = made;
  if (!pack || !index) throw new Fault('internal', 'A run needs a key for each purpose.');
  return {
    runId,
    attempt,
    keys: { pack: pack.key, index: index.key },
    objects: made.map(({ object }) => object),
  };
}

/**
 * Opens data keys of earlier attempts, each once. Holds 32 bytes for each run that a manifest refers to.
 *
 * `dataKey` throws Fault `object_missing`, `object_corrupt`, `wrong_key` or `key_unavailable`.
 */
export function createKeyRing(deps: { store: BlobStore; keys: KeyService }, scope: VolumeScope) {
  const opened = new Map<string, Promise<Uint8Array>>();
  async function open(ref: AttemptRef, purpose: KeyPurpose): Promise<Uint8Array> {
    const context = contextOf(scope, ref.runId, purpose);
    const object = await deps.store.get(wrappedKeyKey(scope.volumeId, ref, purpose));
    return deps.keys.unwrap(decodeWrappedKey(object, context, ref.attempt), context);
  }
  return {
    dataKey(ref: AttemptRef, purpose: KeyPurpose): Promise<Uint8Array> {
      const name = `${ref.runId}/${ref.attempt}/${purpose}`;
      const known = opened.get(name);
      if (known) return known;
      const key = open(ref, purpose);
      opened.set(name, key);
      key.catch(() => opened.delete(name)); // A failure may be passing: the next reader asks again.
      return key;
    },
  };
}

export type KeyRing = ReturnType<typeof createKeyRing>;
