import { systemClock } from '../core/clock.ts';
import type { Damage } from './damage.ts';
import type { VolumeScope } from './layout.ts';
import type { VaultDeps } from './manifest.ts';
import { closedOf } from './places.ts';
import { type ReadCounts, type ReadDeps, type ReadLimits, readObjects } from './verify-bytes.ts';
import {
  afterObject,
  afterRound,
  dailyBytes,
  markToday,
  NEW_CURSOR,
  roundFrom,
  type VerifyCursor,
} from './verify-cursor.ts';
import { checkExistence } from './verify-existence.ts';
import { type NeededObject, objectKeyOf, type ObjectTable } from './verify-table.ts';

export type VerifyDeps = VaultDeps & ReadDeps;

/** A volume, and the roots of the points that are to be there. */
export type VerifyInput = VolumeScope & { manifestKeys: readonly string[] };

export type ReadResult = ReadCounts & {
  cursor: VerifyCursor;
  damage: readonly Damage[];
  /** Every object was read, each once. */
  isRound: boolean;
};

function* named(table: ObjectTable, names: ReadonlySet<string>): Generator<NeededObject> {
  for (const object of table.needed()) if (names.has(objectKeyOf(object.kind, object.ref))) yield object;
}

function* sizesOf(table: ObjectTable) {
  for (const { position, ref } of table.needed()) yield { position, sizeBytes: closedOf(ref).sizeBytes };
}

function totalsOf(table: ObjectTable) {
  const totals = { objects: 0, bytes: 0, last: '' };
  for (const { position, sizeBytes } of sizesOf(table)) {
    totals.objects += 1;
    totals.bytes += sizeBytes;
    totals.last = position;
  }
  return totals;
}

/**
 * Begins a verification: looks whether everything that the points of a volume need is there and readable (their roots, manifests and
 * data keys in full, packs and bundles by name and size), and works out what there is to read. Writes nothing, ever.
 *
 * @throws Fault `store_unavailable`, `key_unavailable`: the store or the key service is away, nothing was found out; `not_found` for a
 *   name that is not a manifest's; what the signal was aborted with
 */
export async function openVerification(deps: VerifyDeps, input: VerifyInput, options: { signal?: AbortSignal } = {}) {
  const existence = await checkExistence(deps, input, options.signal);
  const { table, damage } = existence;
  const { objects, bytes, last } = totalsOf(table);
  const parts = { scope: input, existence };
  const known = new Set(damage.map(({ object }) => object));
  const news = <Read extends { damage: readonly Damage[] }>(read: Read): Read => ({
    ...read,
    damage: read.damage.filter(({ object }) => !known.has(object)),
  });
  return {
    /** What was found already, in the order of object names. */
    damage,
    /** Packs and bundles that are there to be read, and their bytes. */
    objects,
    bytes,
    /** The share of today, that each byte be read again within 30 days. */
    dailyBytes: (cursor: VerifyCursor, now: Date): number => dailyBytes(sizesOf(table), cursor, now),
    /**
     * Reads on from a cursor, once round at most, as far as the limits let it: every object against the SHA-256 in its name, every block
     * of a pack against its id. The cursor that it returns is where to go on, now or after a restart; damage is named that `damage` has
     * not. `onBytes` hears of the size of each object that was read.
     *
     * @throws as above: then the cursor given stands
     */
    async read(
      from: VerifyCursor,
      { onBytes, ...limits }: ReadLimits & { onBytes?: (bytes: number) => void } = {},
    ): Promise<ReadResult> {
      let cursor = markToday(from, (deps.clock ?? systemClock).now());
      const onRead = ({ position, ref }: NeededObject) => {
        onBytes?.(closedOf(ref).sizeBytes);
        cursor = afterObject(cursor, position, position === last);
      };
      const round = roundFrom((after) => table.needed(after), from);
      const read = news(await readObjects(deps, { ...parts, limits, onRead }, round));
      const isRound = read.objects === objects;
      return { ...read, cursor: isRound ? afterRound(cursor, from) : cursor, isRound };
    },
    /** Reads these objects again, by their names, and says which are still damaged. @throws as `read` */
    async readAgain(names: ReadonlySet<string>, limits: ReadLimits = {}): Promise<readonly Damage[]> {
      if (names.size === 0) return [];
      return news(await readObjects(deps, { ...parts, limits }, named(table, names))).damage;
    },
  };
}

export type VerifyReport = ReadResult & { points: number };

/**
 * All of a verification in one call, for a command: what is there, and then every byte of it, unless the limits end it before;
 * `cursor` goes on where an earlier call has stopped.
 *
 * @throws as `openVerification`
 */
export async function verifyVolume(
  deps: VerifyDeps,
  input: VerifyInput,
  options: ReadLimits & { cursor?: VerifyCursor; existenceOnly?: boolean } = {},
): Promise<VerifyReport> {
  const { cursor = NEW_CURSOR, existenceOnly = false, signal } = options;
  const verification = await openVerification(deps, input, signal ? { signal } : {});
  const nothing = { objects: 0, blocks: 0, bytes: 0, cursor, damage: [], isRound: false };
  const read = existenceOnly ? nothing : await verification.read(cursor, options);
  return { ...read, points: input.manifestKeys.length, damage: [...verification.damage, ...read.damage] };
}
