import type { Clock } from '../../core/clock.ts';
import { isThrottle, reasonOf } from '../faults.ts';
import type { Gate } from './service.ts';
import { begin, DEFAULT_LIMITS, delayMs, end, newWindow, type Outcome, type WindowLimits } from './window.ts';

type Budget = {
  /** Resolves when one request may begin, first come, first served. */
  enter(): Promise<void>;
  leave(outcome: Outcome): void;
  isIdle(): boolean;
};

/** Windows that nobody has used lately are forgotten above this number. */
const BUDGETS_MAX = 1_000;

function createBudget(clock: Clock, limits: WindowLimits): Budget {
  const window = newWindow(limits);
  const waiting: (() => void)[] = [];
  let sleeping = false;
  const nowMs = () => clock.now().getTime();

  function admit(): void {
    while (waiting.length > 0) {
      const delay = delayMs(window, nowMs());
      if (delay === null) return;
      if (delay > 0) return later(delay);
      begin(window, nowMs());
      waiting.shift()?.();
    }
  }
  function later(delay: number): void {
    if (sleeping) return;
    sleeping = true;
    void clock.sleep(Math.ceil(delay)).then(() => {
      sleeping = false;
      admit();
    });
  }

  return {
    enter: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        admit();
      }),
    leave(outcome) {
      end(window, outcome, nowMs());
      admit();
    },
    isIdle: () => window.running === 0 && waiting.length === 0,
  };
}

/** Budgets of requests, one for each account and region and one for each snapshot, shared by all jobs that hold them. */
export type Budgets = {
  /** The gate of the calls of one kind to one snapshot: through the snapshot's budget, then the account's. */
  gate(use: { account: string; awsRegion: string; operation: string; snapshotId: string }): Gate;
};

/** What a refusal says of whose limit was met: EBS tells the account's from the snapshot's. */
function outcomesOf(error: Error | null): { snapshot: Outcome; account: Outcome } {
  if (error === null) return { snapshot: 'ok', account: 'ok' };
  if (!isThrottle(error)) return { snapshot: 'failed', account: 'failed' };
  const reason = reasonOf(error);
  return {
    snapshot: reason === 'ACCOUNT_THROTTLED' ? 'failed' : 'throttled',
    account: reason === 'RESOURCE_LEVEL_THROTTLE' ? 'failed' : 'throttled',
  };
}

/** @param limits those of each budget; a process that is one of several takes its share */
export function createBudgets(clock: Clock, limits: WindowLimits = DEFAULT_LIMITS): Budgets {
  const budgets = new Map<string, Budget>();
  function budgetOf(key: string): Budget {
    const known = budgets.get(key) ?? createBudget(clock, limits);
    // Last used stands last.
    budgets.delete(key);
    budgets.set(key, known);
    for (const [other, budget] of budgets) {
      if (budgets.size <= BUDGETS_MAX) break;
      if (other !== key && budget.isIdle()) budgets.delete(other);
    }
    return known;
  }
  return {
    gate({ account, awsRegion, operation, snapshotId }) {
      const place = `${operation}/${account}/${awsRegion}`;
      return async () => {
        const [ofSnapshot, ofAccount] = [budgetOf(`${place}/${snapshotId}`), budgetOf(place)];
        await ofSnapshot.enter();
        await ofAccount.enter();
        return (error) => {
          const outcomes = outcomesOf(error);
          ofAccount.leave(outcomes.account);
          ofSnapshot.leave(outcomes.snapshot);
        };
      };
    },
  };
}
