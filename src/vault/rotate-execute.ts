import { Fault, isFault } from '../core/faults.ts';
import { equalBytes } from '../crypto/bytes.ts';
import {
  decodeKeyObject,
  encodeKeyObject,
  identityLabel,
  type KeyIdentity,
  openedBy,
  keyContextOf,
  type Recipient,
} from './key-object.ts';
import type { KeyObjectStore } from './key-store.ts';
import { keyOfObject } from './layout.ts';
import { assertNotAborted, mapInOrder } from './pipeline.ts';
import type { KeyRecipient } from './ports.ts';
import { KEYS_IN_FLIGHT, lackOf, type Rewrap, type RewrapPlan } from './rotate.ts';

/** Others that replace key objects are other key admins: seldom, and each time we are refused one of them got further. */
const ATTEMPTS = 5;

export type RewrapResult = {
  replaced: number;
  /** As they should be when their turn came: another key admin was there. */
  done: number;
  /** Pruned, or erased, since the plan was made. */
  gone: number;
};

/** A data key wrapped for `to`, and opened again: what does not open is not relied on. */
async function wrapProven(
  { recipient, opener }: NonNullable<Rewrap['to']>,
  dataKey: Uint8Array,
  identity: KeyIdentity,
) {
  const [context, label] = [keyContextOf(identity), identityLabel(identity)];
  const wrapped = await recipient.wrap(dataKey, context, label);
  if (!equalBytes(await opener.unwrap(wrapped, context, label, recipient.name), dataKey))
    throw new Fault('wrong_key', 'A data key did not survive being wrapped anew.');
  return wrapped;
}

/** The recipients of a key object as they are to be, or null when they are so. Those that stay are kept byte for byte. */
async function rewrapped(recipients: readonly Recipient[], identity: KeyIdentity, rewrap: Rewrap) {
  const { old, missing, opener, isDone } = lackOf(recipients, rewrap);
  if (isDone) return null;
  if (!opener) throw new Fault('wrong_key', 'A stored key was not sealed for the key that is to open it.');
  const dataKey = await openedBy(opener, recipients, identity);
  const [context, label] = [keyContextOf(identity), identityLabel(identity)];
  const { to } = rewrap;
  const kept = recipients.filter((one) => !old.includes(one));
  const [first] = old;
  if (to && first && !kept.some((one) => to.opener.opens(one)))
    kept.unshift({ kind: first.kind, name: to.recipient.name, wrapped: await wrapProven(to, dataKey, identity) });
  const wrapFor = async (other: KeyRecipient) => ({
    kind: other.kind,
    name: other.name,
    wrapped: await other.wrap(dataKey, context, label),
  });
  return [...kept, ...(await Promise.all(missing.map(wrapFor)))];
}

async function rewrapOne(
  store: KeyObjectStore,
  identity: KeyIdentity,
  key: string,
  rewrap: Rewrap,
): Promise<keyof RewrapResult> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const { bytes, version } = await store.get(key);
    const recipients = await rewrapped(decodeKeyObject(bytes, identity), identity, rewrap);
    if (!recipients) return 'done';
    if ((await store.replace(key, encodeKeyObject(identity, recipients), version)) === 'replaced') return 'replaced';
  }
  throw new Fault('conflict', 'A stored key is being replaced by somebody else all the time.', { facts: { key } });
}

/**
 * Replaces the key objects that a plan names. Each is replaced whole, by a put that succeeds only on what was read: at any moment
 * it is wrapped as before or as after, and a crash between two of them leaves a volume that opens with both keys. Executing
 * again, or a new plan, goes on where it stopped.
 *
 * @throws Fault of the store or of a key service (`key_unavailable`); what was replaced stays replaced
 */
export async function executeRewrap(
  store: KeyObjectStore,
  plan: RewrapPlan,
  rewrap: Rewrap,
  options: { signal?: AbortSignal } = {},
): Promise<RewrapResult> {
  const { cell, tenantId, volumeId } = plan;
  const result: RewrapResult = { replaced: 0, done: 0, gone: 0 };
  async function one(key: string): Promise<keyof RewrapResult> {
    assertNotAborted(options.signal);
    const named = keyOfObject(volumeId, key);
    if (!named) throw new Fault('internal', 'A plan names what is no key object.');
    try {
      return await rewrapOne(store, { cell, tenantId, volumeId, ...named }, key, rewrap);
    } catch (error) {
      if (isFault(error, 'object_missing')) return 'gone';
      throw error;
    }
  }
  for await (const end of mapInOrder(plan.objects, KEYS_IN_FLIGHT, one)) result[end] += 1;
  return result;
}
