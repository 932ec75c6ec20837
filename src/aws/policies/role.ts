import {
  ec2Arn,
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
};

/** Name of the role that a connection's customer makes: fixed, so that no call-back has to tell us. At most 64 characters. */
export function roleNameOf(connectionId: string): string {
  return `domicile-${connectionId.slice(-26)}`;
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

const each = (scope: RoleScope, rest: string) => scope.awsRegions.map((awsRegion) => ec2Arn(scope, awsRegion, rest));

const DISCOVER = [
  'DescribeInstances',
  'DescribeVolumes',
  'DescribeSnapshots',
  'DescribeTags',
  'DescribeVpcs',
  'DescribeSubnets',
];

function discover(scope: RoleScope, more: readonly string[] = []): Statement {
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

/**
 * The rights of a backup: snapshots of tagged instances, and reading and deleting the snapshots that carry this tenant's
 * tag, nothing else. Tags can only be set while creating, or the role could adopt the customer's own snapshots.
 */
export function backupPolicy(scope: RoleScope): PolicyDocument {
  const ours = { StringEquals: resourceTags(scope.tenantId) };
  const read = ['ebs:ListSnapshotBlocks', 'ebs:ListChangedBlocks', 'ebs:GetSnapshotBlock'];
  const keys: Statement[] =
    scope.kmsKeyArns.length === 0
      ? []
      : [
          {
            Sid: 'ReadNamedKeys',
            Effect: 'Allow',
            Action: ['kms:Decrypt', 'kms:DescribeKey'],
            Resource: scope.kmsKeyArns,
          },
        ];
  return policyDocument(
    discover(scope),
    ...takeSnapshots(scope),
    { Sid: 'ReadOwnSnapshots', Effect: 'Allow', Action: read, Resource: each(scope, 'snapshot/*'), Condition: ours },
    {
      Sid: 'DeleteOwnSnapshots',
      Effect: 'Allow',
      Action: 'ec2:DeleteSnapshot',
      Resource: each(scope, 'snapshot/*'),
      Condition: ours,
    },
    ...keys,
  );
}

function writeSnapshots(scope: RoleScope): Statement[] {
  const ours = { StringEquals: resourceTags(scope.tenantId) };
  return [
    {
      Sid: 'StartSnapshot',
      Effect: 'Allow',
      Action: 'ebs:StartSnapshot',
      Resource: each(scope, 'snapshot/*'),
      Condition: { StringEquals: requestTags(scope.tenantId), NumericLessThanEquals: { 'ebs:VolumeSize': '65536' } },
    },
    {
      Sid: 'WriteOwnSnapshot',
      Effect: 'Allow',
      Action: ['ebs:PutSnapshotBlock', 'ebs:CompleteSnapshot'],
      Resource: each(scope, 'snapshot/*'),
      Condition: ours,
    },
    {
      Sid: 'FromOwnSnapshot',
      Effect: 'Allow',
      Action: 'ec2:CreateVolume',
      Resource: each(scope, 'snapshot/*'),
      Condition: ours,
    },
    {
      Sid: 'NewVolumeOursEncrypted',
      Effect: 'Allow',
      Action: 'ec2:CreateVolume',
      Resource: each(scope, 'volume/*'),
      Condition: { StringEquals: requestTags(scope.tenantId), Bool: { 'ec2:Encrypted': 'true' } },
    },
    {
      Sid: 'TagOnlyWhileRestoring',
      Effect: 'Allow',
      Action: 'ec2:CreateTags',
      Resource: [...each(scope, 'volume/*'), ...each(scope, 'snapshot/*')],
      Condition: {
        StringEquals: { 'ec2:CreateAction': ['CreateVolume', 'StartSnapshot'], ...requestTags(scope.tenantId) },
      },
    },
  ];
}

const KEY_USE = [
  'Decrypt',
  'DescribeKey',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'ReEncryptFrom',
  'ReEncryptTo',
];

/** The rights of a restore to snapshots and volumes: new things only, ours by tag, volumes always encrypted. Deletes nothing. */
export function restorePolicy(scope: RoleScope): PolicyDocument {
  const keys: Statement[] =
    scope.kmsKeyArns.length === 0
      ? []
      : [
          {
            Sid: 'UseNamedKeys',
            Effect: 'Allow',
            Action: KEY_USE.map((name) => `kms:${name}`),
            Resource: scope.kmsKeyArns,
          },
          {
            Sid: 'GrantNamedKeysToEbs',
            Effect: 'Allow',
            Action: 'kms:CreateGrant',
            Resource: scope.kmsKeyArns,
            Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
          },
        ];
  return policyDocument(discover(scope, ['DescribeAvailabilityZones']), ...writeSnapshots(scope), ...keys);
}
