import { Fault } from '../core/faults.ts';
import { sha256, toHex } from '../crypto/bytes.ts';
import { decodeHeader } from '../crypto/object-header.ts';
import { type DamageClass, damageClassOf } from './damage.ts';
import { readKeyObject } from './key-object.ts';
import { keyObjectKey, kindOfObject, rootsPrefix, volumePrefix } from './layout.ts';
import { assertNotAborted, mapInOrder } from './pipeline.ts';
import type { BlobStore } from './ports.ts';

/** Objects that are copied at once: each is in memory as a whole, and a pack has 16 MiB. */
const OBJECTS_AT_ONCE = 8;

/** What of one volume is copied: objects that are wanted, and then these roots. */
export type CopyVolume = { volumeId: string; wants: (key: string) => boolean; roots: ReadonlySet<string> };

export type CopyStores = { from: BlobStore; to: BlobStore };

type Listed = { key: string; sizeBytes: number };
type Compared = Listed & { there: 'no' | 'yes' | 'otherwise' };

/** An amount of objects. */
export type Amount = { objects: number; bytes: number };

/** What there is to do. `inTheWay`: objects at the target of another length; nothing is written over them. */
export type CopyPlan = { copy: Amount; there: Amount; points: number; inTheWay: readonly string[] };

const nothing = (): Amount => ({ objects: 0, bytes: 0 });
function add(amount: Amount, bytes: number): void {
  amount.objects += 1;
  amount.bytes += bytes;
}

/** An object that was not copied, and why. `object_exists`: at the target lies one of another length. */
export type NotCopied = { class: DamageClass | 'object_exists'; object: string };

/** What was done. `points`: roots that the copy has now. */
export type CopyReport = { copied: Amount; there: Amount; points: number; damage: readonly NotCopied[] };

/** Goes through two listings side by side, both in lexical order. */
async function* compareListings(
  { from, to }: CopyStores,
  prefix: string,
  wants: (key: string) => boolean,
): AsyncGenerator<Compared> {
  const target = to.list(prefix)[Symbol.asyncIterator]();
  let next = await target.next();
  try {
    for await (const object of from.list(prefix)) {
      if (!wants(object.key)) continue;
      while (!next.done && next.value.key < object.key) next = await target.next();
      const found = !next.done && next.value.key === object.key ? next.value : null;
      const same = found?.sizeBytes === object.sizeBytes;
      yield { ...object, there: found ? (same ? 'yes' : 'otherwise') : 'no' };
    }
  } finally {
    await target.return?.();
  }
}

/** Packs, bundles and keys of these volumes: what points are made of. */
async function* parts(stores: CopyStores, volumes: readonly CopyVolume[]): AsyncGenerator<Compared> {
  for (const { volumeId, wants } of volumes)
    yield* compareListings(stores, volumePrefix(volumeId), (key) => kindOfObject(key) !== 'roots' && wants(key));
}

/** Their roots: what makes points of them. */
async function* roots(stores: CopyStores, volumes: readonly CopyVolume[]): AsyncGenerator<Compared> {
  for (const { volumeId, roots: wanted } of volumes)
    yield* compareListings(stores, rootsPrefix(volumeId), (key) => wanted.has(key));
}

/**
 * Works out what a copy has to do, by listings alone.
 *
 * @throws Fault `store_unavailable`
 */
export async function planCopy(stores: CopyStores, volumes: readonly CopyVolume[]): Promise<CopyPlan> {
  const plan = { copy: nothing(), there: nothing(), points: 0, inTheWay: [] as string[] };
  const note = ({ key, sizeBytes, there }: Compared) => {
    if (there === 'otherwise') plan.inTheWay.push(key);
    else add(there === 'yes' ? plan.there : plan.copy, sizeBytes);
  };
  for await (const object of parts(stores, volumes)) note(object);
  for await (const object of roots(stores, volumes)) {
    note(object);
    plan.points += 1;
  }
  return plan;
}

/** Holds the bytes of an object to its name. @throws Fault of the class of the damage */
function check(key: string, bytes: Uint8Array): Uint8Array {
  const digest = sha256(bytes);
  const [, volumeId = '', kind = '', runId = '', attempt = '', last = ''] = key.split('/');
  if (kind === 'roots') decodeHeader(bytes);
  else if (kind === 'keys') {
    const { identity } = readKeyObject(bytes);
    if (keyObjectKey(identity.volumeId, identity, identity.key) !== keyObjectKey(volumeId, { runId, attempt }, last))
      throw new Fault('wrong_key', 'A stored key belongs to something else.');
  } else if (!last.endsWith(toHex(digest))) throw new Fault('object_corrupt', `${key} is damaged.`);
  return digest;
}

type CopyOptions = {
  signal?: AbortSignal;
  /** Copy the roots although something that they may need is damaged or gone. */
  despiteDamage?: boolean;
  /** Told of each object that is at the target now, or cannot be: the bytes of all so far. */
  onProgress?: (bytes: number) => void;
};

/**
 * Copies volumes to another store: create-only, each object checked against its name on the way, what is there left as it is. Roots
 * come last, when everything that they need is there; so a copy that was interrupted has no point without its blocks, and the next call goes
 * on. An object that is damaged is not copied, and then no root is.
 *
 * @throws Fault `store_unavailable`, `aborted`
 */
export async function executeCopy(
  stores: CopyStores,
  volumes: readonly CopyVolume[],
  { signal, despiteDamage = false, onProgress }: CopyOptions = {},
): Promise<CopyReport> {
  const report = { copied: nothing(), there: nothing(), points: 0, damage: [] as NotCopied[] };
  let seen = 0;
  async function copy({ key, sizeBytes, there }: Compared): Promise<{ done: boolean; sizeBytes: number }> {
    assertNotAborted(signal);
    if (there === 'no') {
      try {
        const bytes = await stores.from.get(key);
        await stores.to.putNew(key, bytes, { sha256: check(key, bytes) });
        add(report.copied, bytes.length);
      } catch (error) {
        report.damage.push({ class: damageClassOf(error), object: key });
        return { done: false, sizeBytes };
      }
    } else if (there === 'yes') add(report.there, sizeBytes);
    else report.damage.push({ class: 'object_exists', object: key });
    return { done: there !== 'otherwise', sizeBytes };
  }
  async function copyAll(objects: AsyncIterable<Compared>, onDone: () => void): Promise<void> {
    for await (const { done, sizeBytes } of mapInOrder(objects, OBJECTS_AT_ONCE, copy)) {
      assertNotAborted(signal);
      if (done) onDone();
      seen += sizeBytes;
      onProgress?.(seen);
    }
  }
  await copyAll(parts(stores, volumes), () => {});
  if (report.damage.length === 0 || despiteDamage)
    await copyAll(roots(stores, volumes), () => {
      report.points += 1;
    });
  return report;
}
