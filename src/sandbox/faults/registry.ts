import { createHash, randomUUID } from 'node:crypto';
import type { AwsRequest } from '../service.ts';
import type { FaultRule } from './rule.ts';

/** A rule in force, how many calls it fitted and how many of them it met. */
export type Fault = FaultRule & { id: string; matched: number; met: number };

/** One call, as rules look at it. */
export type FaultTarget = { request: AwsRequest; operation: string };

const DRAW = 2 ** 48;

/** The n-th draw of a seed, in [0, 1): a run can be repeated. */
const draw = (seed: string, n: number) => createHash('sha256').update(`${seed}/${n}`).digest().readUIntBE(0, 6) / DRAW;

/** Where a resource may be named. The bodies of S3 and blocks are data, not names. */
function names(resource: string, { service, path, query, body, method }: AwsRequest): boolean {
  const isForm = service !== 's3' && !(service === 'ebs' && method === 'PUT');
  return (
    decodeURIComponent(path).includes(resource) ||
    [...query.values()].some((value) => value.includes(resource)) ||
    (isForm && decodeURIComponent(body.toString('latin1').replace(/%(?![0-9a-fA-F]{2})/g, '%25')).includes(resource))
  );
}

function fits({ match }: FaultRule, { request, operation }: FaultTarget): boolean {
  return (
    (match.service ?? request.service) === request.service &&
    (match.operation ?? operation) === operation &&
    (match.accountId ?? request.caller.accountId) === request.caller.accountId &&
    (match.awsRegion ?? request.awsRegion) === request.awsRegion &&
    (match.resource === undefined || names(match.resource, request))
  );
}

function meets(fault: Fault, target: FaultTarget): boolean {
  if (!fits(fault, target)) return false;
  fault.matched += 1;
  if (fault.matched <= fault.skip || (fault.times !== null && fault.met >= fault.times)) return false;
  if (draw(fault.seed, fault.matched) >= fault.probability) return false;
  fault.met += 1;
  return true;
}

/** The faults in force. They last as long as the process. */
export function createFaults() {
  const faults = new Map<string, Fault>();
  return {
    add(rule: FaultRule): Fault {
      const fault = { id: `fault-${randomUUID().slice(0, 8)}`, ...rule, matched: 0, met: 0 };
      faults.set(fault.id, fault);
      return fault;
    },
    list: (): Fault[] => [...faults.values()],
    remove: (id: string): boolean => faults.delete(id),
    clear: (): void => faults.clear(),
    /** How long a call is to be delayed, and the first fault that does more than that. Counts the call. */
    meet(target: FaultTarget): { delayMs: number; fault: Fault | null } {
      let delayMs = 0;
      for (const fault of faults.values()) {
        if (!meets(fault, target)) continue;
        if (fault.kind !== 'slow') return { delayMs, fault };
        delayMs += fault.ms;
      }
      return { delayMs, fault: null };
    },
  };
}

export type Faults = ReturnType<typeof createFaults>;
