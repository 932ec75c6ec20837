import type { Region } from '../../../regions/types.ts';
import { Fault, type Violation } from '../../core/faults.ts';
import type { InstanceOptions, RestoreTarget, VolumeOptions } from '../db/schema/jobs.ts';
import type { ConnectionRow } from './connections.ts';
import type { RecoveryPointRow } from './recovery-points.ts';
import { regionOfKey, regionsInJurisdiction } from './residency-rules.ts';

export type RestoreInput = {
  recoveryPointId: string;
  type: 'snapshot' | 'volume' | 'instance';
  mode: 'new' | 'inPlace';
  volumeIds?: string[] | undefined;
  target: RestoreTarget;
  volumes?: VolumeOptions[] | undefined;
  instance?: InstanceOptions | undefined;
  dryRun: boolean;
};

/**
 * The jurisdiction comes first, before any row is looked at: where a target lies says all.
 *
 * @throws Fault `residency_violation`
 */
export function requireTargetAtHome(region: Region, { target, volumes }: RestoreInput): void {
  const keys = [
    { kmsKeyArn: target.kmsKeyArn, pointer: '/target/kmsKeyArn' },
    ...(volumes ?? []).map(({ kmsKeyArn }, i) => ({ kmsKeyArn, pointer: `/volumes/${i}/kmsKeyArn` })),
  ];
  const places = [
    { awsRegion: target.awsRegion, pointer: '/target/awsRegion' },
    ...keys.flatMap(({ kmsKeyArn, pointer }) => (kmsKeyArn ? [{ awsRegion: regionOfKey(kmsKeyArn), pointer }] : [])),
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
export function requireRestoreAllowed(
  connection: ConnectionRow,
  { target, mode }: RestoreInput,
  point: RecoveryPointRow,
): void {
  const lacking = !connection.restore
    ? 'restore'
    : mode === 'inPlace' && !connection.restoreInPlace
      ? 'restoreInPlace'
      : null;
  if (lacking !== null)
    throw new Fault(
      'restore_not_enabled',
      `The connection was made without the rights for this. Make one with ${lacking}: true.`,
      { facts: { connectionId: connection.id, lacking } },
    );
  if (connection.storage === 'account' && point.storage === 'vault')
    throw new Fault(
      'restore_not_enabled',
      'The role of this connection may not write blocks (account storage). Restore into a connection with vault storage.',
      { facts: { connectionId: connection.id, lacking: 'ebs:StartSnapshot' } },
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
  if (type === 'instance')
    return zone === undefined
      ? []
      : [{ pointer, detail: 'is for volumes; an instance lies in the zone of its subnet' }];
  if (zone === undefined)
    return point.awsRegion === awsRegion
      ? []
      : [{ pointer, detail: "is required: the source's zone does not lie in the target region" }];
  return zone.startsWith(awsRegion) && /^(-[a-z]+-\d+)?[a-z]$|^(-[a-z0-9]+)+[a-z]$/.test(zone.slice(awsRegion.length))
    ? []
    : [{ pointer, detail: `is no zone of ${awsRegion}` }];
}

/** The volume that an instance boots from, as the point has it. */
export function rootVolumeOf(point: Pick<RecoveryPointRow, 'instance' | 'volumes'>) {
  const { rootDeviceName } = point.instance.configuration;
  return point.volumes.find(({ deviceName }) => deviceName === rootDeviceName);
}

/** Volumes that are named: each must be in the point, and named once. */
function volumeViolations(point: RecoveryPointRow, { type, mode, volumeIds, volumes }: RestoreInput): Violation[] {
  const known = new Set(point.volumes.map(({ volumeId }) => volumeId));
  const named = [
    ...(volumeIds ?? []).map((id, i) => ({ id, list: volumeIds ?? [], at: i, pointer: `/volumeIds/${i}` })),
    ...(volumes ?? []).map(({ sourceVolumeId }, i) => ({
      id: sourceVolumeId,
      list: (volumes ?? []).map((one) => one.sourceVolumeId),
      at: i,
      pointer: `/volumes/${i}/sourceVolumeId`,
    })),
  ];
  const found = named.flatMap(({ id, list, at, pointer }): Violation[] => {
    if (!known.has(id)) return [{ pointer, detail: 'is no volume of the recovery point' }];
    return list.indexOf(id) === at ? [] : [{ pointer, detail: 'is repeated' }];
  });
  const root = rootVolumeOf(point);
  if (type === 'instance' && !root)
    found.push({ pointer: '/recoveryPointId', detail: 'has no root volume: restore its volumes instead' });
  else if (type === 'instance' && volumeIds && !volumeIds.includes(root?.volumeId ?? ''))
    found.push({ pointer: '/volumeIds', detail: `must include the root volume ${root?.volumeId ?? ''}` });
  for (const [i, { attach }] of (volumes ?? []).entries())
    if (attach && (type !== 'volume' || mode === 'inPlace'))
      found.push({ pointer: `/volumes/${i}/attach`, detail: 'is for type volume, mode new' });
  return found;
}

/** A restored volume is never smaller than its source, and no option contradicts another. */
function optionViolations(point: RecoveryPointRow, { type, volumes, target }: RestoreInput): Violation[] {
  return (volumes ?? []).flatMap((options, i): Violation[] => {
    const source = point.volumes.find(({ volumeId }) => volumeId === options.sourceVolumeId);
    const sourceGiB = Math.ceil((source?.volumeBytes ?? 0) / 2 ** 30);
    const volumeType = options.volumeType ?? source?.volumeType ?? 'gp3';
    const at = (field: string, detail: string) => ({ pointer: `/volumes/${i}/${field}`, detail });
    return [
      ...(options.sizeGiB !== undefined && options.sizeGiB < sourceGiB
        ? [at('sizeGiB', `is less than the source has (${sourceGiB} GiB)`)]
        : []),
      ...(options.iops !== undefined && !['gp3', 'io1', 'io2'].includes(volumeType)
        ? [at('iops', `cannot be chosen for ${volumeType}`)]
        : []),
      ...(options.throughput !== undefined && volumeType !== 'gp3'
        ? [at('throughput', `cannot be chosen for ${volumeType}`)]
        : []),
      ...(options.kmsKeyArn !== undefined && regionOfKey(options.kmsKeyArn) !== target.awsRegion
        ? [at('kmsKeyArn', `does not lie in ${target.awsRegion}`)]
        : []),
      ...(type === 'snapshot' && Object.keys(options).some((name) => !['sourceVolumeId', 'kmsKeyArn'].includes(name))
        ? [at('sourceVolumeId', 'has options that a snapshot does not take')]
        : []),
    ];
  });
}

/** What fits an instance, and what a place other than the source's needs to be told. */
function instanceViolations(point: RecoveryPointRow, { type, mode, instance, target }: RestoreInput): Violation[] {
  if (type !== 'instance' || mode === 'inPlace')
    return instance === undefined ? [] : [{ pointer: '/instance', detail: 'is for type instance, mode new' }];
  const elsewhere = target.awsRegion !== point.awsRegion || target.connectionId !== point.connectionId;
  return elsewhere && instance?.subnetId === undefined
    ? [{ pointer: '/instance/subnetId', detail: "is required: the source's subnet does not exist in the target" }]
    : [];
}

/** In place means on the source instance; and what stays in an account is restored in that account. */
function placeViolations(point: RecoveryPointRow, { type, mode, target }: RestoreInput): Violation[] {
  const found: Violation[] = [];
  const here = target.connectionId === point.connectionId;
  if (mode === 'inPlace' && type === 'snapshot') found.push({ pointer: '/mode', detail: 'a snapshot has no place' });
  if (mode === 'inPlace' && !here)
    found.push({ pointer: '/target/connectionId', detail: 'must be the connection of the recovery point: in place' });
  if (mode === 'inPlace' && target.awsRegion !== point.awsRegion)
    found.push({ pointer: '/target/awsRegion', detail: `must be ${point.awsRegion}: in place` });
  if (point.storage === 'account' && !here)
    found.push({
      pointer: '/target/connectionId',
      detail: 'must be the connection of the recovery point: its snapshots never leave the account',
    });
  return found;
}

/** Windows, RHEL, SUSE, Marketplace: what AWS bills for is lost when an image is registered from written snapshots. */
export function licenceOf(point: Pick<RecoveryPointRow, 'instance'>): string | null {
  const { platformDetails, productCodes } = point.instance.configuration;
  if (platformDetails !== undefined && platformDetails !== 'Linux/UNIX') return platformDetails;
  return productCodes && productCodes.length > 0 ? `Marketplace product ${productCodes.join(', ')}` : null;
}

function requireLicence(point: RecoveryPointRow, { type, mode, instance, dryRun }: RestoreInput): void {
  const licence = licenceOf(point);
  if (type !== 'instance' || mode === 'inPlace' || dryRun || licence === null || instance?.vendorImageId) return;
  throw new Fault(
    'licence_not_portable',
    `The instance runs under a licence that AWS bills (${licence}), which an image of restored snapshots does not have. Name instance.vendorImageId, an image of the same platform: it is launched and its root volume replaced. Or restore in place, or only the volumes.`,
    { facts: { licence }, violations: [{ pointer: '/instance/vendorImageId', detail: `is required: ${licence}` }] },
  );
}

/**
 * What the request asks of the point, all violations at once.
 *
 * @returns the target with what was left out filled in from the source
 * @throws Fault `invalid_request`, `licence_not_portable`, `less_encrypted_than_source`
 */
export function resolveTarget(point: RecoveryPointRow, input: RestoreInput): RestoreTarget {
  const { target, volumeIds, volumes } = input;
  const violations = [
    ...volumeViolations(point, input),
    ...optionViolations(point, input),
    ...instanceViolations(point, input),
    ...placeViolations(point, input),
    ...(input.mode === 'new' ? zoneViolations(point, input) : []),
  ];
  if (target.kmsKeyArn && regionOfKey(target.kmsKeyArn) !== target.awsRegion)
    violations.push({ pointer: '/target/kmsKeyArn', detail: `does not lie in ${target.awsRegion}` });
  if (violations.length > 0)
    throw new Fault('invalid_request', 'The target does not fit the recovery point; see errors.', { violations });
  requireLicence(point, input);
  const chosen = point.volumes.filter((volume) => volumeIds === undefined || volumeIds.includes(volume.volumeId));
  const keyIsThere = point.awsRegion === target.awsRegion && point.connectionId === target.connectionId;
  const keyed = new Set((volumes ?? []).filter((one) => one.kmsKeyArn).map((one) => one.sourceVolumeId));
  if (!target.kmsKeyArn && !keyIsThere && chosen.some((volume) => volume.encrypted && !keyed.has(volume.volumeId)))
    throw new Fault(
      'less_encrypted_than_source',
      'The source is encrypted with a key that the target does not have. Name one that it has.',
      { violations: [{ pointer: '/target/kmsKeyArn', detail: 'is required: the source is encrypted' }] },
    );
  if (input.type !== 'volume') return target;
  return { ...target, availabilityZone: target.availabilityZone ?? point.instance.availabilityZone };
}
