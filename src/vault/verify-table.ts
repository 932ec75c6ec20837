import { fromHex, toHex } from '../crypto/bytes.ts';
import { bundleKey, packKey, volumePrefix } from './layout.ts';
import { closedOf, type ContainerRef, objectRefOf } from './places.ts';
import type { BlobStore } from './ports.ts';

/** The two kinds of objects that are named by the SHA-256 of their bytes, as folders. */
export type ContainerKind = 'index' | 'packs';

/** A pack or bundle that some point needs. `slots`: a point refers to a slot below this. `series`: whose block ids it has. */
export type NeededObject = { kind: ContainerKind; position: string; ref: ContainerRef; slots: number; series: number };

export const objectKeyOf = (kind: ContainerKind, ref: ContainerRef): string =>
  (kind === 'packs' ? packKey : bundleKey)(ref.volumeId, objectRefOf(ref));

const numberText = (ordinal: number) => String(ordinal).padStart(10, '0');
const attemptName = (kind: ContainerKind, { volumeId, runId, attempt }: Omit<ContainerRef, 'closed'>) =>
  `${kind}/${volumeId}/${runId}/${attempt}`;

/** Comes after every number's text. */
const BEHIND_ALL = '~';

/** The place of an object in the order of reading. */
const positionOf = (kind: ContainerKind, ref: Omit<ContainerRef, 'closed'>): string =>
  `${attemptName(kind, ref)}/${numberText(ref.ordinal)}`;

/** One record: size 4, directory offset 4, slots 4, series 2, flags 1, digest 32. */
const RECORD_BYTES = 47;
const AT = { size: 0, directory: 4, slots: 8, series: 12, flags: 14, digest: 15 } as const;
const LISTED = 1;
const NEEDED = 2;
/** Records that are made at a time: an attempt with one pack takes 1½ KiB. */
const PAGE_RECORDS = 32;

type Attempt = { kind: ContainerKind; volumeId: string; runId: string; attempt: string; pages: Map<number, Buffer> };

const NAME = /^(index|packs)\/([^/]+)\/([0-9a-f]{32})\/(\d{8,10})-([0-9a-f]{64})$/;
/** Is it this one, by the digest in its name? */
const isNamed = (record: Buffer, ref: ContainerRef) => toHex(record.subarray(AT.digest)) === closedOf(ref).sha256;

/**
 * The packs and bundles of a volume, 47 bytes each: what the store lists, and what the points need. So the memory of a verification
 * grows with packs and not with points times packs.
 */
export function createObjectTable() {
  const attempts = new Map<string, Attempt>();

  function record(kind: ContainerKind, ref: Omit<ContainerRef, 'closed'>): Buffer {
    const { volumeId, runId, attempt, ordinal } = ref;
    const name = attemptName(kind, ref);
    const its = attempts.get(name) ?? { kind, volumeId, runId, attempt, pages: new Map<number, Buffer>() };
    attempts.set(name, its);
    const number = Math.floor(ordinal / PAGE_RECORDS);
    const page = its.pages.get(number) ?? Buffer.alloc(PAGE_RECORDS * RECORD_BYTES);
    its.pages.set(number, page);
    const at = (ordinal % PAGE_RECORDS) * RECORD_BYTES;
    return page.subarray(at, at + RECORD_BYTES);
  }

  function* neededOf(its: Attempt, after: string): Generator<NeededObject> {
    const { kind, pages, volumeId, runId, attempt } = its;
    for (const [number, page] of [...pages].toSorted(([a], [b]) => a - b)) {
      if (positionOf(kind, { ...its, ordinal: (number + 1) * PAGE_RECORDS - 1 }) <= after) continue;
      for (let n = 0; n < PAGE_RECORDS; n += 1) {
        const entry = page.subarray(n * RECORD_BYTES, (n + 1) * RECORD_BYTES);
        if (((entry[AT.flags] ?? 0) & NEEDED) === 0) continue;
        const ordinal = number * PAGE_RECORDS + n;
        const [sizeBytes, directoryOffset] = [entry.readUInt32BE(AT.size), entry.readUInt32BE(AT.directory)];
        const closed = { sizeBytes, directoryOffset, sha256: toHex(entry.subarray(AT.digest)) };
        const ref = { volumeId, runId, attempt, ordinal, closed };
        const [slots, series] = [entry.readUInt32BE(AT.slots), entry.readUInt16BE(AT.series)];
        yield { kind, position: positionOf(kind, ref), ref, slots, series };
      }
    }
  }

  return {
    /** Takes down what the store lists for a volume. Names that are not of the format are left alone. */
    async addListing(store: BlobStore, volumeId: string): Promise<void> {
      const prefix = volumePrefix(volumeId);
      for await (const { key, sizeBytes } of store.list(prefix)) {
        const [, kind, runId = '', attempt = '', ordinal = '', digest = ''] = NAME.exec(key.slice(prefix.length)) ?? [];
        if ((kind !== 'packs' && kind !== 'index') || sizeBytes > 0xffff_ffff) continue;
        const entry = record(kind, { volumeId, runId, attempt, ordinal: Number(ordinal) });
        if (((entry[AT.flags] ?? 0) & LISTED) !== 0) continue; // A second one of this number: whoever needs it is asked.
        entry[AT.flags] = LISTED;
        entry.writeUInt32BE(sizeBytes, AT.size);
        entry.set(fromHex(digest), AT.digest);
      }
    },
    /** Its size in the listing (or as it was found to be since); null when nothing of that digest is listed in its place. */
    listedSize(kind: ContainerKind, ref: ContainerRef): number | null {
      const entry = record(kind, ref);
      return isNamed(entry, ref) ? entry.readUInt32BE(AT.size) : null;
    },
    /**
     * Notes that a point needs slots below `slots` of an object. False: somebody needs it as another object already (with other
     * bytes, or blocks with other ids), and it can be only one of them.
     */
    need(kind: ContainerKind, ref: ContainerRef, slots: number, series: number): boolean {
      const entry = record(kind, ref);
      const { sizeBytes, directoryOffset, sha256 } = closedOf(ref);
      const isKnown = ((entry[AT.flags] ?? 0) & NEEDED) !== 0;
      if (isKnown && (!isNamed(entry, ref) || entry.readUInt16BE(AT.series) !== series)) return false;
      entry[AT.flags] = NEEDED;
      entry.writeUInt32BE(sizeBytes, AT.size);
      entry.writeUInt32BE(directoryOffset, AT.directory);
      entry.writeUInt32BE(Math.max(slots, entry.readUInt32BE(AT.slots)), AT.slots);
      entry.writeUInt16BE(series, AT.series);
      entry.set(fromHex(sha256), AT.digest);
      return true;
    },
    /** What is needed, in one fixed order of positions; most of what lies at or before `after` is skipped. */
    *needed(after: string | null = null): Generator<NeededObject> {
      for (const [name, its] of [...attempts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
        if (`${name}/${BEHIND_ALL}` > (after ?? '')) yield* neededOf(its, after ?? '');
    },
  };
}

export type ObjectTable = ReturnType<typeof createObjectTable>;
