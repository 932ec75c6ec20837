import {
  ec2Arn,
  JOB_TAGS,
  type PolicyDocument,
  policyDocument,
  requestTags,
  resourceTags,
  type Statement,
  TAG,
} from './document.ts';
import { discover, type RoleScope } from './role.ts';

const LOOK_AROUND = [
  'DescribeAvailabilityZones',
  'DescribeImages',
  'DescribeInstanceTypes',
  'DescribeKeyPairs',
  'DescribeNetworkInterfaces',
  'DescribeReplaceRootVolumeTasks',
  'DescribeSecurityGroups',
];

/** A resource in any region: `onlyHere` says which, once, because IAM takes 10,240 characters of a role's policies. */
const anywhere = (scope: RoleScope, rest: string): string => ec2Arn(scope, '*', rest);

const onlyHere = (scope: RoleScope): Statement => ({
  Sid: 'OnlyInTheseRegions',
  Effect: 'Deny',
  Action: ['ec2:*', 'ebs:*'],
  Resource: '*',
  Condition: { StringNotEquals: { 'aws:RequestedRegion': scope.awsRegions } },
});

const allow = (
  Sid: string,
  Action: string | readonly string[],
  Resource: readonly string[],
  Condition?: Statement['Condition'],
): Statement => ({ Sid, Effect: 'Allow', Action, Resource, ...(Condition ? { Condition } : {}) });

/** Where the blocks come from: written from the vault, or copied from a snapshot that never left the account. */
function newSnapshots(scope: RoleScope): Statement[] {
  const made = { StringEquals: requestTags(scope.tenantId) };
  const ours = { StringEquals: resourceTags(scope.tenantId) };
  const snapshots = [anywhere(scope, 'snapshot/*')];
  if (scope.storage === 'account')
    return [
      allow('CopyOwnSnapshot', 'ec2:CopySnapshot', snapshots, ours),
      allow('NewCopyOurs', 'ec2:CopySnapshot', snapshots, made),
    ];
  return [
    allow('StartSnapshot', 'ebs:StartSnapshot', snapshots, {
      ...made,
      NumericLessThanEquals: { 'ebs:VolumeSize': '65536' },
    }),
    allow('WriteOwnSnapshot', ['ebs:PutSnapshotBlock', 'ebs:CompleteSnapshot'], snapshots, ours),
  ];
}

/** Volumes and images from our own snapshots. Whatever becomes of them, a new volume is encrypted. */
function newVolumes(scope: RoleScope): Statement[] {
  const made = { StringEquals: requestTags(scope.tenantId) };
  const ours = { StringEquals: resourceTags(scope.tenantId) };
  const chosen = { StringEquals: { [`aws:ResourceTag/${scope.tag.key}`]: scope.tag.value } };
  const instances = [anywhere(scope, 'instance/*')];
  return [
    allow('FromOwnSnapshot', ['ec2:CreateVolume', 'ec2:RegisterImage'], [anywhere(scope, 'snapshot/*')], ours),
    allow('NewVolumeOursEncrypted', ['ec2:CreateVolume', 'ec2:RunInstances'], [anywhere(scope, 'volume/*')], {
      ...made,
      Bool: { 'ec2:Encrypted': 'true' },
    }),
    allow('NewImageOurs', 'ec2:RegisterImage', [anywhere(scope, 'image/*')], made),
    allow('AttachOurs', 'ec2:AttachVolume', [anywhere(scope, 'volume/*'), ...instances], ours),
    allow('AttachToChosenInstances', 'ec2:AttachVolume', instances, chosen),
  ];
}

/** Launching: from our own image, or a public one (a vendor's, whose licence comes with it), in the chosen VPCs only. */
function newInstances(scope: RoleScope): Statement[] {
  const ours = { StringEquals: resourceTags(scope.tenantId) };
  const network = ['subnet/*', 'security-group/*', 'network-interface/*'].map((rest) => anywhere(scope, rest));
  const vpcs = scope.vpcIds.map((vpcId) => anywhere(scope, `vpc/${vpcId}`));
  return [
    allow('RunOwnImage', 'ec2:RunInstances', [anywhere(scope, 'image/*'), anywhere(scope, 'snapshot/*')], ours),
    allow('RunPublicImage', 'ec2:RunInstances', [anywhere(scope, 'image/*')], { Bool: { 'ec2:Public': 'true' } }),
    allow(
      'RunInChosenVpc',
      'ec2:RunInstances',
      network,
      vpcs.length > 0 ? { ArnLike: { 'ec2:Vpc': vpcs } } : undefined,
    ),
    allow('RunWithKeyPair', 'ec2:RunInstances', [anywhere(scope, 'key-pair/*')]),
    allow('RunNewInstanceOurs', 'ec2:RunInstances', [anywhere(scope, 'instance/*')], {
      StringEquals: requestTags(scope.tenantId),
    }),
  ];
}

