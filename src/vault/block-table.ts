import type { StoredBlock } from './leaf.ts';
import type { ContainerRef } from './places.ts';

/** Words of 32 bits in a key: the first 128 bits of a block id, written as characters of one byte each. */
const KEY_WORDS = 4;
const FIRST_PLACES = 1_024;
/** The table doubles before more than this share of it is taken: searches stay short. */
const FULL = 3 / 4;

const codeAt = (key: string, at: number) => key.charCodeAt(at) & 0xff;

/** Reads a key into words whose order as numbers is that of its bytes. */
function readKey(key: string, into: Uint32Array, from: number): void {
  for (let n = 0; n < KEY_WORDS; n += 1) {
    const at = n * 4;
    const high = (codeAt(key, at) << 24) | (codeAt(key, at + 1) << 16);
    into[from + n] = high | (codeAt(key, at + 2) << 8) | codeAt(key, at + 3);
  }
}

function writeKey(words: Uint32Array, from: number): string {
  const bytes = Buffer.alloc(KEY_WORDS * 4);
  for (let n = 0; n < KEY_WORDS; n += 1) bytes.writeUInt32BE(words[from + n] ?? 0, n * 4);
  return bytes.toString('latin1');
}

/** Which of two keys comes first; 0: they are the same. */
function compareKeys(a: Uint32Array, aFrom: number, b: Uint32Array, bFrom: number): number {
  for (let n = 0; n < KEY_WORDS; n += 1) {
    const difference = (a[aFrom + n] ?? 0) - (b[bFrom + n] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A number for each pack, in the order in which they come: blocks name their pack by it. */
function createPackNumbering() {
  const numbers = new Map<ContainerRef, number>();
  const packs: ContainerRef[] = [];
  return {
    numberOf(pack: ContainerRef): number {
      const known = numbers.get(pack);
      if (known !== undefined) return known;
      numbers.set(pack, packs.length);
      return packs.push(pack) - 1;
    },
    packOf: (number: number) => packs[number],
  };
}

type Places = { keys: Uint32Array; packs: Uint32Array; slots: Uint16Array; count: number };
const placesFor = (count: number): Places => ({
  keys: new Uint32Array(count * KEY_WORDS),
  packs: new Uint32Array(count),
  slots: new Uint16Array(count),
  count,
});

/** Where the key at `from` of `words` lies, or the free place where it would: packs are counted from 1, 0 is a free place. */
function placeOf({ keys, packs, count }: Places, words: Uint32Array, from: number): number {
  let place = (words[from] ?? 0) % count;
  while (packs[place] !== 0 && compareKeys(keys, place * KEY_WORDS, words, from) !== 0) place = (place + 1) % count;
  return place;
}

/**
 * Where blocks lie, by the first 16 bytes of their ids. An open hash table in plain arrays (the ids are keyed hashes already): 22 bytes
 * for each place, at most three places for each block. A Map of objects takes twice that, in the heap of the collector.
 */
export function createBlockTable() {
  const numbering = createPackNumbering();
  const wanted = new Uint32Array(KEY_WORDS);
  let places = placesFor(FIRST_PLACES);
  let size = 0;

  function grow(): void {
    const larger = placesFor(places.count * 2);
    for (let place = 0; place < places.count; place += 1) {
      if (places.packs[place] === 0) continue;
      const from = place * KEY_WORDS;
      const to = placeOf(larger, places.keys, from);
      larger.keys.set(places.keys.subarray(from, from + KEY_WORDS), to * KEY_WORDS);
      larger.packs[to] = places.packs[place] ?? 0;
      larger.slots[to] = places.slots[place] ?? 0;
    }
    places = larger;
  }

  return {
    size: () => size,
    get(key: string): StoredBlock | null {
      readKey(key, wanted, 0);
      const place = placeOf(places, wanted, 0);
      const pack = numbering.packOf((places.packs[place] ?? 0) - 1);
      return pack ? { pack, slot: places.slots[place] ?? 0 } : null;
    },
    /** Puts a block in; one of the same key is replaced. */
    set(key: string, { pack, slot }: StoredBlock): void {
      if (size + 1 > places.count * FULL) grow();
      readKey(key, wanted, 0);
      const place = placeOf(places, wanted, 0);
      if (places.packs[place] === 0) size += 1;
      places.keys.set(wanted, place * KEY_WORDS);
      places.packs[place] = numbering.numberOf(pack) + 1;
      places.slots[place] = slot;
    },
  };
}

/** A list of blocks in plain arrays: 22 bytes for each, at most twice that. */
export function createBlockList() {
  const numbering = createPackNumbering();
  let places = placesFor(FIRST_PLACES);
  let length = 0;

  function grow(): void {
    const larger = placesFor(places.count * 2);
    larger.keys.set(places.keys);
    larger.packs.set(places.packs);
    larger.slots.set(places.slots);
    places = larger;
  }

  return {
    length: () => length,
    push(key: string, { pack, slot }: StoredBlock): void {
      if (length === places.count) grow();
      readKey(key, places.keys, length * KEY_WORDS);
      places.packs[length] = numbering.numberOf(pack);
      places.slots[length] = slot;
      length += 1;
    },
    /** Numbers of its blocks, ascending by key. */
    order(): Uint32Array {
      const { keys } = places;
      const numbers = Uint32Array.from({ length }, (_, n) => n);
      return numbers.sort((a, b) => compareKeys(keys, a * KEY_WORDS, keys, b * KEY_WORDS));
    },
    /** One block by its number. */
    at(n: number): [string, StoredBlock] | null {
      const pack = n < length ? numbering.packOf(places.packs[n] ?? 0) : undefined;
      return pack ? [writeKey(places.keys, n * KEY_WORDS), { pack, slot: places.slots[n] ?? 0 }] : null;
    },
  };
}
