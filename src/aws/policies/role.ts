import {
  ec2Arn,
  JOB_TAGS,
  type Place,
  type PolicyDocument,
  policyDocument,
  requestTags,
  resourceTags,
  type Statement,
  TAG,
} from './document.ts';

/** What a connection says, as far as its role's policies depend on it. */
export type RoleScope = Place & {
  tenantId: string;
  awsRegions: readonly string[];
  tag: { key: string; value: string };
  vpcIds: readonly string[];
  kmsKeyArns: readonly string[];
  /** `account`: recovery points stay EBS snapshots of the account, and no right to read their blocks is asked for. */
  storage: 'vault' | 'account';
  /** Also swap the volumes of the instances that are backed up. */
  restoreInPlace: boolean;
};

/** Name of the role that a connection's customer makes: fixed, so that no call-back has to tell us. At most 64 characters. */
export function roleNameOf(connectionId: string): string {
  return `domicile-${connectionId.slice(-26)}`;
}

/** Name of the role that removes what restores leave behind. */
export function cleanUpRoleNameOf(roleName: string): string {
  return `${roleName}-cleanup`;
}

export function roleArn(place: Place, roleName: string): string {
  return `arn:${place.partition}:iam::${place.awsAccountId}:role/${roleName}`;
}

/**
 * Who may assume the role, and how. It trusts our account's root narrowed by `aws:PrincipalArn`: naming the role itself
 * would bind to its internal id, and making our role anew would break every customer's trust.
 */
export function trustPolicy(options: { connectorRoleArn: string; externalId: string }): PolicyDocument {
  const root = options.connectorRoleArn.replace(/:role\/.*$/, ':root');
  return policyDocument({
    Sid: 'CellConnectorWithExternalId',
    Effect: 'Allow',
    Principal: { AWS: root },
    Action: 'sts:AssumeRole',
    Condition: {
      StringEquals: { 'sts:ExternalId': options.externalId },
      ArnEquals: { 'aws:PrincipalArn': options.connectorRoleArn },
    },
  });
}

/** A resource in every region of the connection. */
const each = (scope: RoleScope, rest: string): string[] =>
  scope.awsRegions.map((awsRegion) => ec2Arn(scope, awsRegion, rest));

const DISCOVER = [
  'DescribeInstances',
  'DescribeVolumes',
  'DescribeSnapshots',
  'DescribeTags',
  'DescribeVpcs',
  'DescribeSubnets',
];

/** Looking around: EC2 cannot limit these to tags or VPCs, only to regions (service authorization reference). */
export function discover(scope: RoleScope, more: readonly string[] = []): Statement {
  return {
    Sid: 'Discover',
    Effect: 'Allow',
    Action: [...DISCOVER, ...more].map((name) => `ec2:${name}`),
    Resource: '*',
    Condition: { StringEquals: { 'aws:RequestedRegion': scope.awsRegions } },
  };
}

const OUR_TAG_KEYS = [TAG.managedBy, TAG.tenant, TAG.job];

function takeSnapshots(scope: RoleScope): Statement[] {
  const newTags = {
    StringEquals: requestTags(scope.tenantId),
    'ForAllValues:StringEquals': { 'aws:TagKeys': OUR_TAG_KEYS },
  };
  const { key, value } = scope.tag;
  return [
    {
      Sid: 'SnapChosenInstances',
      Effect: 'Allow',
      Action: 'ec2:CreateSnapshots',
      Resource: each(scope, 'instance/*'),
      Condition: { StringEquals: { [`aws:ResourceTag/${key}`]: value } },
    },
    { Sid: 'TheirVolumes', Effect: 'Allow', Action: 'ec2:CreateSnapshots', Resource: each(scope, 'volume/*') },
    {
      Sid: 'NewSnapshotsAreOurs',
      Effect: 'Allow',
      Action: 'ec2:CreateSnapshots',
      Resource: each(scope, 'snapshot/*'),
      Condition: newTags,
    },
    {
      Sid: 'TagOnlyWhileCreating',
      Effect: 'Allow',
      Action: 'ec2:CreateTags',
      Resource: each(scope, 'snapshot/*'),
      Condition: { ...newTags, StringEquals: { 'ec2:CreateAction': 'CreateSnapshots', ...newTags.StringEquals } },
    },
  ];
}

/** Reading the blocks of our own snapshots, and the named keys that this takes: what `account` storage does without. */
function readBlocks(scope: RoleScope, ours: Statement['Condition'] & object): Statement[] {
  const read = ['ebs:ListSnapshotBlocks', 'ebs:ListChangedBlocks', 'ebs:GetSnapshotBlock'];
  const keys: Statement[] = [
    { Sid: 'ReadNamedKeys', Effect: 'Allow', Action: ['kms:Decrypt', 'kms:DescribeKey'], Resource: scope.kmsKeyArns },
  ];
  return [
    { Sid: 'ReadOwnSnapshots', Effect: 'Allow', Action: read, Resource: each(scope, 'snapshot/*'), Condition: ours },
    ...(scope.kmsKeyArns.length === 0 ? [] : keys),
  ];
}

/**
 * The rights of a backup: snapshots of tagged instances, and reading and deleting the snapshots that its jobs made for
 * this tenant, nothing else. Tags can only be set while creating, or the role could adopt the customer's own snapshots.
 * With `account` storage there is no `ebs:` right at all: IAM, not our word, stops extraction.
 */
export function backupPolicy(scope: RoleScope): PolicyDocument {
  const ours = { StringEquals: resourceTags(scope.tenantId) };
  const byBackups = { ...ours, StringLike: { [`aws:ResourceTag/${TAG.job}`]: JOB_TAGS.backup } };
  const { key, value } = scope.tag;
  return policyDocument(
    discover(scope),
    {
      Sid: 'ConfigurationOfChosenInstances',
      Effect: 'Allow',
      Action: 'ec2:DescribeInstanceAttribute',
      Resource: each(scope, 'instance/*'),
      Condition: { StringEquals: { [`aws:ResourceTag/${key}`]: value } },
    },
    ...takeSnapshots(scope),
    ...(scope.storage === 'vault' ? readBlocks(scope, ours) : []),
    {
      Sid: scope.storage === 'vault' ? 'DeleteOwnSnapshots' : 'LockAndDeleteOwnSnapshots',
      Effect: 'Allow',
      Action: scope.storage === 'vault' ? 'ec2:DeleteSnapshot' : ['ec2:DeleteSnapshot', 'ec2:LockSnapshot'],
      Resource: each(scope, 'snapshot/*'),
      Condition: byBackups,
    },
  );
}
