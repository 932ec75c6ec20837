import type { BlockMap } from '../blocks/block-store.ts';

export type Tags = Record<string, string>;

/** What every resource has: where it lives and whose it is. */
type Owned = { accountId: string; awsRegion: string; tags: Tags };

export type Volume = Owned & {
  id: string;
  sizeGiB: number;
  availabilityZone: string;
  state: 'available' | 'in-use';
  encrypted: boolean;
  kmsKeyArn: string | null;
  volumeType: string;
  iops: number | null;
  throughput: number | null;
  snapshotId: string | null;
  /** Snapshots of the same lineage can be compared: those of one volume, and of volumes made from them. */
  lineage: string;
  createdAt: string;
  blocks: BlockMap;
};

export type Snapshot = Owned & {
  id: string;
  volumeId: string;
  sizeGiB: number;
  state: 'pending' | 'completed' | 'error';
  stateMessage: string | null;
  description: string;
  encrypted: boolean;
  kmsKeyArn: string | null;
  lineage: string;
  startedAt: string;
  /** When a snapshot that EC2 makes is complete; null while it is written through the EBS direct APIs. */
  completesAt: string | null;
  /** For a snapshot made by StartSnapshot: how long it may stay idle, the request that made it, the blocks put since. */
  written: {
    idleMs: number;
    lastWriteAt: string;
    clientToken: string | null;
    request: string;
    indexes: Set<number>;
  } | null;
  /** What AWS bills for: noted when a root volume is snapshotted, and never known of a snapshot that was written. */
  billing?: Billing | undefined;
  lock?: SnapshotLock;
  blocks: BlockMap;
};

/** A lock as it was asked for: either a duration, which begins when the snapshot is complete, or an end. */
export type SnapshotLock = {
  mode: 'governance' | 'compliance';
  lockedAt: string;
  durationDays: number | null;
  expirationDate: string | null;
  coolOffHours: number | null;
};

/** A platform with its own price, and the Marketplace products of an instance or image. */
export type Billing = { platformDetails: string; productCodes: string[] };

export type Attachment = { deviceName: string; volumeId: string; deleteOnTermination: boolean; attachedAt: string };

export type Instance = Owned & {
  id: string;
  imageId: string;
  instanceType: string;
  state: InstanceState;
  /** The state that it is on its way to, and when it gets there. */
  transition: { to: InstanceState; at: string } | null;
  availabilityZone: string;
  vpcId: string;
  subnetId: string;
  privateIp: string;
  keyName: string | null;
  securityGroupIds: string[];
  rootDeviceName: string;
  attachments: Attachment[];
  launchedAt: string;
  networkInterfaceId: string;
  networkInterfaceTags: Tags;
  architecture: string;
  bootMode: string | null;
  billing: Billing;
  /** Base64, as it came. */
  userData: string;
  metadataOptions: { httpTokens: string; httpPutResponseHopLimit: number; httpEndpoint: string };
  instanceProfileArn: string | null;
  ebsOptimized: boolean;
};

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

/** What an image says of one device; without a snapshot the volume begins empty. */
export type ImageDevice = {
  deviceName: string;
  snapshotId: string | null;
  sizeGiB: number | null;
  volumeType: string | null;
  iops: number | null;
  throughput: number | null;
  deleteOnTermination: boolean;
};

export type Image = Owned & {
  id: string;
  name: string;
  description: string;
  architecture: string;
  virtualizationType: string;
  rootDeviceName: string;
  enaSupport: boolean;
  bootMode: string | null;
  imdsSupport: string | null;
  tpmSupport: string | null;
  billing: Billing;
  isPublic: boolean;
  /** `amazon`, `aws-marketplace`, or null for an account's own. */
  ownerAlias: string | null;
  createdAt: string;
  devices: ImageDevice[];
};

export type KeyPair = Owned & { id: string; name: string; fingerprint: string };

/** A root volume on its way to be replaced. */
export type RootTask = Owned & { id: string; instanceId: string; startedAt: string; completesAt: string };

/** Names AWS's resources as AWS does: a prefix and 17 hexadecimal digits. */
export function awsId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `${prefix}-0${Buffer.from(bytes).toString('hex').slice(0, 16)}`;
}

export const partitionOf = (awsRegion: string): string => (awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws');

/** ARNs as IAM sees them: those of snapshots and images have no account. Source: service authorization reference. */
export function arnOf(
  kind: 'instance' | 'volume' | 'key-pair',
  awsRegion: string,
  accountId: string,
  id: string,
): string {
  return `arn:${partitionOf(awsRegion)}:ec2:${awsRegion}:${accountId}:${kind}/${id}`;
}
export const imageArn = (awsRegion: string, id: string): string =>
  `arn:${partitionOf(awsRegion)}:ec2:${awsRegion}::image/${id}`;
export const snapshotArn = (awsRegion: string, id: string): string =>
  `arn:${partitionOf(awsRegion)}:ec2:${awsRegion}::snapshot/${id}`;

/** Condition keys for the tags a resource has, and for those that a request brings. */
export const resourceTagKeys = (tags: Tags): Record<string, string> =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:ResourceTag/${key}`, value]));
export const requestTagKeys = (tags: Tags): Record<string, string | string[]> => ({
  ...Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, value])),
  ...(Object.keys(tags).length > 0 ? { 'aws:TagKeys': Object.keys(tags) } : {}),
});

/** Deterministic network of an account and region: one VPC, a subnet for each of three zones, one security group. */
export function networkOf(accountId: string, awsRegion: string) {
  const seed = Buffer.from(`${accountId}${awsRegion}`)
    .reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7)
    .toString(16)
    .padStart(8, '0');
  const zones = ['a', 'b', 'c'].map((letter) => `${awsRegion}${letter}`);
  return {
    vpcId: `vpc-0${seed}${seed}`,
    securityGroupId: `sg-0${seed}${seed}`,
    zones,
    subnets: zones.map((zone, i) => ({
      subnetId: `subnet-0${seed}${i}${seed.slice(1)}`,
      zone,
      cidr: `172.31.${16 * i}.0/20`,
    })),
  };
}
