/** What an id names. The prefix is the first part of every id: `ten_eu_…`. */
export const ID_PREFIXES = {
  tenant: 'ten',
  connection: 'con',
  instance: 'ins',
  backupPlan: 'plan',
  rule: 'rule',
  selection: 'sel',
  backupJob: 'bjob',
  restoreJob: 'rjob',
  recoveryPoint: 'rp',
  deletionRequest: 'del',
  apiKey: 'key',
  auditEvent: 'aud',
  request: 'req',
  run: 'run',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base 32: no i, l, o, u
const CELL = /^[a-z][a-z0-9]{0,15}$/;
const ID = /^([a-z]+)_([a-z][a-z0-9]{0,15})_([0-9a-hjkmnp-tv-z]{26})$/;

function encode(value: bigint, characters: number): string {
  let text = '';
  for (let i = 0, rest = value; i < characters; i += 1, rest >>= 5n) text = ALPHABET[Number(rest & 31n)] + text;
  return text;
}

/** Is this a well-formed cell code? Says nothing about whether the cell exists. */
export function isCellCode(text: string): boolean {
  return CELL.test(text);
}

/**
 * A new id such as `rp_eu_01k…`: prefix, cell, then 26 characters of which the first ten are the time in
 * milliseconds, so that ids sort by age, and the other sixteen are 80 random bits. An id is a name, not a secret.
 */
export function newId(kind: IdKind, cell: string, now: Date): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const bits = random.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return `${ID_PREFIXES[kind]}_${cell}_${encode(BigInt(now.getTime()), 10)}${encode(bits, 16)}`;
}

/** The id of another kind that goes with `id`: a job and what it makes share the last 26 characters. */
export function idOf(kind: IdKind, id: string): string {
  return id.replace(/^[a-z]+/, ID_PREFIXES[kind]);
}

/** The parts of an id, or null when the text is not one. */
export function parseId(text: string): { prefix: string; cell: string } | null {
  const match = ID.exec(text);
  return match?.[1] && match[2] ? { prefix: match[1], cell: match[2] } : null;
}

/** When an id of ours was made, to the millisecond; null when the text is not an id. */
export function timeOfId(text: string): Date | null {
  const digits = ID.exec(text)?.[3]?.slice(0, 10);
  if (digits === undefined) return null;
  const ms = Array.from(digits).reduce((sum, digit) => sum * 32 + ALPHABET.indexOf(digit), 0);
  return new Date(ms);
}

/** Does the text have the form of an id of this kind (in this cell, when one is given)? */
export function isId(kind: IdKind, text: string, cell?: string): boolean {
  const id = parseId(text);
  return id !== null && id.prefix === ID_PREFIXES[kind] && (cell === undefined || id.cell === cell);
}
