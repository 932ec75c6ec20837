import { randomInt } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { isThrottle } from '../faults.ts';

const ATTEMPTS_MAX = 5;
const DELAY_MS = 100;
const THROTTLED_DELAY_MS = 500;
const DELAY_MAX_MS = 20_000;
/** What the line did, or what passes by itself. Source: AWS SDKs, "standard" retry mode. */
const TRANSIENT = new Set([
  'TimeoutError',
  'RequestTimeout',
  'RequestTimeoutException',
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
const TRANSIENT_STATUS = new Set([429, 500, 502, 503, 504]);

function statusOf(error: Error): number {
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode ?? 0;
}

/** The delay before the next try: random, up to a bound that doubles. */
function delayMs(attempt: number, throttled: boolean): number {
  const bound = (throttled ? THROTTLED_DELAY_MS : DELAY_MS) * 2 ** (attempt - 1);
  return randomInt(1, Math.min(bound, DELAY_MAX_MS) + 1);
}

/**
 * Calls until an answer is good, a refusal is final, or five attempts are over; then throws the last error.
 *
 * @param again says of a refusal that would be final that it is worth another try after all, such as a wrong clock
 */
export async function withRetries<T>(
  clock: Clock,
  attempt: () => Promise<T>,
  again: (error: Error) => boolean,
): Promise<T> {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Error) || count === ATTEMPTS_MAX) throw error;
      const throttled = isThrottle(error);
      const passing = throttled || TRANSIENT.has(error.name) || TRANSIENT_STATUS.has(statusOf(error));
      if (!passing && !again(error)) throw error;
      await clock.sleep(delayMs(count, throttled));
    }
  }
}
