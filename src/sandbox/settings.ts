import type { Violation } from './faults/rule.ts';

/** How many of what an account may have. Sources: Service Quotas of EBS and EC2. */
export type AccountLimits = {
  /** Snapshots being written through EBS direct (L-94D7AB7D). */
  pendingSnapshots: number;
  concurrentSnapshotsPerVolume: number;
  snapshots: number;
  vcpus: number;
};

/** Standing behaviours. They last as long as the process. */
export type SettingValues = {
  /** Request rates are limited as on AWS. Off by default: a test on one machine is not to wait for tokens. */
  quotas: boolean;
  /** For how long a snapshot that StartSnapshot made is not found. */
  snapshotVisibleAfterMs: number;
  /** How long a snapshot takes to complete; null: a fraction of a second. */
  snapshotCompletesAfterMs: number | null;
  /** After how long a change of roles, users and policies takes effect. */
  iamEffectiveAfterMs: number;
  /** Limits of single accounts that differ from the usual ones. */
  accounts: Record<string, Partial<AccountLimits>>;
};

const LIMITS: AccountLimits = {
  pendingSnapshots: 100,
  concurrentSnapshotsPerVolume: 5,
  snapshots: 100_000,
  vcpus: 1_000_000,
};
const DAY_MS = 86_400_000;

const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const isDelay = (value: unknown) => isCount(value) && Number(value) <= DAY_MS;
const DELAY = `must be a number of milliseconds up to ${DAY_MS}`;

const CHECKS: Record<string, { known: (value: unknown) => boolean; detail: string }> = {
  quotas: { known: (it) => typeof it === 'boolean', detail: 'must be true or false' },
  snapshotVisibleAfterMs: { known: isDelay, detail: DELAY },
  snapshotCompletesAfterMs: { known: (it) => it === null || isDelay(it), detail: `${DELAY}, or null` },
  iamEffectiveAfterMs: { known: isDelay, detail: DELAY },
  accounts: {
    known: (it) => typeof it === 'object' && it !== null && !Array.isArray(it),
    detail: 'must be an object of limits by account id',
  },
};

function limitViolations(accounts: object): Violation[] {
  return Object.entries(accounts).flatMap(([id, limits]): Violation[] => {
    if (!/^\d{12}$/.test(id)) return [{ pointer: `/accounts/${id}`, detail: 'must be an account id of 12 digits' }];
    return Object.entries(Object(limits) as object).flatMap(([name, value]): Violation[] => {
      const pointer = `/accounts/${id}/${name}`;
      if (!Object.hasOwn(LIMITS, name)) return [{ pointer, detail: 'is not known' }];
      return isCount(value) ? [] : [{ pointer, detail: 'must be a whole number, 0 or more' }];
    });
  });
}

function violationsOf(input: Record<string, unknown>): Violation[] {
  return Object.entries(input).flatMap(([name, value]): Violation[] => {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name] : undefined;
    if (!check) return [{ pointer: `/${name}`, detail: 'is not known' }];
    if (!check.known(value)) return [{ pointer: `/${name}`, detail: check.detail }];
    return name === 'accounts' ? limitViolations(Object(value) as object) : [];
  });
}

/** The settings in force; what a change does not name stays as it was. */
export function createSettings(initial: Partial<SettingValues> = {}) {
  let values: SettingValues = {
    quotas: false,
    snapshotVisibleAfterMs: 0,
    snapshotCompletesAfterMs: null,
    iamEffectiveAfterMs: 0,
    accounts: {},
    ...initial,
  };
  return {
    values: (): SettingValues => values,
    /** Changes all that is named, or nothing when anything is wrong. */
    change(input: Record<string, unknown>): Violation[] {
      const violations = violationsOf(input);
      // Every member was checked.
      if (violations.length === 0) values = { ...values, ...(input as Partial<SettingValues>) };
      return violations;
    },
    limitsOf: (accountId: string): AccountLimits => ({ ...LIMITS, ...values.accounts[accountId] }),
  };
}

export type Settings = ReturnType<typeof createSettings>;
