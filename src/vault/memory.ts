import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { equalBytes, sha256 } from '../crypto/bytes.ts';
import { isLocked } from './locks/generations.ts';
import {
  type BlobStore,
  type BlockChange,
  type BlockRef,
  type BlockSink,
  type BlockSource,
  type KeyContext,
  type KeyRecipient,
  type KeyService,
  type LockStore,
  RECIPIENT,
} from './ports.ts';

/**
 * The ports in memory, as strict as the real ones: objects are created once, missing ones are a Fault, keys open for their
 * own context only, a snapshot takes no block whose checksum is wrong. For tests and for trying things out.
 */

/** Locks as those of S3 in compliance mode: they can be made longer, and nobody deletes what they hold. */
function createMemoryLocks(clock: Clock) {
  const locks = new Map<string, Date>();
  const refused = (why: string) => new Fault('store_unavailable', `The store refused: ${why}.`);
  return {
    locks,
    lock: (key: string, until: Date) => {
      if (until <= clock.now()) throw refused('a lock must end in the future');
      if ((locks.get(key) ?? until) > until) throw refused('a lock cannot be made shorter');
      locks.set(key, until);
    },
    requireUnlocked: (key: string) => {
      if (isLocked(locks.get(key) ?? null, clock.now())) throw refused(`${key} is locked`);
    },
  };
}

/** The names directly below a prefix that have something below them, as a store lists them. */
export function foldersOf(keys: readonly string[], prefix: string): string[] {
  const below = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  const names = below.filter((rest) => rest.includes('/')).map((rest) => rest.slice(0, rest.indexOf('/') + 1));
  return [...new Set(names)].toSorted();
}

/** `objects` is the store's content, open to inspection and to damage; `locks` is when each one's lock ends. */
export function createMemoryStore(
  clock: Clock = systemClock,
): BlobStore & LockStore & { objects: Map<string, Uint8Array>; locks: Map<string, Date> } {
  const objects = new Map<string, Uint8Array>();
  const { locks, lock, requireUnlocked } = createMemoryLocks(clock);
  const requireObject = (key: string) => {
    if (!objects.has(key)) throw new Fault('object_missing', 'A stored object is missing.');
  };
  return {
    objects,
    locks,
    async putNew(key, bytes, { lockUntil } = {}) {
      if (objects.has(key)) return 'exists';
      if (lockUntil) lock(key, lockUntil);
      objects.set(key, Uint8Array.from(bytes));
      return 'created';
    },
    async lockedUntil(key) {
      requireObject(key);
      return locks.get(key) ?? null;
    },
    async extend(key, until) {
      requireObject(key);
      lock(key, until);
    },
    async get(key, range) {
      const object = objects.get(key);
      if (!object) throw new Fault('object_missing', 'A stored object is missing.');
      return Uint8Array.from(range ? object.subarray(range.start, range.start + range.length) : object);
    },
    async *list(prefix) {
      for (const key of [...objects.keys()].filter((one) => one.startsWith(prefix)).toSorted())
        yield { key, sizeBytes: objects.get(key)?.length ?? 0 };
    },
    async *folders(prefix) {
      yield* foldersOf([...objects.keys()], prefix);
    },
    async delete(keys) {
      for (const key of keys) {
        requireUnlocked(key);
        objects.delete(key);
        locks.delete(key);
      }
    },
  };
}

