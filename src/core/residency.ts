import { REGIONS } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { Fault } from './faults.ts';

/** Does this AWS region lie in the jurisdiction that `region` serves? */
export function isInJurisdiction(region: Region, awsRegion: string): boolean {
  return region.awsRegions.includes(awsRegion);
}

/**
 * Refuses an AWS region outside the jurisdiction. Called by the service before anything is written and again by the
 * AWS client as a request leaves; both must hold.
 *
 * @throws Fault `residency_violation`
 */
export function assertInJurisdiction(region: Region, awsRegion: string): void {
  if (isInJurisdiction(region, awsRegion)) return;
  const home = REGIONS.find((other) => other.awsRegions.includes(awsRegion));
  const next = home
    ? `It is served by the ${home.cell} cell: use a tenant there.`
    : 'No cell serves it; an enterprise tenant can request a region.';
  throw new Fault(
    'residency_violation',
    `${awsRegion} is outside ${region.jurisdiction.name} (${region.awsRegions.join(', ')}). ${next}`,
    { facts: { awsRegion, jurisdiction: region.jurisdiction.code, cell: region.cell } },
  );
}
