import { Fault, type FaultCode, isFault, type Violation } from '../../core/faults.ts';
import { newId } from '../../core/ids.ts';
import type { Retention, rules } from '../db/schema/plans.ts';
import { nextRunAt } from '../schedule.ts';
import type { PlanRow } from './plan-row.ts';

export type RuleRow = typeof rules.$inferSelect;
export type RuleInput = {
  id?: string | undefined;
  name: string;
  cron: string;
  timeZone: string;
  startWindowMinutes: number;
  retention: Retention;
};

function faultOf(rule: { cron: string; timeZone: string }, now: Date, pointer: string): Fault | null {
  try {
    nextRunAt(rule, now, pointer);
    return null;
  } catch (error) {
    if (isFault(error)) return error;
    throw error;
  }
}

/** Everything wrong with one schedule: where the time zone is unknown, the cron expression is still looked at. */
function scheduleFaults(rule: RuleInput, now: Date, pointer: string): Fault[] {
  const first = faultOf(rule, now, pointer);
  if (first?.code !== 'unknown_time_zone') return first ? [first] : [];
  const second = faultOf({ cron: rule.cron, timeZone: 'UTC' }, now, pointer);
  return second ? [first, second] : [first];
}

function repeatedIds(inputs: readonly RuleInput[], known: readonly RuleRow[]): Violation[] {
  return inputs.flatMap(({ id }, i) => {
    if (id === undefined) return [];
    if (!known.some((rule) => rule.id === id))
      return [{ pointer: `/rules/${i}/id`, detail: 'is no rule of this plan' }];
    return inputs.findIndex((other) => other.id === id) === i
      ? []
      : [{ pointer: `/rules/${i}/id`, detail: 'is repeated' }];
  });
}

/**
 * Refuses rules that could never run, all violations at once. One kind of trouble keeps its own code.
 *
 * @param known rules of the plan as it is; an `id` in the input must be one of theirs
 * @throws Fault `unknown_time_zone`, `schedule_never_fires`, `invalid_request`
 */
export function checkRules(inputs: readonly RuleInput[], known: readonly RuleRow[], now: Date): void {
  const faults = inputs.flatMap((rule, i) => scheduleFaults(rule, now, `/rules/${i}`));
  const ids = repeatedIds(inputs, known);
  const violations = [...faults.flatMap((fault) => fault.violations), ...ids];
  const [first] = violations;
  if (!first) return;
  const codes = new Set<FaultCode>([
    ...faults.map((fault) => fault.code),
    ...(ids.length > 0 ? ['invalid_request' as const] : []),
  ]);
  const [only] = codes;
  const single = faults.length === 1 && ids.length === 0 ? faults[0] : undefined;
  throw new Fault(
    only && codes.size === 1 ? only : 'invalid_request',
    single?.message ?? `${violations.length} things are wrong with the rules; see errors.`,
    { violations },
  );
}

/**
 * The slot that a rule waits for. A schedule that did not change keeps its slot, so that an edit of the name skips
 * nothing; a paused plan waits for none, and does not catch up afterwards.
 */
function nextSlot(rule: RuleInput, before: RuleRow | undefined, plan: { paused: boolean; now: Date }): Date | null {
  if (plan.paused) return null;
  const same = before?.cron === rule.cron && before.timeZone === rule.timeZone;
  return (same ? before.nextRunAt : null) ?? nextRunAt(rule, plan.now);
}

/** The rows of a plan's rules, in their order; a rule that is named by id stays the same rule. */
export function ruleRows(
  plan: PlanRow,
  inputs: readonly RuleInput[],
  before: readonly RuleRow[],
  { cell, now }: { cell: string; now: Date },
): RuleRow[] {
  return inputs.map((input, position) => {
    const known = before.find((rule) => rule.id === input.id);
    const { name, cron, timeZone, startWindowMinutes, retention } = input;
    return {
      tenantId: plan.tenantId,
      id: known?.id ?? newId('rule', cell, now),
      planId: plan.id,
      name,
      cron,
      timeZone,
      startWindowMinutes,
      retention,
      position,
      nextRunAt: nextSlot(input, known, { paused: plan.paused, now }),
    };
  });
}
