import { createHash } from 'node:crypto';
import { systemClock } from '../../core/clock.ts';
import { AwsError, type AwsResponse } from '../service.ts';
import { broken, denied, expiredToken, notFound, throttled } from './refusals.ts';
import type { Fault, Faults, FaultTarget } from './registry.ts';

/** Headers that vouch for a body. */
const CHECKSUM = /^x-amz-checksum(-(sha256|sha1|crc32|crc32c|crc64nvme))?$/;

function refusalOf(fault: Fault, { request: { service }, operation }: FaultTarget): AwsError {
  switch (fault.kind) {
    case 'throttle':
      return throttled(service, fault.reason);
    case 'denied':
      return denied(service);
    case 'expiredToken':
      return expiredToken(service);
    case 'notFound':
      return notFound(service, operation);
    case 'error':
      return new AwsError(fault.code, fault.status, fault.message, service === 'ebs' ? { Reason: fault.reason } : {});
    default:
      return broken(service, Number(fault.kind.slice('http'.length)));
  }
}

function withWrongChecksum(answer: AwsResponse): AwsResponse {
  const headers = Object.entries(answer.headers ?? {}).map(([name, value]) => {
    if (!CHECKSUM.test(name)) return [name, value] as const;
    const bytes = createHash('sha256').update(value).digest();
    return [name, bytes.subarray(0, Buffer.from(value, 'base64').length).toString('base64')] as const;
  });
  return { ...answer, headers: Object.fromEntries(headers) };
}

/** One bit, in the middle; the stored bytes stay as they are. */
function withFlippedBit(answer: AwsResponse): AwsResponse {
  const body = Buffer.from(answer.body ?? '');
  if (body.length === 0) return answer;
  const at = body.length >> 1;
  body.writeUInt8(body.readUInt8(at) ^ 1, at);
  return { ...answer, body };
}

/**
 * Does a call's work under the faults in force.
 *
 * @throws AwsError the refusal that a fault asked for
 */
export async function underFaults(
  faults: Faults,
  target: FaultTarget,
  work: () => Promise<AwsResponse>,
): Promise<AwsResponse> {
  const { delayMs, fault } = faults.meet(target);
  // A delay is felt on the wire: it passes on the machine's clock, whatever time the sandbox has.
  if (delayMs > 0) await systemClock.sleep(delayMs);
  if (fault === null) return work();
  switch (fault.kind) {
    case 'cutBody':
      return { ...(await work()), delivery: 'cut' };
    case 'corruptBody':
      return withFlippedBit(await work());
    case 'wrongChecksum':
      return withWrongChecksum(await work());
  }
  if (fault.afterWork) await work();
  if (fault.kind === 'hang' || fault.kind === 'reset') return { status: 0, delivery: fault.kind };
  throw refusalOf(fault, target);
}
