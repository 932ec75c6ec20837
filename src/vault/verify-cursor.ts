/**
 * Where the reading of every byte stands. Objects are read in one fixed order of positions, round and round; so what was read
 * longest ago comes next, and nothing has to be remembered of each. Plain data, a few kilobytes of JSON.
 */
export type VerifyCursor = Position & {
  /** Where the reading stood at some times, at most one a day: by these it knows how soon it must be there again. */
  marks: readonly Mark[];
  /** Every byte that is needed was read after this instant (RFC 3339). Null: the first round is not over. */
  since: string | null;
};

/** After the object at `after` (null: before the first), in the round of this number. */
type Position = { round: number; after: string | null };
type Mark = Position & { at: string };

/** One object to read. */
type Sized = { position: string; sizeBytes: number };

const DAY_MS = 86_400_000;
/** Days from one mark to the same place: with a day between marks, and one to spare, every byte is read within 30. */
const ROUND_DAYS = 28;

export const NEW_CURSOR: VerifyCursor = { round: 0, after: null, marks: [], since: null };

const isBefore = (a: string | null, b: string | null) => (a ?? '') < (b ?? '');

/** Has the reading come round to the mark? */
const isPast = ({ round, after }: Position, mark: Position) =>
  round > mark.round + 1 || (round === mark.round + 1 && !isBefore(after, mark.after));

/** Takes down where the reading stands before it goes on. */
export function markToday(cursor: VerifyCursor, now: Date): VerifyCursor {
  const last = cursor.marks.at(-1);
  if (last && now.getTime() - Date.parse(last.at) < DAY_MS) return cursor;
  const { round, after, marks } = cursor;
  return { ...cursor, marks: [...marks, { round, after, at: now.toISOString() }] };
}

/** Marks that the reading has come round to are done with. */
function arriveAt(cursor: VerifyCursor, position: Position): VerifyCursor {
  const marks = cursor.marks.filter((mark) => !isPast(position, mark));
  const passed = cursor.marks.findLast((mark) => isPast(position, mark));
  return { ...position, marks, since: passed?.at ?? cursor.since };
}

/**
 * What is to be read from here on, once round.
 *
 * @param objects in the order of their positions; those at or before `after` may be left out
 */
export function* roundFrom<T extends { position: string }>(
  objects: (after: string | null) => Iterable<T>,
  from: Position,
): Generator<T> {
  for (const object of objects(from.after)) if (isBefore(from.after, object.position)) yield object;
  for (const object of objects(null)) {
    if (isBefore(from.after, object.position)) return;
    yield object;
  }
}

/** The next object of the round has been read. `isLast`: there is none behind it, in the order of positions. */
export function afterObject(cursor: VerifyCursor, position: string, isLast: boolean): VerifyCursor {
  const round = isBefore(cursor.after, position) ? cursor.round : cursor.round + 1;
  return arriveAt(cursor, isLast ? { round: round + 1, after: null } : { round, after: position });
}

/** Everything has been read, once round from `from`. */
export const afterRound = (cursor: VerifyCursor, from: Position): VerifyCursor =>
  arriveAt(cursor, { round: from.round + 1, after: from.after });

/** Bytes of the objects at or before each of some positions, and of all. */
function bytesUpTo(objects: Iterable<Sized>, positions: readonly (string | null)[]) {
  const upTo = positions.map(() => 0);
  let total = 0;
  for (const { position, sizeBytes } of objects) {
    total += sizeBytes;
    for (const [n, limit] of positions.entries()) if (!isBefore(limit, position)) upTo[n] = (upTo[n] ?? 0) + sizeBytes;
  }
  return { upTo, total };
}

/**
 * How many bytes are to be read today so that each is read again within 30 days, if the rest is read at the same pace: a 28th of
 * all as long as nothing changes, more when much was added or a day was missed.
 */
export function dailyBytes(objects: Iterable<Sized>, cursor: VerifyCursor, now: Date): number {
  const { marks } = markToday(cursor, now);
  const { upTo, total } = bytesUpTo(objects, [cursor.after, ...marks.map(({ after }) => after)]);
  const [done = 0, ...ends] = upTo;
  const budgets = marks.map((mark, n) => {
    const end = ends[n] ?? 0;
    const left = mark.round === cursor.round ? total - done + end : Math.max(0, end - done);
    const days = ROUND_DAYS - Math.ceil((now.getTime() - Date.parse(mark.at)) / DAY_MS);
    return Math.ceil(left / Math.max(1, days));
  });
  return Math.max(0, ...budgets);
}
