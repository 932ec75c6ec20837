import { REGIONS } from '../../../regions/index.ts';
import type { Region } from '../../../regions/types.ts';
import { Fault, isFault, type Violation } from '../../core/faults.ts';
import { assertInJurisdiction } from '../../core/residency.ts';

function outside(region: Region, awsRegion: string): Fault | null {
  try {
    assertInJurisdiction(region, awsRegion);
    return null;
  } catch (error) {
    if (isFault(error, 'residency_violation')) return error;
    throw error;
  }
}

/**
 * Refuses AWS regions outside the jurisdiction, all of them at once. Runs before anything is written or enqueued.
 *
 * @throws Fault `residency_violation`
 */
export function regionsInJurisdiction(
  region: Region,
  awsRegions: readonly string[],
  pointer: (index: number) => string,
): void {
  const refused = awsRegions.flatMap((awsRegion, index) => {
    const fault = outside(region, awsRegion);
    return fault ? [{ awsRegion, fault, violation: { pointer: pointer(index), detail: fault.message } }] : [];
  });
  const [first] = refused;
  if (!first) return;
  const homes = refused.map(({ awsRegion }) => REGIONS.find((home) => home.awsRegions.includes(awsRegion))?.cell ?? '');
  throw new Fault(
    'residency_violation',
    refused.length === 1
      ? first.fault.message
      : `${refused.length} of the AWS regions are outside ${region.jurisdiction.name}: ${refused.map((r) => r.awsRegion).join(', ')}.`,
    {
      facts: {
        awsRegions: refused.map((r) => r.awsRegion),
        jurisdiction: region.jurisdiction.code,
        cell: region.cell,
        servedBy: [...new Set(homes.filter((cell) => cell !== ''))],
      },
      violations: refused.map((r) => r.violation),
    },
  );
}

/** The AWS region in the ARN of a KMS key. */
export function regionOfKey(kmsKeyArn: string): string {
  return kmsKeyArn.split(':')[3] ?? '';
}

/**
 * A connection's KMS keys lie in the connection's own regions; a key elsewhere could never be used, and one outside the
 * jurisdiction must not be.
 *
 * @throws Fault `residency_violation`, `invalid_request`
 */
export function keysInJurisdiction(
  region: Region,
  { kmsKeyArns = [], awsRegions }: { kmsKeyArns?: readonly string[] | undefined; awsRegions: readonly string[] },
): void {
  regionsInJurisdiction(region, kmsKeyArns.map(regionOfKey), (i) => `/kmsKeyArns/${i}`);
  const violations: Violation[] = kmsKeyArns.flatMap((arn, i) =>
    awsRegions.includes(regionOfKey(arn))
      ? []
      : [{ pointer: `/kmsKeyArns/${i}`, detail: "lies in none of the connection's regions" }],
  );
  if (violations.length > 0)
    throw new Fault('invalid_request', "A KMS key lies outside the connection's regions.", { violations });
}