/** Swapping the volumes of instances that carry the connection's tag. The volumes taken off are kept. */
function swapVolumes(scope: RoleScope): Statement[] {
  const chosen = { StringEquals: { [`aws:ResourceTag/${scope.tag.key}`]: scope.tag.value } };
  const instances = [anywhere(scope, 'instance/*')];
  return [
    allow(
      'SwapVolumesOfChosenInstances',
      ['ec2:StopInstances', 'ec2:StartInstances', 'ec2:DetachVolume', 'ec2:CreateReplaceRootVolumeTask'],
      instances,
      chosen,
    ),
    allow('TheirVolumesOff', 'ec2:DetachVolume', [anywhere(scope, 'volume/*')]),
    allow('ReplaceRootByOurs', 'ec2:CreateReplaceRootVolumeTask', [anywhere(scope, 'volume/*')], {
      StringEquals: resourceTags(scope.tenantId),
    }),
  ];
}

function tagging(scope: RoleScope): Statement {
  const kinds = ['volume/*', 'snapshot/*', 'image/*', 'instance/*', 'network-interface/*'];
  const start = scope.storage === 'vault' ? 'StartSnapshot' : 'CopySnapshot';
  return allow(
    'TagOnlyWhileRestoring',
    'ec2:CreateTags',
    kinds.map((rest) => anywhere(scope, rest)),
    {
      StringEquals: {
        'ec2:CreateAction': ['CreateVolume', 'RegisterImage', 'RunInstances', start],
        ...requestTags(scope.tenantId),
      },
    },
  );
}

/** What is ours already may be tagged like its source; nobody else's thing can become ours. */
function tagOurs(scope: RoleScope): Statement {
  return allow('TagOurVolumesLikeTheSource', 'ec2:CreateTags', [anywhere(scope, 'volume/*')], {
    StringEquals: resourceTags(scope.tenantId),
  });
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

function keys(scope: RoleScope): Statement[] {
  if (scope.kmsKeyArns.length === 0) return [];
  return [
    allow(
      'UseNamedKeys',
      KEY_USE.map((name) => `kms:${name}`),
      scope.kmsKeyArns,
    ),
    allow('GrantNamedKeysToEbs', 'kms:CreateGrant', scope.kmsKeyArns, {
      Bool: { 'kms:GrantIsForAWSResource': 'true' },
    }),
  ];
}

/**
 * The rights of restores: new snapshots, volumes, images and instances, ours by tag, volumes always encrypted, launched
 * in the connection's VPCs. Deletes nothing. `restoreInPlace` adds stopping tagged instances and swapping their volumes.
 */
export function restorePolicy(scope: RoleScope): PolicyDocument {
  return policyDocument(
    discover(scope, LOOK_AROUND),
    ...newSnapshots(scope),
    ...newVolumes(scope),
    ...newInstances(scope),
    ...(scope.restoreInPlace ? swapVolumes(scope) : []),
    tagging(scope),
    tagOurs(scope),
    onlyHere(scope),
    ...keys(scope),
  );
}

/**
 * The rights of the clean-up role: deleting what restore jobs of this tenant made, and nothing that any other job, person
 * or tool made. A role of its own, so that a customer can leave it out and be told exactly what is left.
 */
export function cleanUpPolicy(scope: RoleScope): PolicyDocument {
  const byRestores = {
    StringEquals: resourceTags(scope.tenantId),
    StringLike: { [`aws:ResourceTag/${TAG.job}`]: JOB_TAGS.restore },
  };
  return policyDocument(
    discover(scope, ['DescribeImages']),
    allow('DeleteRestoredSnapshots', 'ec2:DeleteSnapshot', [anywhere(scope, 'snapshot/*')], byRestores),
    allow('DeleteRestoredVolumes', 'ec2:DeleteVolume', [anywhere(scope, 'volume/*')], byRestores),
    allow('DeregisterRestoredImages', 'ec2:DeregisterImage', [anywhere(scope, 'image/*')], byRestores),
    onlyHere(scope),
    allow('TerminateRestoredInstances', 'ec2:TerminateInstances', [anywhere(scope, 'instance/*')], byRestores),
  );
}
