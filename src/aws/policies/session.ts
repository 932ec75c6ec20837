import {
  ec2Arn,
  type Place,
  type PolicyDocument,
  policyDocument,
  requestTags,
  resourceTags,
  type Statement,
} from './document.ts';

/**
 * Policies of single sessions. A session has the rights that the role *and* its session policy give, so each step of a job
 * asks for no more than it does. AWS takes at most 2,048 characters; none of these grows with the number of volumes.
 */
export const SESSION_POLICY_CHARACTERS_MAX = 2_048;

export type Step = Place & { awsRegion: string; tenantId: string };

/** Waiting and looking: in the step's region only. */
export const describing = (step: Step): Statement => ({
  Effect: 'Allow',
  Action: 'ec2:Describe*',
  Resource: '*',
  Condition: { StringEquals: { 'aws:RequestedRegion': step.awsRegion } },
});
export const snapshots = (step: Step, ids: readonly string[] = ['*']) =>
  ids.map((id) => ec2Arn(step, step.awsRegion, `snapshot/${id}`));
/** Tags on what is being made by `action`, and only then. */
export const tagWhile = (step: Step, action: string, resource: string): Statement => ({
  Effect: 'Allow',
  Action: 'ec2:CreateTags',
  Resource: ec2Arn(step, step.awsRegion, resource),
  Condition: { StringEquals: { 'ec2:CreateAction': action, ...requestTags(step.tenantId) } },
});

/** The named keys, else any key of the account in this region; which of those, the role's policy and the key's own say. */
export const keyUse = (step: Step, actions: readonly string[], keyArns: readonly string[]): Statement => ({
  Effect: 'Allow',
  Action: actions.map((name) => `kms:${name}`),
  Resource: keyArns.length > 0 ? keyArns : `arn:${step.partition}:kms:${step.awsRegion}:${step.awsAccountId}:key/*`,
});

/** Looking at the account: discovery, and waiting for snapshots and volumes. */
export function describeStep(step: Step): PolicyDocument {
  return policyDocument(describing(step));
}

/** Taking the snapshots of one instance. */
export function createStep(step: Step, instanceId: string): PolicyDocument {
  const tags = { StringEquals: requestTags(step.tenantId) };
  return policyDocument(
    describing(step),
    {
      Effect: 'Allow',
      Action: 'ec2:CreateSnapshots',
      Resource: [ec2Arn(step, step.awsRegion, `instance/${instanceId}`), ec2Arn(step, step.awsRegion, 'volume/*')],
    },
    { Effect: 'Allow', Action: 'ec2:CreateSnapshots', Resource: snapshots(step), Condition: tags },
    tagWhile(step, 'CreateSnapshots', 'snapshot/*'),
  );
}

/** Reading one volume: its new snapshot, and the base that it is compared with. */
export function readStep(step: Step, snapshotIds: readonly string[], kmsKeyArn: string | null): PolicyDocument {
  const actions = ['ebs:ListSnapshotBlocks', 'ebs:ListChangedBlocks', 'ebs:GetSnapshotBlock'];
  const key = kmsKeyArn === null ? [] : [keyUse(step, ['Decrypt', 'DescribeKey'], [kmsKeyArn])];
  return policyDocument({ Effect: 'Allow', Action: actions, Resource: snapshots(step, snapshotIds) }, ...key);
}

/** Deleting snapshots that carry this tenant's tag. */
export function deleteStep(step: Step): PolicyDocument {
  return policyDocument(describing(step), {
    Effect: 'Allow',
    Action: 'ec2:DeleteSnapshot',
    Resource: snapshots(step),
    Condition: { StringEquals: resourceTags(step.tenantId) },
  });
}

/** Locking the snapshots of a recovery point that stays in the account. */
export function lockStep(step: Step): PolicyDocument {
  return policyDocument(describing(step), {
    Effect: 'Allow',
    Action: 'ec2:LockSnapshot',
    Resource: snapshots(step),
    Condition: { StringEquals: resourceTags(step.tenantId) },
  });
}

/** An instance as it is: what EC2 tells of all, and the user data of this one. */
export function captureStep(step: Step, instanceId: string): PolicyDocument {
  return policyDocument(describing(step), {
    Effect: 'Allow',
    Action: 'ec2:DescribeInstanceAttribute',
    Resource: ec2Arn(step, step.awsRegion, `instance/${instanceId}`),
  });
}

/** Asking, by dry runs, what the role could do: its own policy decides, deletion and writing stay out. */
export function probeStep(step: Step): PolicyDocument {
  return policyDocument(describing(step), {
    Effect: 'Allow',
    Action: [
      'ec2:CreateSnapshots',
      'ec2:CreateTags',
      'ec2:CreateVolume',
      'ec2:RegisterImage',
      'ec2:RunInstances',
      'ec2:AttachVolume',
      'ec2:DetachVolume',
      'ec2:StopInstances',
      'ec2:StartInstances',
      'ec2:CopySnapshot',
      'kms:*',
    ],
    Resource: '*',
  });
}
