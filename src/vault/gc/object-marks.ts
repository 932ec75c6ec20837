/** An object of an attempt by its number there. `digest` is hex, or empty for one that has none in its name. */
export type NumberedObject = { runId: string; attempt: string; number: number; digest: string };

/** What manifests say of a pack. `lockedUntilMs` is the latest lock of a point that refers to it, 0 for none. */
export type PackFacts = { sizeBytes: number; directoryOffset: number; lockedUntilMs: number };
export type MarkedPack = NumberedObject & PackFacts & { slots: number };

/** Each object is a row of its attempt's table, at its number. `words` is 0 for one that nothing refers to. */
const COLUMN = { bitsAt: 0, words: 1, high: 2, low: 3, size: 4, directory: 5, lock: 6, found: 7 } as const;
const ROW = Object.keys(COLUMN).length;
const SECOND_MS = 1_000;

type AttemptTable = { runId: string; attempt: string; rows: Uint32Array; bits: Uint32Array; bitsUsed: number };

function grown(array: Uint32Array, length: number): Uint32Array {
  if (length <= array.length) return array;
  const larger = new Uint32Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}

/** Bits that are set in a word of 32. */
function ones(word: number): number {
  let count = 0;
  for (let left = word; left !== 0; left &= left - 1) count += 1;
  return count;
}

/** 64 bits of a digest are enough to tell two objects of one number in one attempt apart. */
const halves = (digest: string) =>
  [digest.slice(0, 8), digest.slice(8, 16)].map((hex) => Number.parseInt(hex, 16) || 0);

/** Makes room for a slot in the bits of a row: moved to the end, twice as many, where they do not reach. */
function reserve(table: AttemptTable, row: number, slot: number): void {
  const words = table.rows[row + COLUMN.words] ?? 0;
  if (slot < words * 32) return;
  const wanted = Math.max(words * 2, Math.floor(slot / 32) + 1);
  const from = table.rows[row + COLUMN.bitsAt] ?? 0;
  table.bits = grown(table.bits, table.bitsUsed + wanted);
  table.bits.copyWithin(table.bitsUsed, from, from + words);
  table.rows[row + COLUMN.bitsAt] = table.bitsUsed;
  table.rows[row + COLUMN.words] = wanted;
  table.bitsUsed += wanted;
}

function describe(rows: Uint32Array, row: number, digest: string, facts: PackFacts): void {
  const [high = 0, low = 0] = halves(digest);
  rows[row + COLUMN.high] = high;
  rows[row + COLUMN.low] = low;
  rows[row + COLUMN.size] = facts.sizeBytes;
  rows[row + COLUMN.directory] = facts.directoryOffset;
  const lock = Math.ceil(facts.lockedUntilMs / SECOND_MS);
  rows[row + COLUMN.lock] = Math.max(rows[row + COLUMN.lock] ?? 0, lock);
}

const NO_FACTS: PackFacts = { sizeBytes: 0, directoryOffset: 0, lockedUntilMs: 0 };

/**
 * Which slots of which objects something refers to: 32 bytes an object and a bit a slot, so that memory is bounded by the packs of a
 * volume, whatever the number of its blocks and points.
 */
export function createObjectMarks() {
  const attempts = new Map<string, AttemptTable>();
  let count = 0;

  function tableOf({ runId, attempt }: NumberedObject): AttemptTable {
    const name = `${runId}/${attempt}`;
    const known = attempts.get(name);
    if (known) return known;
    const table = { runId, attempt, rows: new Uint32Array(ROW), bits: new Uint32Array(4), bitsUsed: 0 };
    attempts.set(name, table);
    return table;
  }

  function* rowsOf(table: AttemptTable): Generator<{ number: number; row: number }> {
    for (let row = 0; row < table.rows.length; row += ROW)
      if (table.rows[row + COLUMN.words]) yield { number: row / ROW, row };
  }

  return {
    /** Marks a slot of an object. False: it was marked before. */
    mark(object: NumberedObject, slot: number, facts: PackFacts = NO_FACTS): boolean {
      const table = tableOf(object);
      const row = object.number * ROW;
      table.rows = grown(table.rows, row + ROW);
      if (!table.rows[row + COLUMN.words]) count += 1;
      reserve(table, row, slot);
      describe(table.rows, row, object.digest, facts);
      const word = (table.rows[row + COLUMN.bitsAt] ?? 0) + Math.floor(slot / 32);
      const before = table.bits[word] ?? 0;
      table.bits[word] = before | (1 << (slot % 32));
      return table.bits[word] !== before;
    },
    /** Does anything refer to this object? If so, it is noted that the store has it. */
    find(object: NumberedObject): boolean {
      const table = attempts.get(`${object.runId}/${object.attempt}`);
      const row = object.number * ROW;
      if (!table?.rows[row + COLUMN.words]) return false;
      const [high, low] = halves(object.digest);
      if (table.rows[row + COLUMN.high] !== high || table.rows[row + COLUMN.low] !== low) return false;
      table.rows[row + COLUMN.found] = 1;
      return true;
    },
    /** How many objects are referred to. */
    count: () => count,
    /** Objects that are referred to and were not found. */
    *missing(): Generator<Omit<NumberedObject, 'digest'>> {
      for (const table of attempts.values()) {
        const { runId, attempt, rows } = table;
        for (const { number, row } of rowsOf(table)) if (!rows[row + COLUMN.found]) yield { runId, attempt, number };
      }
    },
    /** Every pack that is referred to, with the number of its slots that are. Only the beginning of its digest is known. */
    *packs(): Generator<MarkedPack> {
      for (const table of attempts.values()) {
        const { runId, attempt, rows, bits } = table;
        const at = (row: number, column: number) => rows[row + column] ?? 0;
        const hex = (word: number) => word.toString(16).padStart(8, '0');
        for (const { number, row } of rowsOf(table)) {
          const from = at(row, COLUMN.bitsAt);
          yield {
            runId,
            attempt,
            number,
            digest: hex(at(row, COLUMN.high)) + hex(at(row, COLUMN.low)),
            sizeBytes: at(row, COLUMN.size),
            directoryOffset: at(row, COLUMN.directory),
            lockedUntilMs: at(row, COLUMN.lock) * SECOND_MS,
            slots: bits.subarray(from, from + at(row, COLUMN.words)).reduce((sum, word) => sum + ones(word), 0),
          };
        }
      }
    },
  };
}
