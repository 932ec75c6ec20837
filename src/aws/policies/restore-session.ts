import { ec2Arn, type PolicyDocument, policyDocument, requestTags, resourceTags, type Statement } from './document.ts';
import { describing, keyUse, snapshots, type Step, tagWhile } from './session.ts';

const WRITE_KEY = [
  'DescribeKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKey',
  'Decrypt',
  'Encrypt',
  'CreateGrant',
  'ReEncrypt*',
];

/** Starting a new snapshot to write a volume into. */
export function startStep(step: Step, kmsKeyArn: string | null): PolicyDocument {
  // Without a key of ours the account may still encrypt by default, under a key that it alone knows.
  const key = keyUse(step, WRITE_KEY, kmsKeyArn === null ? [] : [kmsKeyArn]);
  return policyDocument(
    {
      Effect: 'Allow',
      Action: 'ebs:StartSnapshot',
      Resource: snapshots(step),
      Condition: { StringEquals: requestTags(step.tenantId) },
    },
    tagWhile(step, 'StartSnapshot', 'snapshot/*'),
    key,
  );
}

/** Writing that snapshot, and no other. */
export function writeStep(step: Step, snapshotId: string, kmsKeyArn: string | null): PolicyDocument {
  const key = keyUse(step, WRITE_KEY, kmsKeyArn === null ? [] : [kmsKeyArn]);
  return policyDocument(
    describing(step),
    {
      Effect: 'Allow',
      Action: ['ebs:PutSnapshotBlock', 'ebs:CompleteSnapshot'],
      Resource: snapshots(step, [snapshotId]),
    },
    key,
  );
}

/** Making a volume from that snapshot. Without a named key it is the account's default one, whose ARN we do not know. */
export function volumeStep(step: Step, snapshotId: string, kmsKeyArn: string | null): PolicyDocument {
  return policyDocument(
    describing(step),
    { Effect: 'Allow', Action: 'ec2:CreateVolume', Resource: snapshots(step, [snapshotId]) },
    {
      Effect: 'Allow',
      Action: 'ec2:CreateVolume',
      Resource: ec2Arn(step, step.awsRegion, 'volume/*'),
      Condition: { StringEquals: requestTags(step.tenantId), Bool: { 'ec2:Encrypted': 'true' } },
    },
    tagWhile(step, 'CreateVolume', 'volume/*'),
    keyUse(step, WRITE_KEY, kmsKeyArn === null ? [] : [kmsKeyArn]),
  );
}

const make = (action: string, Resource: string | readonly string[]): Statement => ({
  Effect: 'Allow',
  Action: `ec2:${action}`,
  Resource,
});
const here = (step: Step, rest: string) => ec2Arn(step, step.awsRegion, rest);

/** Copying one snapshot of ours into this region; the role's policy says under which keys. */
export function copyStep(step: Step): PolicyDocument {
  return policyDocument(
    describing(step),
    make('CopySnapshot', '*'),
    tagWhile(step, 'CopySnapshot', 'snapshot/*'),
    keyUse(step, WRITE_KEY, []),
  );
}

/** Registering an image from these snapshots; with more than fit, from any of ours, which the role's policy demands. */
export function imageStep(step: Step): PolicyDocument {
  return policyDocument(
    describing(step),
    make('RegisterImage', [here(step, 'image/*'), here(step, 'snapshot/*')]),
    tagWhile(step, 'RegisterImage', 'image/*'),
  );
}

/** Launching one instance from that image. */
export function launchStep(step: Step, imageId: string): PolicyDocument {
  const kinds = ['instance', 'volume', 'network-interface'];
  const used = ['snapshot', 'subnet', 'security-group', 'key-pair'];
  return policyDocument(
    describing(step),
    make('RunInstances', [
      here(step, `image/${imageId}`),
      ...[...kinds, ...used].map((kind) => here(step, `${kind}/*`)),
    ]),
    {
      ...make(
        'CreateTags',
        kinds.map((kind) => here(step, `${kind}/*`)),
      ),
      Condition: { StringEquals: { 'ec2:CreateAction': 'RunInstances', ...requestTags(step.tenantId) } },
    },
    keyUse(step, WRITE_KEY, []),
  );
}

/** Attaching a volume to one instance. */
export function attachStep(step: Step, instanceId: string): PolicyDocument {
  return policyDocument(
    describing(step),
    make('AttachVolume', [here(step, `instance/${instanceId}`), here(step, 'volume/*')]),
    keyUse(step, WRITE_KEY, []),
  );
}

/** Giving volumes that are ours already the other tags of their sources. */
export function tagStep(step: Step): PolicyDocument {
  return policyDocument({
    ...make('CreateTags', here(step, 'volume/*')),
    Condition: { StringEquals: resourceTags(step.tenantId) },
  });
}

/** Swapping volumes of one instance: stopping and starting it, taking volumes off and putting ours on. */
export function swapStep(step: Step, instanceId: string): PolicyDocument {
  const instance = here(step, `instance/${instanceId}`);
  const actions = ['AttachVolume', 'CreateReplaceRootVolumeTask', 'DetachVolume', 'StartInstances', 'StopInstances'];
  return policyDocument(
    describing(step),
    { Effect: 'Allow', Action: actions.map((name) => `ec2:${name}`), Resource: [instance, here(step, 'volume/*')] },
    keyUse(step, WRITE_KEY, []),
  );
}

/** Removing things that restore jobs made: with the clean-up role, whose own policy says which. */
export function cleanUpStep(step: Step): PolicyDocument {
  const actions = ['DeleteSnapshot', 'DeleteVolume', 'DeregisterImage', 'TerminateInstances'];
  return policyDocument(describing(step), {
    Effect: 'Allow',
    Action: actions.map((name) => `ec2:${name}`),
    Resource: ['snapshot/*', 'volume/*', 'image/*', 'instance/*'].map((rest) => here(step, rest)),
  });
}
