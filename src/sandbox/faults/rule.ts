/** What a fault does to a call. */
export const FAULT_KINDS = [
  'throttle',
  'error',
  'http500',
  'http502',
  'http503',
  'http504',
  'slow',
  'hang',
  'reset',
  'cutBody',
  'corruptBody',
  'wrongChecksum',
  'notFound',
  'denied',
  'expiredToken',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Which calls a fault meets and what it does to them. Absent members of `match` meet every call. */
export type FaultRule = {
  kind: FaultKind;
  match: {
    service?: string;
    /** AWS's name: `GetSnapshotBlock`, `PutObject`, `DescribeInstances`. */
    operation?: string;
    accountId?: string;
    awsRegion?: string;
    /** A part of the path, of the query or of a form: an id, a bucket, a key. */
    resource?: string;
  };
  /** How many matching calls pass before the first is met. */
  skip: number;
  /** How many calls it meets at most; null: all. */
  times: number | null;
  /** The share of the remaining calls, drawn from `seed`: the same seed meets the same calls. */
  probability: number;
  seed: string;
  /** True: AWS does what was asked, and the answer is lost or replaced. For `hang`, `reset` and errors. */
  afterWork: boolean;
  /** For `slow`: milliseconds. */
  ms: number;
  /** For `error`. */
  status: number;
  code: string;
  message: string;
  /** For `throttle` of EBS direct: which limit is said to be spent. */
  reason: string;
};

export type Violation = { pointer: string; detail: string };

const MATCHES = ['service', 'operation', 'accountId', 'awsRegion', 'resource'] as const;
const REASONS = ['ACCOUNT_THROTTLED', 'RESOURCE_LEVEL_THROTTLE', 'DEPENDENCY_REQUEST_THROTTLED'];

type Check = { known: (value: unknown) => boolean; detail: string };
const text: Check = { known: (it) => typeof it === 'string' && it !== '', detail: 'must be a text that is not empty' };
const wholeNumber = (min: number, max: number): Check => ({
  known: (it) => Number.isSafeInteger(it) && Number(it) >= min && Number(it) <= max,
  detail: `must be a whole number from ${min} to ${max}`,
});
const MEMBERS: Record<string, Check> = {
  kind: {
    known: (it) => FAULT_KINDS.some((kind) => kind === it),
    detail: `must be one of ${FAULT_KINDS.join(', ')}`,
  },
  match: { known: (it) => typeof it === 'object' && it !== null && !Array.isArray(it), detail: 'must be an object' },
  skip: wholeNumber(0, 1e9),
  times: wholeNumber(1, 1e9),
  probability: {
    known: (it) => typeof it === 'number' && it > 0 && it <= 1,
    detail: 'must be a number above 0, at most 1',
  },
  seed: text,
  afterWork: { known: (it) => typeof it === 'boolean', detail: 'must be true or false' },
  ms: wholeNumber(1, 3_600_000),
  status: wholeNumber(400, 599),
  code: text,
  message: text,
  reason: { known: (it) => REASONS.some((reason) => reason === it), detail: `must be one of ${REASONS.join(', ')}` },
};

/** Members that a kind cannot do without. */
const NEEDED: Partial<Record<FaultKind, readonly string[]>> = { slow: ['ms'], error: ['status', 'code'] };
/** Kinds that change an answer, or only delay it: the work is always done. */
const WORKS: readonly string[] = ['slow', 'cutBody', 'corruptBody', 'wrongChecksum'];

function violationsOf(input: Record<string, unknown>): Violation[] {
  const found: Violation[] = [];
  for (const [name, value] of Object.entries(input)) {
    const check = Object.hasOwn(MEMBERS, name) ? MEMBERS[name] : undefined;
    if (!check) found.push({ pointer: `/${name}`, detail: 'is not known' });
    else if (!check.known(value)) found.push({ pointer: `/${name}`, detail: check.detail });
  }
  if (input['kind'] === undefined) found.push({ pointer: '/kind', detail: 'is missing' });
  const match = MEMBERS['match']?.known(input['match']) ? Object.entries(Object(input['match']) as object) : [];
  for (const [name, value] of match) {
    if (!MATCHES.some((known) => known === name)) found.push({ pointer: `/match/${name}`, detail: 'is not known' });
    else if (!text.known(value)) found.push({ pointer: `/match/${name}`, detail: text.detail });
  }
  for (const name of NEEDED[input['kind'] as FaultKind] ?? [])
    if (input[name] === undefined)
      found.push({ pointer: `/${name}`, detail: `is needed for ${String(input['kind'])}` });
  if (input['afterWork'] === true && WORKS.includes(String(input['kind'])))
    found.push({ pointer: '/afterWork', detail: `has no meaning for ${String(input['kind'])}` });
  return found;
}

/** Reads a rule; every mistake in it is named. */
export function parseRule(input: Record<string, unknown>): FaultRule | { violations: Violation[] } {
  const violations = violationsOf(input);
  if (violations.length > 0) return { violations };
  const defaults = {
    match: {},
    skip: 0,
    times: null,
    probability: 1,
    seed: '0',
    afterWork: false,
    ms: 0,
    status: 500,
    code: 'InternalError',
    message: 'A fault that was asked for.',
    reason: 'ACCOUNT_THROTTLED',
  };
  // Every member was checked above.
  return { ...defaults, ...input } as FaultRule;
}
