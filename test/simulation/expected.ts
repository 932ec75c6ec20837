import type { Counts } from './counts.ts';
import { OPERATIONS } from './operations.ts';

/** Calls that may fail in each way. Pages of listings, reads, puts and deletions; a torn one where the real service can tear it. */
const CALLS = {
  put: ['pack put', 'bundle put', 'root put', 'checkpoint put', 'index key put', 'pack key put'],
  get: ['pack get', 'bundle get', 'root get', 'checkpoint get', 'index key get', 'pack key get'],
  listed: ['list', 'block list', 'change list', 'block fetch', 'block write'],
  plain: ['key generate', 'key unwrap', 'image complete', 'acknowledge', 'read state', 'record', 'fence', 'key read'],
};
const ALWAYS = ['before', 'after', 'hang'];

/** What crashes whom: each kind of process at each kind of call that it makes. */
const CRASHES = {
  full: [
    'pack put',
    'bundle put',
    'root put',
    'index key put',
    'pack key put',
    'checkpoint put',
    'block fetch',
    'acknowledge',
  ],
  incremental: ['pack put', 'bundle put', 'root put', 'change list', 'bundle get', 'acknowledge'],
  restore: ['pack get', 'block write', 'image complete', 'key unwrap'],
  collection: ['list', 'read state', 'record', 'fence', 'root delete'],
  'key rotation': ['key read', 'key replace', 'key list'],
  verify: ['list', 'pack get', 'bundle get'],
};

const SOMETIMES = [
  'full acknowledged',
  'full acknowledged, base_unreadable',
  'full acknowledged, lineage_lost',
  'incremental acknowledged',
  'acknowledged twice',
  'blocks found again',
  'random numbers cloned',
  'condemned',
  'condemned objects deleted',
  'condemned objects released',
  'condemned objects wait, open_run',
  'condemned objects wait, too_young',
  'keys wrapped anew',
  'points erased',
  'late pack put',
  'late root put',
];

/** Everything that many histories must have met, by the names of the counts. */
export const EXPECTED: readonly string[] = [
  ...OPERATIONS.map(({ name }) => `operation: ${name}`),
  ...[...CALLS.put, ...CALLS.get, ...CALLS.listed].flatMap((name) =>
    [...ALWAYS, 'torn'].map((mode) => `fault: ${name}, ${mode}`),
  ),
  ...CALLS.put.map((name) => `fault: ${name}, twice`),
  ...CALLS.plain.flatMap((name) => ALWAYS.map((mode) => `fault: ${name}, ${mode}`)),
  ...Object.entries(CRASHES).flatMap(([kind, calls]) =>
    calls.flatMap((name) => ['before', 'after'].map((when) => `crash: ${kind}, ${when} ${name}`)),
  ),
  ...SOMETIMES.map((name) => `sometimes: ${name}`),
];

/** What of it did not happen. */
export const neverMet = (counts: Counts): string[] => EXPECTED.filter((name) => !counts.get(name));
