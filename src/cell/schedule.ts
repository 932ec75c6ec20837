import { Cron } from 'croner';
import { Fault } from '../core/faults.ts';

/** Five fields, as crontab has them: seconds and years would only be ways to be surprised. */
const FIELDS = 5;

/** Does the IANA time zone exist, as far as this runtime's tables know? */
function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return /^[A-Za-z][A-Za-z0-9_+\-/]*$/.test(timeZone);
  } catch {
    return false;
  }
}

function parse(cron: string, timeZone: string, pointer: string): Cron {
  try {
    if (cron.trim().split(/\s+/).length !== FIELDS) throw new Error('needs five fields: minute hour day month weekday');
    return new Cron(cron, { timezone: timeZone, mode: '5-part' });
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : 'is not a cron expression';
    throw new Fault('invalid_request', 'The schedule is not a cron expression.', {
      cause,
      violations: [{ pointer: `${pointer}/cron`, detail }],
    });
  }
}

/**
 * The first slot strictly after `after`, in UTC.
 *
 * @param pointer JSON pointer of the rule, for the violations
 * @throws Fault `unknown_time_zone`, `invalid_request` (not a cron expression), `schedule_never_fires` (such as 30 February)
 */
export function nextRunAt(rule: { cron: string; timeZone: string }, after: Date, pointer = ''): Date {
  if (!isTimeZone(rule.timeZone)) {
    throw new Fault(
      'unknown_time_zone',
      `There is no time zone ${JSON.stringify(rule.timeZone)}. Use an IANA name such as Europe/Berlin.`,
      {
        violations: [{ pointer: `${pointer}/timeZone`, detail: 'is not an IANA time zone' }],
      },
    );
  }
  const next = parse(rule.cron, rule.timeZone, pointer).nextRun(after);
  if (next) return next;
  throw new Fault(
    'schedule_never_fires',
    `The schedule ${JSON.stringify(rule.cron)} never fires. Choose a day that exists.`,
    {
      violations: [{ pointer: `${pointer}/cron`, detail: 'matches no instant' }],
    },
  );
}
