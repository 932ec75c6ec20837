import { Fault } from '../core/faults.ts';
import { createByteReader, createByteWriter, equalBytes, sha256 } from '../crypto/bytes.ts';
import type { AttemptRef, VolumeScope } from './layout.ts';
import type { KeyContext, KeyOpener, KeyPurpose } from './ports.ts';

const MAGIC = 0x444d_4b59; // "DMKY"
const VERSION = 1;
const DIGEST_BYTES = 32;

/** What a wrapped key is for: the fields of its object. `key` is `index`, or `pack-000000` … */
export type KeyIdentity = VolumeScope & AttemptRef & { key: string };

/** A data key, wrapped for one of those who may open it. */
export type Recipient = { kind: number; name: string; wrapped: Uint8Array };

const purposeOf = (key: string): KeyPurpose => (key === 'index' ? 'index' : 'pack');

/** The six fields: what an offline recipient's wrap is bound to, as a key service's is to its context. */
export function identityLabel({ cell, tenantId, volumeId, runId, attempt, key }: KeyIdentity): Uint8Array {
  const writer = createByteWriter();
  for (const field of [cell, tenantId, volumeId, runId, attempt, key]) writer.text(field);
  return writer.done();
}

/** The fields that say whose key it is, then the key as wrapped for each recipient, then the SHA-256 of all of it. */
export function encodeKeyObject(identity: KeyIdentity, recipients: readonly Recipient[]): Uint8Array {
  const writer = createByteWriter();
  writer.u32(MAGIC);
  writer.u8(VERSION);
  writer.bytes(identityLabel(identity));
  writer.u8(recipients.length);
  for (const { kind, name, wrapped } of recipients) {
    writer.u8(kind);
    writer.text(name);
    writer.u16(wrapped.length);
    writer.bytes(wrapped);
  }
  writer.bytes(sha256(writer.done()));
  return writer.done();
}

/**
 * What a key object says: whose key it is, and for whom it is wrapped. Who opens it proves the rest.
 *
 * @throws Fault `object_corrupt` when it is damaged, `unsupported_format` when a later version wrote it
 */
export function readKeyObject(bytes: Uint8Array): { identity: KeyIdentity; recipients: Recipient[] } {
  const digestAt = bytes.length - DIGEST_BYTES;
  if (digestAt < 0 || !equalBytes(sha256(bytes.subarray(0, digestAt)), bytes.subarray(digestAt)))
    throw new Fault('object_corrupt', 'A stored key is damaged.');
  const reader = createByteReader(bytes.subarray(0, digestAt));
  if (reader.u32() !== MAGIC) throw new Fault('object_corrupt', 'A stored key is damaged.');
  const version = reader.u8();
  if (version !== VERSION) throw new Fault('unsupported_format', `A stored key has format version ${version}.`);
  const [cell, tenantId, volumeId] = [reader.text(), reader.text(), reader.text()];
  const [runId, attempt, key] = [reader.text(), reader.text(), reader.text()];
  const recipients = Array.from({ length: reader.u8() }, () => ({
    kind: reader.u8(),
    name: reader.text(),
    wrapped: reader.bytes(reader.u16()),
  }));
  reader.end();
  return { identity: { cell, tenantId, volumeId, runId, attempt, key }, recipients };
}

/** For whom the key of this identity is wrapped. @throws as `readKeyObject`, Fault `wrong_key` when it belongs to something else */
export function decodeKeyObject(bytes: Uint8Array, expected: KeyIdentity): Recipient[] {
  const { identity, recipients } = readKeyObject(bytes);
  if (!equalBytes(identityLabel(identity), identityLabel(expected)))
    throw new Fault('wrong_key', 'A stored key belongs to something else.');
  return recipients;
}

/** What a key service binds the key to. */
export const keyContextOf = ({ cell, tenantId, volumeId, runId, key }: Omit<KeyIdentity, 'attempt'>): KeyContext => ({
  cell,
  tenant: tenantId,
  volume: volumeId,
  run: runId,
  purpose: purposeOf(key),
});

/**
 * Opens a data key by whichever of its wraps is the opener's: the first that opens. One key service may be away while another is not.
 *
 * @throws Fault `wrong_key` when none is the opener's, and what it throws
 */
export async function openedBy(
  opener: KeyOpener,
  recipients: readonly Recipient[],
  identity: KeyIdentity,
): Promise<Uint8Array> {
  let failure: unknown = new Fault('wrong_key', 'A stored key was not sealed for the key that is to open it.');
  for (const { wrapped, name } of recipients.filter((recipient) => opener.opens(recipient))) {
    try {
      return await opener.unwrap(wrapped, keyContextOf(identity), identityLabel(identity), name);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Opens a key object. @throws as `decodeKeyObject` and `openedBy` */
export const openKeyObject = async (opener: KeyOpener, bytes: Uint8Array, identity: KeyIdentity): Promise<Uint8Array> =>
  openedBy(opener, decodeKeyObject(bytes, identity), identity);
