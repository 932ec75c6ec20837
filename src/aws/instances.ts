import {
  DescribeInstanceAttributeCommand,
  DescribeVolumesCommand,
  type EC2Client,
  type Instance,
  paginateDescribeInstances,
  type Tag,
  type Volume,
} from '@aws-sdk/client-ec2';
import { asking } from './faults.ts';

/** A volume of an instance, with what it takes to make it again. */
export type DiscoveredVolume = {
  volumeId: string;
  deviceName: string;
  volumeBytes: number;
  encrypted: boolean;
  kmsKeyArn: string | null;
  volumeType: string | null;
  iops: number | null;
  throughput: number | null;
  tags: Record<string, string>;
};

/** The rest of what EC2 tells of an instance, kept for restores of whole instances. */
export type InstanceConfiguration = {
  imageId?: string | undefined;
  architecture?: string | undefined;
  bootMode?: string | undefined;
  virtualizationType?: string | undefined;
  enaSupport?: boolean | undefined;
  rootDeviceName?: string | undefined;
  /** What AWS bills for: `Linux/UNIX` costs no licence. */
  platformDetails?: string | undefined;
  productCodes?: string[] | undefined;
  subnetId?: string | undefined;
  privateIpAddress?: string | undefined;
  securityGroupIds?: string[] | undefined;
  keyName?: string | undefined;
  instanceProfileArn?: string | undefined;
  metadataOptions?: { HttpTokens?: string; HttpPutResponseHopLimit?: number; HttpEndpoint?: string } | undefined;
  ebsOptimized?: boolean | undefined;
  /** Sealed under the cell's data key; null: it has none; absent: the role may not read it. */
  userData?: SealedText | null | undefined;
};

/** A text sealed with AES-256-GCM under a data key of its own, which only the worker's principal can unwrap. Base64. */
export type SealedText = { wrappedKey: string; nonce: string; sealed: string };

export type DiscoveredInstance = {
  instanceId: string;
  awsRegion: string;
  availabilityZone: string;
  vpcId: string | null;
  name: string | null;
  state: string;
  instanceType: string;
  tags: Record<string, string>;
  volumes: DiscoveredVolume[];
  configuration: InstanceConfiguration;
};

const GIB = 2 ** 30;
const VOLUMES_PER_CALL = 200;

const tagsOf = (tags: readonly Tag[] | undefined): Record<string, string> =>
  Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));

function configurationOf(instance: Instance): InstanceConfiguration {
  const { HttpTokens, HttpPutResponseHopLimit, HttpEndpoint } = instance.MetadataOptions ?? {};
  return {
    imageId: instance.ImageId,
    architecture: instance.Architecture,
    bootMode: instance.CurrentInstanceBootMode ?? instance.BootMode,
    virtualizationType: instance.VirtualizationType,
    enaSupport: instance.EnaSupport,
    rootDeviceName: instance.RootDeviceName,
    platformDetails: instance.PlatformDetails,
    productCodes: instance.ProductCodes?.flatMap((code) => code.ProductCodeId ?? []),
    subnetId: instance.SubnetId,
    privateIpAddress: instance.PrivateIpAddress,
    securityGroupIds: instance.SecurityGroups?.flatMap((group) => group.GroupId ?? []),
    keyName: instance.KeyName,
    instanceProfileArn: instance.IamInstanceProfile?.Arn,
    metadataOptions: {
      ...(HttpTokens === undefined ? {} : { HttpTokens }),
      ...(HttpPutResponseHopLimit === undefined ? {} : { HttpPutResponseHopLimit }),
      ...(HttpEndpoint === undefined ? {} : { HttpEndpoint }),
    },
    ebsOptimized: instance.EbsOptimized,
  };
}

function volumesOf(instance: Instance, details: ReadonlyMap<string, Volume>): DiscoveredVolume[] {
  return (instance.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) => {
    const volume = details.get(Ebs?.VolumeId ?? '');
    if (!volume?.VolumeId) return [];
    return {
      volumeId: volume.VolumeId,
      deviceName: DeviceName ?? '',
      volumeBytes: (volume.Size ?? 0) * GIB,
      encrypted: volume.Encrypted ?? false,
      kmsKeyArn: volume.KmsKeyId ?? null,
      volumeType: volume.VolumeType ?? null,
      iops: volume.Iops ?? null,
      throughput: volume.Throughput ?? null,
      tags: tagsOf(volume.Tags),
    };
  });
}

async function volumeDetails(ec2: EC2Client, ids: readonly string[]): Promise<Map<string, Volume>> {
  const details = new Map<string, Volume>();
  for (let from = 0; from < ids.length; from += VOLUMES_PER_CALL) {
    const { Volumes } = await ec2.send(
      new DescribeVolumesCommand({ VolumeIds: ids.slice(from, from + VOLUMES_PER_CALL) }),
    );
    for (const volume of Volumes ?? []) details.set(volume.VolumeId ?? '', volume);
  }
  return details;
}

/** Base64 of an instance's user data, or null where it has none. Start-up scripts often hold secrets: seal it at once. */
export async function userDataOf(ec2: EC2Client, awsRegion: string, instanceId: string): Promise<string | null> {
  const { UserData } = await asking(`read the user data of ${instanceId}`, awsRegion, () =>
    ec2.send(new DescribeInstanceAttributeCommand({ InstanceId: instanceId, Attribute: 'userData' })),
  );
  return UserData?.Value ?? null;
}

/**
 * Instances within a connection's limits, as EC2 knows them now. The limits are part of the request: what lies outside
 * them is never asked for.
 */
export async function listInstances(
  ec2: EC2Client,
  awsRegion: string,
  limits: { tag: { key: string; value: string }; vpcIds: readonly string[]; instanceId?: string },
): Promise<DiscoveredInstance[]> {
  const Filters = [
    { Name: `tag:${limits.tag.key}`, Values: [limits.tag.value] },
    ...(limits.vpcIds.length > 0 ? [{ Name: 'vpc-id', Values: [...limits.vpcIds] }] : []),
    ...(limits.instanceId === undefined ? [] : [{ Name: 'instance-id', Values: [limits.instanceId] }]),
  ];
  return asking(`list instances in ${awsRegion}`, awsRegion, async () => {
    const found: Instance[] = [];
    for await (const page of paginateDescribeInstances({ client: ec2, pageSize: 200 }, { Filters })) {
      found.push(...(page.Reservations ?? []).flatMap((reservation) => reservation.Instances ?? []));
    }
    const ids = found.flatMap((instance) =>
      (instance.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.VolumeId ?? []),
    );
    const details = await volumeDetails(ec2, ids);
    return found.map((instance): DiscoveredInstance => {
      const tags = tagsOf(instance.Tags);
      return {
        instanceId: instance.InstanceId ?? '',
        awsRegion,
        availabilityZone: instance.Placement?.AvailabilityZone ?? '',
        vpcId: instance.VpcId ?? null,
        name: tags['Name'] ?? null,
        state: instance.State?.Name ?? 'unknown',
        instanceType: instance.InstanceType ?? '',
        tags,
        volumes: volumesOf(instance, details),
        configuration: configurationOf(instance),
      };
    });
  });
}
