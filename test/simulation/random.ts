/**
 * Numbers that look random and come again for the same seed (sfc32 of PractRand, started by splitmix32). Everything that a
 * history does by chance comes from one of these, so that its seed is the whole of it.
 */
export function createRandom(seed: number) {
  let mix = seed >>> 0;
  const begin = () => {
    mix = (mix + 0x9e37_79b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, counter] = [begin(), begin(), Math.floor(seed / 2 ** 32) ^ begin(), 1];
  function u32(): number {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  }
  for (let n = 0; n < 12; n += 1) u32();
  const unit = () => u32() / 2 ** 32;
  const below = (limit: number) => Math.floor(unit() * limit);
  return {
    u32,
    /** From 0 to 1, without 1. */
    unit,
    /** A whole number from 0 to `limit` − 1. */
    below,
    between: (from: number, to: number) => from + below(to - from + 1),
    chance: (probability: number) => unit() < probability,
    pick<T>(list: readonly T[]): T {
      if (list.length === 0) throw new Error('there is nothing to pick from');
      return list[below(list.length)] as T;
    },
    /** One of them, each as often as its weight says. */
    weighted<T>(list: readonly T[], weightOf: (item: T) => number): T {
      let at = unit() * list.reduce((sum, item) => sum + weightOf(item), 0);
      for (const item of list) {
        at -= weightOf(item);
        if (at < 0) return item;
      }
      return list[list.length - 1] as T;
    },
    bytes(length: number): Uint8Array {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += 4) {
        const word = u32();
        for (let n = 0; n < 4 && at + n < length; n += 1) bytes[at + n] = word >>> (8 * n);
      }
      return bytes;
    },
    /** Another one, that starts from this one's next number. */
    fork: () => createRandom(u32()),
  };
}

export type Random = ReturnType<typeof createRandom>;
