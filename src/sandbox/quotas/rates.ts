import type { Clock } from '../../core/clock.ts';
import { throttled } from '../faults/refusals.ts';
import type { AwsRequest } from '../service.ts';

/** A token bucket: how many requests at once, and how many more each second. */
type Rate = { capacity: number; perSecond: number };

const rate = (capacity: number, perSecond: number): Rate => ({ capacity, perSecond });

/** Requests per second of the EBS direct APIs. Source: Service Quotas, "Amazon EBS" (L-C125AE42, L-028ACFB9, …). */
const EBS: Record<string, Rate> = {
  GetSnapshotBlock: rate(1_000, 1_000),
  PutSnapshotBlock: rate(1_000, 1_000),
  ListSnapshotBlocks: rate(50, 50),
  ListChangedBlocks: rate(50, 50),
  StartSnapshot: rate(10, 10),
  CompleteSnapshot: rate(10, 10),
};

/** Source: EC2 developer guide, "Request throttling": buckets of single actions, then of kinds of actions. */
const EC2: readonly [RegExp, Rate][] = [
  [/^(RunInstances|StartInstances)$/, rate(5, 2)],
  [/^CopyImage$/, rate(100, 1)],
  [/^(CreateTags|DeleteTags)$/, rate(100, 10)],
  [/^(Create|Delete)(Snapshots?|Volume)$|^(DeregisterImage|ModifySnapshotAttribute)$/, rate(100, 5)],
  [/^(Describe|Get|List|Search)/, rate(100, 20)],
  [/./, rate(50, 5)],
];
const WHOLE = /^Describe(Instances|Volumes|Snapshots|SecurityGroups|NetworkInterfaces|InstanceStatus)$/;
const WHOLE_RATE = rate(50, 10);
/** A filter, a page size or an id: then a listing is not of everything. */
const NARROWED = /(^|&)(Filter|MaxResults|NextToken|InstanceId|VolumeId|SnapshotId|GroupId|NetworkInterfaceId)[.=]/;

type Spent = { bucket: string; rate: Rate; reason: string };

function bucketsOf(request: AwsRequest, operation: string): Spent[] {
  const { service, awsRegion, caller, path } = request;
  const bucket = `${caller.accountId}/${awsRegion}/${service}/${operation}`;
  const reason = 'ACCOUNT_THROTTLED';
  const ebs = service === 'ebs' ? EBS[operation] : undefined;
  if (ebs) {
    const account = { bucket, rate: ebs, reason };
    if (!/^(Get|Put)SnapshotBlock$/.test(operation)) return [account];
    const snapshotId = path.split('/')[2] ?? '';
    return [account, { bucket: `${bucket}/${snapshotId}`, rate: ebs, reason: 'RESOURCE_LEVEL_THROTTLE' }];
  }
  if (service !== 'ec2') return [];
  if (WHOLE.test(operation) && !NARROWED.test(request.body.toString('latin1')))
    return [{ bucket: `${bucket}/whole`, rate: WHOLE_RATE, reason }];
  const found = EC2.find(([name]) => name.test(operation));
  return found ? [{ bucket, rate: found[1], reason }] : [];
}

/** Request quotas of an account in a region, on the sandbox's clock. */
export function createRates(clock: Clock) {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  const refilled = ({ bucket, rate: { capacity, perSecond } }: Spent, nowMs: number) => {
    const held = buckets.get(bucket) ?? { tokens: capacity, atMs: nowMs };
    // A clock that was moved back gives nothing and takes nothing.
    const passedMs = Math.max(0, nowMs - held.atMs);
    const state = { tokens: Math.min(capacity, held.tokens + (passedMs / 1_000) * perSecond), atMs: nowMs };
    buckets.set(bucket, state);
    return state;
  };
  return {
    /**
     * Takes a token for a call from each bucket that it falls into.
     *
     * @throws AwsError throttling, in the service's words
     */
    spend(request: AwsRequest, operation: string): void {
      const nowMs = clock.now().getTime();
      const states = bucketsOf(request, operation).map((spent) => ({ spent, state: refilled(spent, nowMs) }));
      const empty = states.find(({ state }) => state.tokens < 1);
      if (empty) throw throttled(request.service, empty.spent.reason);
      for (const { state } of states) state.tokens -= 1;
    },
  };
}

export type Rates = ReturnType<typeof createRates>;
