import { type FaultCode, isFault } from '../core/faults.ts';

/** Classes of damage: those of docs/format.md, but for a point that nobody has. */
export const DAMAGE_CLASSES = ['object_missing', 'wrong_key', 'object_corrupt', 'unsupported_format'] as const;
export type DamageClass = (typeof DAMAGE_CLASSES)[number];

/**
 * What a damaged object takes from a point: how many of its stored blocks cannot be read, and the first of them as far as that is
 * known. Null, where the point cannot be looked into: it is lost as a whole. 0 blocks: it still restores, byte for byte.
 */
export type PointDamage = { manifestKey: string; blocks: number | null; firstBlock: number | null };

/** A damaged object, and every point that needs it. Plain data. */
export type Damage = { class: DamageClass; object: string; volumeId: string; points: readonly PointDamage[] };

/** Some blocks of a volume: how many, and the least index. */
export type BlockCount = { count: number; first: number };
export const NO_BLOCKS = { count: 0, first: 0 } as const;

const isClass = (code: FaultCode): code is DamageClass => DAMAGE_CLASSES.some((one) => one === code);

/** The class of what was thrown. Whatever says nothing about an object (a store that is away, an abort) is thrown again. */
export function damageClassOf(error: unknown): DamageClass {
  if (isFault(error) && isClass(error.code)) return error.code;
  throw error;
}

function addBlocks(before: PointDamage | undefined, manifestKey: string, blocks: BlockCount | null): PointDamage {
  if (blocks === null || before?.blocks === null) return { manifestKey, blocks: null, firstBlock: null };
  const first = Math.min(before?.firstBlock ?? Infinity, blocks.count > 0 ? blocks.first : Infinity);
  return {
    manifestKey,
    blocks: (before?.blocks ?? 0) + blocks.count,
    firstBlock: Number.isFinite(first) ? first : null,
  };
}

type Entry = { class: DamageClass; points: Map<string, PointDamage> };

/** Gathers what is found: one entry for each object, whose points and blocks add up. */
export function createDamageBook(volumeId: string) {
  const entries = new Map<string, Entry>();
  return {
    /** `blocks` null: nothing of these points can be read. The class that was noted first stays. */
    note(
      object: string,
      damage: DamageClass,
      points: Iterable<{ manifestKey: string }>,
      blocks: BlockCount | null,
    ): void {
      const entry = entries.get(object) ?? { class: damage, points: new Map<string, PointDamage>() };
      entries.set(object, entry);
      for (const { manifestKey } of points)
        entry.points.set(manifestKey, addBlocks(entry.points.get(manifestKey), manifestKey, blocks));
    },
    /** In the order of the objects' names. */
    list(): Damage[] {
      return [...entries]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([object, entry]) => ({ class: entry.class, object, volumeId, points: [...entry.points.values()] }));
    },
  };
}

export type DamageBook = ReturnType<typeof createDamageBook>;
