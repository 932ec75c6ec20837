/**
 * Additive increase, multiplicative decrease: how much may be under way at once, and how much may begin in a second.
 * Pure: time is handed in. Source of the scheme: RFC 5681, section 3.1; of the limits: EBS user guide, "Quotas for EBS
 * direct APIs" (1,000 GetSnapshotBlock a second for each snapshot, and for each account unless raised).
 */
export type WindowLimits = {
  /** Requests under way: fewest, at the start, most. */
  floor: number;
  start: number;
  ceiling: number;
  /** Requests that may begin in a second, when nothing was refused for a while. */
  targetPerSec: number;
};

/** Leaves a fifth of the account's default quota to whoever else uses it. */
export const DEFAULT_LIMITS: WindowLimits = { floor: 32, start: 64, ceiling: 128, targetPerSec: 800 };

export type Window = {
  readonly limits: WindowLimits;
  running: number;
  /** Requests that may be under way; a fraction while it grows. */
  size: number;
  /** Requests that may begin in a second, now. */
  perSec: number;
  /** When the next request may begin, were they spaced evenly. */
  nextAtMs: number;
  /** Throttles before this moment belong to a decrease that was made already. */
  deafUntilMs: number;
};

const FACTOR = 0.5;
/** Many requests are refused for one overload: they count as one. */
const DEAF_MS = 500;
/** The lowest pace: a refused account is asked some times a second, not never. */
const PER_SEC_MIN = 20;
/** After so many seconds without a refusal, a pace of zero would be the target again. */
const RECOVERY_SECONDS = 20;
/** Requests may begin this much early: a timer is only good to a few milliseconds. */
const BURST_MS = 25;

export function newWindow(limits: WindowLimits = DEFAULT_LIMITS): Window {
  const { start, targetPerSec } = limits;
  return { limits, running: 0, size: start, perSec: targetPerSec, nextAtMs: 0, deafUntilMs: 0 };
}

/** Milliseconds until a request may begin: 0 is now, null is when another has ended. */
export function delayMs(window: Window, nowMs: number): number | null {
  if (window.running >= Math.floor(window.size)) return null;
  return Math.max(0, window.nextAtMs - BURST_MS - nowMs);
}

export function begin(window: Window, nowMs: number): void {
  window.running += 1;
  window.nextAtMs = Math.max(window.nextAtMs, nowMs) + 1_000 / window.perSec;
}

/** How a request ended: well, throttled, or in another way, which teaches nothing about the load. */
export type Outcome = 'ok' | 'throttled' | 'failed';

/** A request has ended: the window grows by about one for each round of it, and halves at a throttle. */
export function end(window: Window, outcome: Outcome, nowMs: number): void {
  window.running -= 1;
  const { floor, ceiling, targetPerSec } = window.limits;
  if (outcome === 'ok') {
    window.size = Math.min(ceiling, window.size + 1 / window.size);
    window.perSec = Math.min(targetPerSec, window.perSec + targetPerSec / RECOVERY_SECONDS / window.perSec);
  } else if (outcome === 'throttled' && nowMs >= window.deafUntilMs) {
    window.size = Math.max(floor, window.size * FACTOR);
    window.perSec = Math.max(PER_SEC_MIN, window.perSec * FACTOR);
    window.deafUntilMs = nowMs + DEAF_MS;
  }
}
