import type { Region } from '../../../regions/types.ts';
import { Fault, type Violation } from '../../core/faults.ts';
import type { RestoreTarget } from '../db/schema/jobs.ts';
import type { ConnectionRow } from './connections.ts';
import type { RecoveryPointRow } from './recovery-points.ts';
import { regionOfKey, regionsInJurisdiction } from './residency-rules.ts';

export type RestoreInput = {
  recoveryPointId: string;
  type: 'volume' | 'snapshot';
  volumeIds?: string[] | undefined;
  target: RestoreTarget;
  dryRun: boolean;
};

/**
 * The jurisdiction comes first, before any row is looked at: where a target lies says all.
 *
 * @throws Fault `residency_violation`
 */
export function requireTargetAtHome(region: Region, { awsRegion, kmsKeyArn }: RestoreTarget): void {
  const places = [
    { awsRegion, pointer: '/target/awsRegion' },
    ...(kmsKeyArn ? [{ awsRegion: regionOfKey(kmsKeyArn), pointer: '/target/kmsKeyArn' }] : []),
  ];
  regionsInJurisdiction(
    region,
    places.map((place) => place.awsRegion),
    (i) => places[i]?.pointer ?? '',
  );
}

/** @throws Fault `recovery_point_not_usable` */
export function requireRestorable(point: RecoveryPointRow): void {
  if (point.state === 'COMPLETED' || point.state === 'PARTIAL') return;
  throw new Fault('recovery_point_not_usable', `The recovery point is ${point.state}.`, {
    facts: { recoveryPointId: point.id, state: point.state },
  });
}

/** @throws Fault `restore_not_enabled`, `outside_connection_limits` */
export function requireRestoreAllowed(connection: ConnectionRow, target: RestoreTarget): void {
  if (!connection.restore)
    throw new Fault(
      'restore_not_enabled',
      'The connection was made without restore rights. Make one with restore: true.',
      {
        facts: { connectionId: connection.id },
      },
    );
  if (connection.awsRegions.includes(target.awsRegion)) return;
  throw new Fault(
    'outside_connection_limits',
    `The connection is limited to ${connection.awsRegions.join(', ')}; ${target.awsRegion} is not among them.`,
    {
      facts: { connectionId: connection.id, awsRegion: target.awsRegion, allowed: connection.awsRegions },
      violations: [{ pointer: '/target/awsRegion', detail: "is outside the connection's regions" }],
    },
  );
}

function zoneViolations(point: RecoveryPointRow, { type, target }: RestoreInput): Violation[] {
  const pointer = '/target/availabilityZone';
  const { availabilityZone: zone, awsRegion } = target;
  if (type === 'snapshot')
    return zone === undefined ? [] : [{ pointer, detail: 'is for volumes; a snapshot lies in no zone' }];
  if (zone === undefined)
    return point.awsRegion === awsRegion
      ? []
      : [{ pointer, detail: "is required: the source's zone does not lie in the target region" }];
  return zone.startsWith(awsRegion) && /^(-[a-z]+-\d+)?[a-z]$|^(-[a-z0-9]+)+[a-z]$/.test(zone.slice(awsRegion.length))
    ? []
    : [{ pointer, detail: `is no zone of ${awsRegion}` }];
}

/**
 * What the request asks of the point, all violations at once.
 *
 * @returns the target with what was left out filled in from the source
 * @throws Fault `invalid_request`, `less_encrypted_than_source`
 */
export function resolveTarget(point: RecoveryPointRow, input: RestoreInput): RestoreTarget {
  const { target, volumeIds } = input;
  const known = new Set(point.volumes.map((volume) => volume.volumeId));
  const chosen = point.volumes.filter((volume) => volumeIds === undefined || volumeIds.includes(volume.volumeId));
  const violations: Violation[] = (volumeIds ?? []).flatMap((volumeId, i) => {
    if (!known.has(volumeId)) return [{ pointer: `/volumeIds/${i}`, detail: 'is no volume of the recovery point' }];
    return volumeIds?.indexOf(volumeId) === i ? [] : [{ pointer: `/volumeIds/${i}`, detail: 'is repeated' }];
  });
  violations.push(...zoneViolations(point, input));
  if (target.kmsKeyArn && regionOfKey(target.kmsKeyArn) !== target.awsRegion)
    violations.push({ pointer: '/target/kmsKeyArn', detail: `does not lie in ${target.awsRegion}` });
  if (violations.length > 0)
    throw new Fault('invalid_request', 'The target does not fit the recovery point; see errors.', { violations });
  const sameRegion = point.awsRegion === target.awsRegion;
  if (!target.kmsKeyArn && !sameRegion && chosen.some((volume) => volume.encrypted))
    throw new Fault(
      'less_encrypted_than_source',
      `The source is encrypted with a key that does not exist in ${target.awsRegion}. Name one that does.`,
      { violations: [{ pointer: '/target/kmsKeyArn', detail: 'is required: the source is encrypted' }] },
    );
  if (input.type === 'snapshot') return target;
  return { ...target, availabilityZone: target.availabilityZone ?? point.instance.availabilityZone };
}
