import { type FaultCode, isFault } from '../core/faults.ts';
import { decodeKeyObject, type Recipient } from './key-object.ts';
import type { KeyObjectStore } from './key-store.ts';
import { keyOfObject, keysPrefix, type VolumeScope } from './layout.ts';
import { mapInOrder } from './pipeline.ts';
import type { KeyOpener, KeyRecipient } from './ports.ts';

/** For whom data keys are wrapped from now on. At least one of `to` and `add` is there. */
export type Rewrap = {
  /** Opens them as they are wrapped so far. */
  from: KeyOpener;
  /** Takes its place in each key object. What it has wrapped is opened again, before it is relied on. */
  to?: { recipient: KeyRecipient; opener: KeyOpener };
  /** Others for whom each key is to be wrapped too: a tenant's recovery key, the recovery region's. */
  add?: readonly KeyRecipient[];
};

type LeftReason = FaultCode | 'not_a_key_object';

/** Which key objects of a volume are to be replaced. Plain data, fit to be shown first. */
export type RewrapPlan = VolumeScope & {
  objects: readonly string[];
  /** Key objects that are as they should be already. */
  done: number;
  /** Those that cannot be wrapped anew: damaged, or for none of those who could open them here. */
  left: readonly { key: string; reason: LeftReason }[];
};

/** Key objects that are read at once: each is one small get. */
export const KEYS_IN_FLIGHT = 16;

const isFor = (one: { kind: number; name: string }) => (other: { kind: number; name: string }) =>
  one.kind === other.kind && one.name === other.name;

/** What a key object still lacks. Pure. */
export function lackOf(recipients: readonly Recipient[], { from, to, add = [] }: Rewrap) {
  const old = to ? recipients.filter((one) => from.opens(one) && !to.opener.opens(one)) : [];
  const missing = add.filter((one) => !recipients.some(isFor(one)));
  const opener = [from, ...(to ? [to.opener] : [])].find((one) => recipients.some((recipient) => one.opens(recipient)));
  return { old, missing, opener, isDone: old.length === 0 && missing.length === 0 };
}

type Seen = { key: string; state: 'todo' | 'done' | { reason: LeftReason } };

async function look(store: KeyObjectStore, scope: VolumeScope, rewrap: Rewrap, key: string): Promise<Seen | null> {
  const named = keyOfObject(scope.volumeId, key);
  if (!named) return { key, state: { reason: 'not_a_key_object' } };
  try {
    const { bytes } = await store.get(key);
    const lack = lackOf(decodeKeyObject(bytes, { ...scope, ...named }), rewrap);
    if (!lack.opener) return { key, state: { reason: 'wrong_key' } };
    return { key, state: lack.isDone ? 'done' : 'todo' };
  } catch (error) {
    if (isFault(error, 'object_missing')) return null; // Pruned, or erased, since it was listed.
    if (isFault(error, 'object_corrupt') || isFault(error, 'wrong_key') || isFault(error, 'unsupported_format'))
      return { key, state: { reason: error.code } };
    throw error;
  }
}

/**
 * Works out which key objects of a volume are not yet wrapped as they should be. Reads names and recipients; opens nothing,
 * changes nothing.
 *
 * @throws Fault of the store
 */
export async function planRewrap(store: KeyObjectStore, scope: VolumeScope, rewrap: Rewrap): Promise<RewrapPlan> {
  async function* names() {
    for await (const { key } of store.list(keysPrefix(scope.volumeId))) yield key;
  }
  const { cell, tenantId, volumeId } = scope;
  const objects: string[] = [];
  const left: { key: string; reason: LeftReason }[] = [];
  let done = 0;
  for await (const seen of mapInOrder(names(), KEYS_IN_FLIGHT, (key) => look(store, scope, rewrap, key))) {
    if (seen === null) continue;
    if (seen.state === 'todo') objects.push(seen.key);
    else if (seen.state === 'done') done += 1;
    else left.push({ key: seen.key, reason: seen.state.reason });
  }
  return { cell, tenantId, volumeId, objects, done, left };
}
