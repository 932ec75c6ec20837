/** When is it worth trying the same thing again? `now`: at once, with back-off. `later`: after something has changed. */
export type Retry = 'never' | 'now' | 'later';

/** Whose move is it? The caller's (bad input), the customer's account (a role, a key), or ours. */
export type Owner = 'caller' | 'customer-account' | 'platform';

/**
 * Every way in which the product can fail, as a closed table. `contract/problems.ts` gives each code its HTTP status and
 * title, and docs/problems/ its page: leaving either out does not compile or does not pass the tests.
 */
export const FAULTS = {
  // the request
  invalid_request: { retry: 'never', owner: 'caller' },
  malformed_json: { retry: 'never', owner: 'caller' },
  unsupported_media_type: { retry: 'never', owner: 'caller' },
  body_too_large: { retry: 'never', owner: 'caller' },
  unauthorized: { retry: 'never', owner: 'caller' },
  router_signature_invalid: { retry: 'never', owner: 'caller' },
  forbidden: { retry: 'never', owner: 'caller' },
  not_found: { retry: 'never', owner: 'caller' },
  method_not_allowed: { retry: 'never', owner: 'caller' },
  misdirected_request: { retry: 'never', owner: 'caller' },
  too_many_requests: { retry: 'later', owner: 'caller' },
  conflict: { retry: 'never', owner: 'caller' },
  idempotency_key_reused: { retry: 'never', owner: 'caller' },
  idempotency_in_flight: { retry: 'now', owner: 'caller' },
  // rules of the product
  residency_violation: { retry: 'never', owner: 'caller' },
  region_not_served: { retry: 'never', owner: 'caller' },
  schedule_never_fires: { retry: 'never', owner: 'caller' },
  unknown_time_zone: { retry: 'never', owner: 'caller' },
  outside_connection_limits: { retry: 'never', owner: 'caller' },
  connection_not_usable: { retry: 'later', owner: 'customer-account' },
  recovery_point_not_usable: { retry: 'never', owner: 'caller' },
  restore_not_enabled: { retry: 'never', owner: 'caller' },
  less_encrypted_than_source: { retry: 'never', owner: 'caller' },
  // the customer's account
  role_not_assumable: { retry: 'later', owner: 'customer-account' },
  role_insecure: { retry: 'later', owner: 'customer-account' },
  account_mismatch: { retry: 'never', owner: 'customer-account' },
  missing_permission: { retry: 'later', owner: 'customer-account' },
  key_access_denied: { retry: 'later', owner: 'customer-account' },
  instance_not_found: { retry: 'never', owner: 'customer-account' },
  instance_terminated: { retry: 'never', owner: 'customer-account' },
  snapshot_failed: { retry: 'now', owner: 'customer-account' },
  snapshots_unrelated: { retry: 'never', owner: 'customer-account' },
  aws_resource_not_found: { retry: 'never', owner: 'customer-account' },
  aws_quota_exceeded: { retry: 'later', owner: 'customer-account' },
  aws_throttled: { retry: 'now', owner: 'customer-account' },
  licence_not_portable: { retry: 'never', owner: 'caller' },
  recovery_point_locked: { retry: 'later', owner: 'caller' },
  aws_rejected: { retry: 'never', owner: 'customer-account' },
  // stored data
  block_checksum_mismatch: { retry: 'now', owner: 'platform' },
  restore_checksum_mismatch: { retry: 'never', owner: 'platform' },
  object_exists: { retry: 'never', owner: 'platform' },
  object_missing: { retry: 'never', owner: 'platform' },
  object_corrupt: { retry: 'never', owner: 'platform' },
  wrong_key: { retry: 'never', owner: 'platform' },
  unsupported_format: { retry: 'never', owner: 'platform' },
  store_unavailable: { retry: 'now', owner: 'platform' },
  key_unavailable: { retry: 'later', owner: 'platform' },
  // ourselves
  stale_claim: { retry: 'never', owner: 'platform' },
  aborted: { retry: 'never', owner: 'caller' },
  unavailable: { retry: 'now', owner: 'platform' },
  internal: { retry: 'later', owner: 'platform' },
} as const satisfies Record<string, { retry: Retry; owner: Owner }>;

export type FaultCode = keyof typeof FAULTS;

/** One thing wrong with a request: a JSON pointer (`/rules/0/cron`, `?limit`, `header:idempotency-key`) and what is wrong. */
export type Violation = { pointer: string; detail: string };

type FaultOptions = {
  cause?: unknown;
  /** Facts for the caller that a program can use, such as `{ action: 'ebs:GetSnapshotBlock' }`. Public: no secrets. */
  facts?: Record<string, string | number | boolean | readonly string[]>;
  violations?: readonly Violation[];
};

/**
 * The one error of the product. `message` is public: it goes to the tenant, so it names what happened and what to do
 * next, and never repeats its cause; the logger prints the chain of causes, which is ours alone.
 */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly facts: NonNullable<FaultOptions['facts']>;
  readonly violations: readonly Violation[];

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.facts = options.facts ?? {};
    this.violations = options.violations ?? [];
  }

  get retry(): Retry {
    return FAULTS[this.code].retry;
  }

  get owner(): Owner {
    return FAULTS[this.code].owner;
  }
}

/** Is this error a Fault, of this code when one is given? */
export function isFault(error: unknown, code?: FaultCode): error is Fault {
  return error instanceof Fault && (code === undefined || error.code === code);
}

/** Anything thrown, as a Fault: unknown errors become `internal` and say nothing about themselves. */
export function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  return new Fault('internal', 'Something went wrong on our side. Quote the request id to the operator.', {
    cause: error,
  });
}
