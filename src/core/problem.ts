import type { Fault, Violation } from './faults.ts';

/** RFC 9457 problem details, as every service of ours answers them. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  retry: 'never' | 'now' | 'later';
  errors?: readonly Violation[];
  facts?: Fault['facts'];
};

/** Media type of every problem. */
export const PROBLEM_TYPE = 'application/problem+json';

/** A fault as the caller sees it. `shown` is the row of its code in the contract's table; causes stay with us. */
export function problemOf(fault: Fault, shown: { status: number; title: string }, requestId: string): Problem {
  return {
    type: `/problems/${fault.code}`,
    title: shown.title,
    status: shown.status,
    detail: fault.message,
    instance: `urn:request:${requestId}`,
    code: fault.code,
    retry: fault.retry,
    ...(fault.violations.length > 0 ? { errors: fault.violations } : {}),
    ...(Object.keys(fault.facts).length > 0 ? { facts: fault.facts } : {}),
  };
}
