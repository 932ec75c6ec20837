import type { Damage } from '../../../vault/damage.ts';
import type { FoundDamage } from '../../db/schema/verifications.ts';

/** Damaged objects of a volume that are kept by name, at least; beyond that, those without which a damaged point would look sound. */
const KEPT_MIN = 500;

/** What is known of a volume: by the last look, and by reading. */
export type KnownDamage = { existence: readonly FoundDamage[]; read: readonly FoundDamage[] };
/** What was found now. A list that is left out stays as it is. */
export type FoundNow = { existence?: readonly Damage[]; read?: readonly Damage[] };

export type Settled = {
  known: KnownDamage;
  /** Of objects that were not known to be damaged. */
  news: readonly FoundDamage[];
  /** Names of objects that were known to be damaged, and are sound again or needed by no point any more. */
  over: readonly string[];
};

/** Only what points need that are still there: one that was deleted while its objects were looked at has no damage. */
function ofPoints<T extends Damage>(damage: readonly T[], manifestKeys: ReadonlySet<string>): T[] {
  return damage.flatMap((one) => {
    const points = one.points.filter(({ manifestKey }) => manifestKeys.has(manifestKey));
    return points.length === 0 ? [] : [{ ...one, points }];
  });
}

/** A list that a row can hold: cut off, but with something for each damaged point. */
function bounded(damage: readonly FoundDamage[]): FoundDamage[] {
  const points = new Set<string>();
  return damage.filter(({ points: its }, n) => {
    const before = points.size;
    for (const { manifestKey } of its) points.add(manifestKey);
    return n < KEPT_MIN || points.size > before;
  });
}

const namesOf = ({ existence, read }: KnownDamage) => new Set([...existence, ...read].map(({ object }) => object));

/** What is known of a volume's damage after something was found, and what of it is new. Pure. */
export function settleDamage(
  before: KnownDamage,
  found: FoundNow,
  now: { at: Date; manifestKeys: ReadonlySet<string> },
): Settled {
  const firstSeen = new Map([...before.existence, ...before.read].map(({ object, foundAt }) => [object, foundAt]));
  const list = (damage: readonly Damage[]) =>
    bounded(
      ofPoints(damage, now.manifestKeys).map((one) => ({
        ...one,
        foundAt: firstSeen.get(one.object) ?? now.at.toISOString(),
      })),
    );
  const existence = list(found.existence ?? before.existence);
  const names = new Set(existence.map(({ object }) => object));
  const known = { existence, read: list(found.read ?? before.read).filter(({ object }) => !names.has(object)) };
  const [earlier, later] = [namesOf(before), namesOf(known)];
  return {
    known,
    news: [...known.existence, ...known.read].filter(({ object }) => !earlier.has(object)),
    over: [...earlier].filter((object) => !later.has(object)),
  };
}
