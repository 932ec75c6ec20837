import { Fault } from '../../src/core/faults.ts';
import { sha256, toHex } from '../../src/crypto/bytes.ts';
import type { BlobStore, BlockSink, BlockSource, KeyService, PutOptions } from '../../src/vault/ports.ts';
import type { Random } from './random.ts';

/** One call of the engine to the world, before anything has happened. */
export type PortCall<T> = {
  /** What it is, in two or three words: crash points and faults are counted by it. */
  name: string;
  /** To which object or block: for the trace. */
  detail: string;
  effect: () => Promise<T>;
  /** What comes of it when it is torn; null where the real service cannot tear it. */
  torn: (() => Promise<T>) | null;
  /** What the engine is told when it fails. */
  failure: () => Fault;
  /** For calls whose effect may come after the death of the caller: the same effect, with bytes of its own. */
  later: (() => () => Promise<unknown>) | null;
};

/** Decides what becomes of a call. */
export type Intercept = <T>(call: PortCall<T>) => Promise<T>;

/** Keys of a listing that come in one answer: few, so that a small store has several pages. */
const PAGE_KEYS = 24;

const KINDS: readonly [RegExp, string][] = [
  [/^v1\/[^/]+\/packs\//, 'pack'],
  [/^v1\/[^/]+\/index\//, 'bundle'],
  [/^v1\/[^/]+\/roots\//, 'root'],
  [/^v1\/[^/]+\/checkpoints\//, 'checkpoint'],
  [/^v1\/[^/]+\/keys\/.*\/index$/, 'index key'],
  [/^v1\/[^/]+\/keys\//, 'pack key'],
];

/** What an object is, by its name. */
export const kindOf = (key: string): string => KINDS.find(([pattern]) => pattern.test(key))?.[1] ?? 'other';

const unavailable = () => new Fault('store_unavailable', 'The store does not answer.');
const keyUnavailable = () => new Fault('key_unavailable', 'The key service does not answer.');
const throttled = () => new Fault('aws_throttled', 'The source does not answer.');

/** Bytes as a bad line gives them: cut short, or with one bit turned. */
function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length === 0) return bytes;
  if (random.chance(0.5)) return bytes.subarray(0, random.below(bytes.length));
  const copy = Uint8Array.from(bytes);
  const at = random.below(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  return copy;
}

/** Names end in the digest of what they name: an upload whose bytes changed under way would be found here. */
function assertOwnName(key: string, bytes: Uint8Array): void {
  const digest = /\/(?:packs|index)\/.*-([0-9a-f]{64})$/.exec(key)?.[1];
  if (digest !== undefined && digest !== toHex(sha256(bytes)))
    throw new Error(`${key} was stored with bytes that are not those of its name`);
}

async function pageOf(items: AsyncIterable<{ key: string; sizeBytes: number }>, after: string) {
  const page: { key: string; sizeBytes: number }[] = [];
  for await (const item of items) {
    if (item.key <= after) continue;
    page.push(item);
    if (page.length === PAGE_KEYS) break;
  }
  return page;
}

/** A store every call of which may go wrong. A listing is a call for each page, and other things happen between pages. */
export function faultyStore(store: BlobStore, intercept: Intercept, random: Random): BlobStore {
  const put = (key: string, bytes: Uint8Array, options: PutOptions | undefined) => {
    assertOwnName(key, bytes);
    return store.putNew(key, bytes, options);
  };
  return {
    putNew: (key, bytes, options) =>
      intercept({
        name: `${kindOf(key)} put`,
        detail: key,
        effect: () => put(key, bytes, options),
        torn: () => Promise.reject(unavailable()), // A body that came in part is refused: there are no partial objects.
        failure: unavailable,
        later: () => {
          const copy = Uint8Array.from(bytes);
          return () => put(key, copy, options);
        },
      }),
    get: (key, range) =>
      intercept({
        name: `${kindOf(key)} get`,
        detail: range ? `${key} ${range.start}+${range.length}` : key,
        effect: () => store.get(key, range),
        torn: async () => damaged(await store.get(key, range), random),
        failure: unavailable,
        later: null,
      }),
    async *list(prefix) {
      for (let after = ''; ; ) {
        const effect = () => pageOf(store.list(prefix), after);
        const page = await intercept({
          name: 'list',
          detail: `${prefix} after ${after}`,
          effect,
          async torn() {
            const whole = await effect();
            const at = random.below(whole.length);
            return random.chance(0.5) ? whole.toSpliced(at, 1) : whole.toSpliced(at, 0, ...whole.slice(at, at + 1));
          },
          failure: unavailable,
          later: null,
        });
        yield* page;
        const last = page.at(-1);
        if (!last || page.length < PAGE_KEYS - 1) return;
        after = last.key;
      }
    },
    folders: (prefix) => store.folders(prefix),
    delete: (keys) =>
      intercept({
        name: `${kindOf(keys[0] ?? '')} delete`,
        detail: `${keys.length} from ${keys[0] ?? 'none'}`,
        effect: () => store.delete(keys),
        async torn() {
          await store.delete(keys.filter(() => random.chance(0.5)));
          throw unavailable();
        },
        failure: unavailable,
        later: () => () => store.delete(keys),
      }),
  };
}

export function faultyKeys(keys: KeyService, intercept: Intercept): KeyService {
  const call = <T>(name: string, detail: string, effect: () => Promise<T>) =>
    intercept({ name, detail, effect, torn: null, failure: keyUnavailable, later: null });
  return {
    get recipient() {
      return keys.recipient;
    },
    opens: (recipient) => keys.opens(recipient),
    generate: (context) => call('key generate', context.purpose, () => keys.generate(context)),
    unwrap: (wrapped, context) => call('key unwrap', context.purpose, () => keys.unwrap(wrapped, context)),
  };
}

/** Blocks that come in one answer of a listing. */
const PAGE_BLOCKS = 8;

/** The items in pages, a call each. A torn page says an item twice; one that hid a block could not be told from the truth. */
async function* inPages<T>(items: AsyncIterable<T>, name: string, intercept: Intercept, random: Random) {
  const iterator = items[Symbol.asyncIterator]();
  for (;;) {
    const page: T[] = [];
    let more = true;
    const effect = async () => {
      while (more && page.length < PAGE_BLOCKS) {
        const next = await iterator.next();
        if (next.done) more = false;
        else page.push(next.value);
      }
      return page;
    };
    const torn = async () => {
      const whole = await effect();
      const at = random.below(whole.length);
      return whole.toSpliced(at, 0, ...whole.slice(at, at + 1));
    };
    yield* await intercept({ name, detail: '', effect, torn, failure: throttled, later: null });
    if (!more) return;
  }
}

export function faultySource(source: BlockSource, intercept: Intercept, random: Random): BlockSource {
  return {
    volumeBytes: source.volumeBytes,
    blockBytes: source.blockBytes,
    list: (from) => inPages(source.list(from), 'block list', intercept, random),
    async listChanged(base, from) {
      const changes = await source.listChanged(base, from);
      return changes && inPages(changes, 'change list', intercept, random);
    },
    fetch: (ref) =>
      intercept({
        name: 'block fetch',
        detail: String(ref.index),
        effect: () => source.fetch(ref),
        async torn() {
          const fetched = await source.fetch(ref);
          return { ...fetched, bytes: damaged(fetched.bytes, random) };
        },
        failure: throttled,
        later: null,
      }),
  };
}

export function faultySink(sink: BlockSink, intercept: Intercept, random: Random): BlockSink {
  return {
    blockBytes: sink.blockBytes,
    put: (index, bytes, digest) =>
      intercept({
        name: 'block write',
        detail: String(index),
        effect: () => sink.put(index, bytes, digest),
        torn: () => sink.put(index, damaged(bytes, random), digest), // Refused by its checksum.
        failure: throttled,
        later: null,
      }),
    complete: (count, linear) =>
      intercept({
        name: 'image complete',
        detail: String(count),
        effect: () => sink.complete(count, linear),
        torn: null,
        failure: throttled,
        later: null,
      }),
  };
}