/** A key service under one master key. `calls` counts, by purpose, what was asked of it; `asRecipient` wraps other keys. */
export function createMemoryKeys(master: Uint8Array = randomBytes(32), name = 'memory') {
  const none: Partial<Record<KeyContext['purpose'], number>> = { pack: 0, index: 0 };
  const calls = { generate: { ...none }, unwrap: { ...none } };
  const count = (counts: typeof none, { purpose }: KeyContext) => {
    counts[purpose] = (counts[purpose] ?? 0) + 1;
  };
  const additional = ({ cell, tenant, volume, run, purpose }: KeyContext) =>
    Buffer.from(JSON.stringify([cell, tenant, volume, run, purpose]));
  function wrap(key: Uint8Array, context: KeyContext): Uint8Array {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', master, nonce).setAAD(additional(context));
    const body = Buffer.concat([cipher.update(key), cipher.final()]);
    return Buffer.concat([nonce, body, cipher.getAuthTag()]);
  }
  const service: KeyService = {
    recipient: { kind: RECIPIENT.cell, name },
    opens: (recipient) => recipient.kind !== RECIPIENT.tenant && recipient.name === name,
    async generate(context) {
      count(calls.generate, context);
      const key = randomBytes(32);
      return { key, wrapped: wrap(key, context) };
    },
    async unwrap(wrapped, context) {
      count(calls.unwrap, context);
      try {
        const opener = createDecipheriv('aes-256-gcm', master, wrapped.subarray(0, 12)).setAAD(additional(context));
        opener.setAuthTag(wrapped.subarray(-16));
        return Buffer.concat([opener.update(wrapped.subarray(12, -16)), opener.final()]);
      } catch (cause) {
        throw new Fault('wrong_key', 'A stored key does not open for this tenant, volume and run.', { cause });
      }
    },
  };
  const asRecipient = (kind: number): KeyRecipient => ({
    kind,
    name,
    wrap: async (key, context) => wrap(key, context),
  });
  return { ...service, calls, asRecipient };
}

/** Blocks by index; an index that is not there was never written. */
export type MemoryImage = ReadonlyMap<number, Uint8Array>;

/**
 * An image to read. `lineage` holds the earlier images of the same volume by snapshot id. `busiest` is the largest number of
 * fetches that were under way at once.
 */
export function createMemorySource(options: {
  image: MemoryImage;
  blockBytes: number;
  volumeBytes: number;
  lineage?: ReadonlyMap<string, MemoryImage>;
}) {
  const { image, blockBytes, volumeBytes, lineage } = options;
  const load = { now: 0, busiest: 0 };
  async function* list(from: number): AsyncGenerator<BlockRef> {
    for (const index of [...image.keys()].filter((one) => one >= from).toSorted((a, b) => a - b))
      yield { index, token: `block-${index}` };
  }
  async function* changed(base: MemoryImage, from: number): AsyncGenerator<BlockChange> {
    const indexes = new Set([...image.keys(), ...base.keys()]);
    for (const index of [...indexes].filter((one) => one >= from).toSorted((a, b) => a - b)) {
      const [before, after] = [base.get(index), image.get(index)];
      if (before && after && equalBytes(before, after)) continue;
      yield { index, token: after ? `block-${index}` : null };
    }
  }
  const source: BlockSource = {
    volumeBytes,
    blockBytes,
    list,
    async listChanged(base, from) {
      const earlier = lineage?.get(base);
      return earlier ? changed(earlier, from) : null;
    },
    async fetch({ index, token }) {
      load.now += 1;
      load.busiest = Math.max(load.busiest, load.now);
      await new Promise((resolve) => setImmediate(resolve));
      load.now -= 1;
      const bytes = image.get(index);
      if (!bytes || token !== `block-${index}`)
        throw new Fault('aws_resource_not_found', `There is no block ${index}.`);
      return { bytes, sha256: sha256(bytes) };
    },
  };
  return { ...source, load };
}

/** An image being written. `image` is complete, and may be looked at, once `isComplete()`. */
export function createMemorySink(options: { blockBytes: number; volumeBytes: number }) {
  const { blockBytes, volumeBytes } = options;
  const image = new Map<number, Uint8Array>();
  let complete = false;
  const sink: BlockSink = {
    blockBytes,
    async put(index, bytes, digest) {
      if (complete || index < 0 || index * blockBytes >= volumeBytes || bytes.length !== blockBytes)
        throw new Fault('aws_rejected', `Block ${index} cannot be written.`);
      if (!equalBytes(sha256(bytes), digest)) throw new Fault('aws_rejected', `Block ${index} has a wrong checksum.`);
      image.set(index, Uint8Array.from(bytes));
    },
    async complete(count, linearSha256) {
      const ordered = [...image].toSorted(([a], [b]) => a - b).map(([, bytes]) => sha256(bytes));
      if (count !== image.size || !equalBytes(sha256(Buffer.concat(ordered)), linearSha256))
        throw new Fault('restore_checksum_mismatch', 'The image is not what was said to have been written.');
      complete = true;
    },
  };
  return { ...sink, image, isComplete: () => complete };
}
