import { ID_PREFIXES } from '../../core/ids.ts';

/** One statement of an IAM policy. */
export type Statement = {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Principal?: { AWS: string };
  Action: string | readonly string[];
  Resource?: string | readonly string[];
  NotResource?: string | readonly string[];
  Condition?: Record<string, Record<string, string | readonly string[]>>;
};

/** An IAM policy document, ready to be sent as JSON. */
export type PolicyDocument = { Version: '2012-10-17'; Statement: readonly Statement[] };

export function policyDocument(...Statement: readonly Statement[]): PolicyDocument {
  return { Version: '2012-10-17', Statement };
}

/** Tags on everything that we make in a customer's account: by them, and only by them, we find, read and delete it. */
export const TAG = { managedBy: 'managed-by', tenant: 'domicile:tenant', job: 'domicile:job' } as const;
export const MANAGED_BY = 'domicile';

/** Values of the job tag, as policies match them: what a backup made, and what a restore made. */
export const JOB_TAGS = { backup: `${ID_PREFIXES.backupJob}_*`, restore: `${ID_PREFIXES.restoreJob}_*` } as const;

/** Where a role's rights lie: the customer's account in its partition. */
export type Place = { partition: string; dnsSuffix: string; awsAccountId: string };

/** ARNs of EC2 resources. Those of snapshots and images have an empty account (service authorization reference). */
export const ec2Arn = (place: Place, awsRegion: string, rest: string): string =>
  `arn:${place.partition}:ec2:${awsRegion}:${/^(snapshot|image)\//.test(rest) ? '' : place.awsAccountId}:${rest}`;

/** Condition: what a request makes carries our tags, for this tenant. */
export const requestTags = (tenantId: string) => ({
  [`aws:RequestTag/${TAG.managedBy}`]: MANAGED_BY,
  [`aws:RequestTag/${TAG.tenant}`]: tenantId,
});
/** Condition: what a request touches carries our tags, for this tenant. */
export const resourceTags = (tenantId: string) => ({
  [`aws:ResourceTag/${TAG.managedBy}`]: MANAGED_BY,
  [`aws:ResourceTag/${TAG.tenant}`]: tenantId,
});
