import type { Launch, LaunchDevice } from '../../../aws/launch.ts';
import type { PointVolume } from '../../db/schema/recovery-points.ts';
import { optionsOf, type RestoreContext, targetKey, tokenOf } from './context.ts';

type Place = Pick<RestoreContext, 'row' | 'point' | 'volumes'>;

/** A volume as a launch makes it: the source's type and performance where nothing else was asked for. */
export function deviceOf({ row }: Pick<Place, 'row'>, volume: PointVolume): LaunchDevice {
  const options = optionsOf(row, volume.volumeId);
  const sameType = options?.volumeType === undefined || options.volumeType === volume.volumeType;
  return {
    deviceName: volume.deviceName,
    volumeType: options?.volumeType ?? volume.volumeType,
    sizeGiB: options?.sizeGiB ?? null,
    iops: options?.iops ?? (sameType ? volume.iops : null),
    throughput: options?.throughput ?? (sameType ? volume.throughput : null),
    kmsKeyArn: targetKey(row, volume),
  };
}

/** Does the instance go back to where its source was, so that subnet, groups and key pair of the source exist there? */
export function isAtHome({ row, point }: Pick<Place, 'row' | 'point'>): boolean {
  return row.awsRegion === point.awsRegion && row.connectionId === point.connectionId;
}

/** The address that a launch asks for: a named one as it is, the source's own only where it is known to be free. */
export function wishedAddress({ row, point }: Pick<Place, 'row' | 'point'>): { address: string; must: boolean } | null {
  const { privateIpAddress: named, subnetId } = row.instanceOptions;
  if (named) return { address: named, must: true };
  const { privateIpAddress, subnetId: sourceSubnet } = point.instance.configuration;
  const sameSubnet = isAtHome({ row, point }) && (subnetId === undefined || subnetId === sourceSubnet);
  return named === null || !sameSubnet || !privateIpAddress ? null : { address: privateIpAddress, must: false };
}

/**
 * The launch of a restored instance: what was captured with the point, overridden by what the request says. Pure.
 *
 * @param given the image, the address that was found free, and the opened user data (base64)
 */
export function launchOf(
  place: Place,
  given: {
    imageId: string;
    privateIpAddress: string | null;
    userData: string | null;
    devices: readonly LaunchDevice[];
  },
): Launch {
  const { row, point } = place;
  const { instanceOptions: options, tenantId, id: jobId } = row;
  const { configuration, instanceType, tags } = point.instance;
  const here = isAtHome(place);
  const ownSubnet = options.subnetId === undefined || options.subnetId === configuration.subnetId;
  const captured = <T>(value: T | undefined): T | null => (here ? (value ?? null) : null);
  return {
    tenantId,
    jobId,
    imageId: given.imageId,
    instanceType: options.instanceType ?? instanceType,
    subnetId: options.subnetId ?? captured(configuration.subnetId),
    securityGroupIds: options.securityGroupIds ?? (here && ownSubnet ? (configuration.securityGroupIds ?? []) : []),
    privateIpAddress: given.privateIpAddress,
    keyName: options.keyName === undefined ? captured(configuration.keyName) : options.keyName,
    userData: options.userData === undefined ? given.userData : options.userData,
    requireImdsV2: options.requireImdsV2 ?? configuration.metadataOptions?.HttpTokens === 'required',
    ebsOptimized: configuration.ebsOptimized ?? false,
    devices: given.devices,
    tags: options.tags ?? tags,
    clientToken: tokenOf(row, 'instance'),
  };
}
