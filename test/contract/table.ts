import type { Case } from './case.ts';
import { EBS_CASES } from './cases/ebs.ts';
import { LAUNCH_CASES } from './cases/ec2-instances.ts';
import { RIGHTS_CASES } from './cases/ec2-rights.ts';
import { SNAPSHOT_CASES } from './cases/ec2-snapshots.ts';
import { VOLUME_CASES } from './cases/ec2-volumes.ts';
import { IAM_CASES, STS_CASES } from './cases/identity.ts';
import { KMS_CASES } from './cases/kms.ts';
import { S3_CASES } from './cases/s3.ts';

/** What AWS does, as far as a backup service relies on it: one table for the sandbox and for real AWS. */
export const CONTRACT: readonly Case[] = [
  ...STS_CASES,
  ...IAM_CASES,
  ...KMS_CASES,
  ...S3_CASES,
  ...EBS_CASES,
  ...RIGHTS_CASES,
  ...VOLUME_CASES,
  ...SNAPSHOT_CASES,
  ...LAUNCH_CASES,
];
export const refusals = (cases: readonly Case[]) => cases.filter(({ expect }) => 'refused' in expect);
