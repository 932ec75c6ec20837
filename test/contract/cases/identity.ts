import { DescribeInstancesCommand, DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { agrees, type Case, refuses } from '../case.ts';
import { allow, clientsOf, type Lab, policyOf } from '../lab.ts';

const ASSUME = 'STS API reference, AssumeRole';
const EXTERNAL = 'IAM guide, "Access to AWS accounts owned by third parties"';
const LOGIC = 'IAM guide, "Policy evaluation logic"';
const ELEMENTS = 'IAM guide, "IAM JSON policy elements"';
const ID = '3f2b0c1e-7d1a-4c55-9b0e-0f5a1c2d3e4f';
const NOTHING = policyOf(allow('ec2:DescribeRegions'));
const roleName = (arn: string) => arn.split('/').at(-1) ?? '';

/** A role that demands an External ID, as a customer makes it for us. */
const guarded = (lab: Lab) =>
  lab.once('guarded', async () => {
    const statement = {
      Effect: 'Allow',
      Principal: { AWS: await lab.account() },
      Action: 'sts:AssumeRole',
      Condition: { StringEquals: { 'sts:ExternalId': ID } },
    };
    const RoleArn = await lab.role(NOTHING, policyOf(statement));
    await lab.soon(() => lab.assume({ RoleArn, ExternalId: ID }));
    return RoleArn;
  });
const open = (lab: Lab) =>
  lab.once('open role', async () => {
    const RoleArn = await lab.role(policyOf(allow(['ec2:Describe*', 'sts:AssumeRole'])));
    await lab.soon(() => lab.assume({ RoleArn }));
    return RoleArn;
  });
const describeAs = async (lab: Lab, policy: string, session?: string) =>
  (await lab.as(policy, session)).ec2.send(new DescribeInstancesCommand({}));

export const STS_CASES: readonly Case[] = [
  refuses('sts-external-id-wrong', ['a wrong External ID', EXTERNAL], 'AccessDenied', async (lab) =>
    lab.assume({ RoleArn: await guarded(lab), ExternalId: 'ffffffff-ffff-4fff-8fff-ffffffffffff' }),
  ),
  refuses('sts-external-id-missing', ['no External ID where one is demanded', EXTERNAL], 'AccessDenied', async (lab) =>
    lab.assume({ RoleArn: await guarded(lab) }),
  ),
  refuses('sts-external-id-case', ['the External ID in other case', ELEMENTS], 'AccessDenied', async (lab) =>
    lab.assume({ RoleArn: await guarded(lab), ExternalId: ID.toUpperCase() }),
  ),
  agrees(
    'sts-external-id-right',
    ['the right External ID', EXTERNAL],
    async (lab) => lab.assume({ RoleArn: await guarded(lab), ExternalId: ID }),
    (answer) => answer.Credentials?.SessionToken !== undefined,
  ),
  agrees(
    'sts-external-id-unasked',
    ['an External ID that nobody asked for is ignored', EXTERNAL],
    async (lab) => lab.assume({ RoleArn: await open(lab), ExternalId: 'anything' }),
    (answer) => answer.Credentials !== undefined,
  ),
  refuses(
    'sts-trust-of-another',
    ['a trust policy that names another principal', ASSUME],
    'AccessDenied',
    async (lab) => {
      const { Role } = await lab.iam.send(new GetRoleCommand({ RoleName: roleName(await open(lab)) }));
      const trust = policyOf({ Effect: 'Allow', Principal: { AWS: Role?.Arn }, Action: 'sts:AssumeRole' });
      return lab.assume({ RoleArn: await lab.role(NOTHING, trust) });
    },
  ),
  refuses('sts-role-unknown', ['a role that does not exist', ASSUME], 'AccessDenied', async (lab) =>
    lab.assume({ RoleArn: `arn:aws:iam::${await lab.account()}:role/nobody` }),
  ),
  refuses(
    'sts-session-policy-long',
    ['a session policy over 2,048 characters', ASSUME],
    ['ValidationError', 'PackedPolicyTooLarge', 'PackedPolicyTooLargeException'],
    async (lab) =>
      lab.assume({
        RoleArn: await open(lab),
        Policy: policyOf(allow(Array.from({ length: 120 }, (_, n) => `ec2:DescribeSomething${n}`))),
      }),
  ),
  refuses('sts-duration-short', ['a session of less than 15 minutes', ASSUME], 'ValidationError', async (lab) =>
    lab.assume({ RoleArn: await open(lab), DurationSeconds: 60 }),
  ),
  refuses('sts-duration-over-role', ['a session longer than the role allows', ASSUME], 'ValidationError', async (lab) =>
    lab.assume({ RoleArn: await open(lab), DurationSeconds: 7_200 }),
  ),
  refuses(
    'sts-chained-over-hour',
    ['a chained session of more than an hour', 'IAM guide, "Role chaining"'],
    'ValidationError',
    async (lab) => {
      const session = await lab.as(policyOf(allow('sts:AssumeRole')));
      return session.sts.send(
        new AssumeRoleCommand({ RoleArn: await open(lab), RoleSessionName: 'x', DurationSeconds: 3_601 }),
      );
    },
  ),
  refuses('sts-session-name', ['a session name with a space', ASSUME], 'ValidationError', async (lab) =>
    lab.assume({ RoleArn: await open(lab), RoleSessionName: 'two words' }),
  ),
  refuses('sts-signature', ['a secret that is not the key’s', 'SigV4'], 'SignatureDoesNotMatch', async (lab) => {
    const { credentials } = await lab.worker();
    const { sts } = clientsOf(lab.place, { ...credentials, secretAccessKey: 'x'.repeat(40) });
    return sts.send(new GetCallerIdentityCommand({}));
  }),
  refuses('sts-key-unknown', ['a key that does not exist', 'SigV4'], 'InvalidClientTokenId', async (lab) => {
    const { sts } = clientsOf(lab.place, { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x'.repeat(40) });
    return sts.send(new GetCallerIdentityCommand({}));
  }),
  agrees(
    'sts-identity',
    ['a session says whose it is', 'STS API reference, GetCallerIdentity'],
    async (lab) => (await lab.as(NOTHING)).sts.send(new GetCallerIdentityCommand({})),
    (answer) => /:assumed-role\/contract-role-[^/]+\/contract$/.test(answer.Arn ?? ''),
  ),
  agrees(
    'sts-hour',
    ['a session lasts an hour by default', ASSUME],
    async (lab) => lab.assume({ RoleArn: await open(lab) }),
    (answer) => Math.abs((answer.Credentials?.Expiration?.getTime() ?? 0) - Date.now() - 3_600_000) < 120_000,
  ),
];

export const IAM_CASES: readonly Case[] = [
  refuses('iam-session-deny-all', ['a session policy that denies all', LOGIC], 'UnauthorizedOperation', (lab) =>
    describeAs(lab, policyOf(allow('*')), policyOf({ Effect: 'Deny', Action: '*', Resource: '*' })),
  ),
  refuses(
    'iam-session-silent',
    ['a session policy that does not name the action', LOGIC],
    'UnauthorizedOperation',
    (lab) => describeAs(lab, policyOf(allow('*')), policyOf(allow('ec2:DescribeVolumes'))),
  ),
  refuses(
    'iam-session-cannot-widen',
    ['a session policy that allows more than the role', LOGIC],
    'UnauthorizedOperation',
    (lab) => describeAs(lab, policyOf(allow('ec2:DescribeVolumes')), policyOf(allow('*'))),
  ),
  refuses('iam-deny-wins', ['a deny beside an allow', LOGIC], 'UnauthorizedOperation', (lab) =>
    describeAs(lab, policyOf(allow('*'), { Effect: 'Deny', Action: 'ec2:DescribeInstances', Resource: '*' })),
  ),
  refuses(
    'iam-region-condition',
    ['a region that the condition leaves out', 'IAM guide, aws:RequestedRegion'],
    'UnauthorizedOperation',
    (lab) => describeAs(lab, policyOf(allow('ec2:*', '*', { StringEquals: { 'aws:RequestedRegion': 'sa-east-1' } }))),
  ),
  refuses('iam-date-condition', ['a permission that has ended', ELEMENTS], 'UnauthorizedOperation', (lab) =>
    describeAs(lab, policyOf(allow('ec2:*', '*', { DateLessThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } }))),
  ),
  refuses(
    'iam-revoked-sessions',
    ['a session from before its revocation', 'IAM guide, "Revoking IAM role temporary security credentials"'],
    'UnauthorizedOperation',
    (lab) =>
      describeAs(
        lab,
        policyOf(allow('ec2:*'), {
          Effect: 'Deny',
          Action: '*',
          Resource: '*',
          Condition: { DateLessThan: { 'aws:TokenIssueTime': '2100-01-01T00:00:00Z' } },
        }),
      ),
  ),
  agrees(
    'iam-session-narrows',
    ['an action that role and session policy both allow', LOGIC],
    (lab) => describeAs(lab, policyOf(allow('ec2:*')), policyOf(allow('ec2:DescribeInstances'))),
    (answer) => Array.isArray(answer.Reservations),
  ),
  agrees(
    'iam-region-allowed',
    ['a region that the condition names', 'IAM guide, aws:RequestedRegion'],
    (lab) =>
      describeAs(lab, policyOf(allow('ec2:*', '*', { StringEquals: { 'aws:RequestedRegion': lab.place.awsRegion } }))),
    (answer) => answer.$metadata.httpStatusCode === 200,
  ),
  agrees(
    'iam-wildcards-any-case',
    ['actions with wildcards, in any case', ELEMENTS],
    (lab) => describeAs(lab, policyOf(allow('EC2:describe*'))),
    (answer) => answer.$metadata.httpStatusCode === 200,
  ),
  agrees(
    'iam-not-action',
    ['whatever NotAction leaves', ELEMENTS],
    (lab) => describeAs(lab, policyOf({ Effect: 'Allow', NotAction: 's3:*', Resource: '*' })),
    (answer) => answer.$metadata.httpStatusCode === 200,
  ),
  agrees(
    'iam-if-exists',
    ['an IfExists condition on a key that is not there', ELEMENTS],
    (lab) => describeAs(lab, policyOf(allow('ec2:*', '*', { StringEqualsIfExists: { 'ec2:Owner': 'nobody' } }))),
    (answer) => answer.$metadata.httpStatusCode === 200,
  ),
  agrees(
    'iam-other-action-untouched',
    ['an action beside a denied one', LOGIC],
    async (lab) =>
      (await lab.as(policyOf(allow('*'), { Effect: 'Deny', Action: 'ec2:DescribeInstances', Resource: '*' }))).ec2.send(
        new DescribeVolumesCommand({}),
      ),
    (answer) => answer.$metadata.httpStatusCode === 200,
  ),
  refuses(
    'iam-role-exists',
    ['a role whose name is taken', 'IAM API reference, CreateRole'],
    ['EntityAlreadyExists', 'EntityAlreadyExistsException'],
    async (lab) =>
      lab.iam.send(
        new CreateRoleCommand({
          RoleName: roleName(await open(lab)),
          AssumeRolePolicyDocument: policyOf({
            Effect: 'Allow',
            Principal: { AWS: await lab.account() },
            Action: 'sts:AssumeRole',
          }),
        }),
      ),
  ),
  refuses(
    'iam-role-with-policies',
    ['deleting a role that has policies', 'IAM API reference, DeleteRole'],
    ['DeleteConflict', 'DeleteConflictException'],
    async (lab) => lab.iam.send(new DeleteRoleCommand({ RoleName: roleName(await lab.role(NOTHING)) })),
  ),
  refuses(
    'iam-policy-malformed',
    ['a policy without an effect', 'IAM API reference, PutRolePolicy'],
    ['MalformedPolicyDocument', 'MalformedPolicyDocumentException'],
    async (lab) =>
      lab.iam.send(
        new PutRolePolicyCommand({
          RoleName: roleName(await open(lab)),
          PolicyName: 'bad',
          PolicyDocument: policyOf({ Action: 'ec2:*', Resource: '*' }),
        }),
      ),
  ),
  refuses(
    'iam-policy-long',
    ['inline policies over 10,240 characters', 'IAM guide, quotas'],
    ['LimitExceeded', 'LimitExceededException'],
    async (lab) =>
      lab.iam.send(
        new PutRolePolicyCommand({
          RoleName: roleName(await open(lab)),
          PolicyName: 'long',
          PolicyDocument: policyOf(allow(Array.from({ length: 600 }, (_, n) => `ec2:DescribeSomething${n}`))),
        }),
      ),
  ),
  refuses(
    'iam-trust-unknown-principal',
    ['a trust policy that names a role that does not exist', 'IAM guide, "Principal"'],
    ['MalformedPolicyDocument', 'MalformedPolicyDocumentException'],
    async (lab) =>
      lab.iam.send(
        new UpdateAssumeRolePolicyCommand({
          RoleName: roleName(await open(lab)),
          PolicyDocument: policyOf({
            Effect: 'Allow',
            Principal: { AWS: `arn:aws:iam::${await lab.account()}:role/nobody` },
            Action: 'sts:AssumeRole',
          }),
        }),
      ),
  ),
  refuses(
    'iam-role-unknown',
    ['reading a role that does not exist', 'IAM API reference, GetRole'],
    ['NoSuchEntity', 'NoSuchEntityException'],
    (lab) => lab.iam.send(new GetRoleCommand({ RoleName: 'nobody-of-that-name' })),
  ),
  agrees(
    'iam-policy-read-back',
    ['a policy comes back as it was put, percent-encoded', 'IAM API reference, GetRolePolicy'],
    async (lab) =>
      lab.iam.send(new GetRolePolicyCommand({ RoleName: roleName(await lab.role(NOTHING)), PolicyName: 'p' })),
    (answer) => decodeURIComponent(answer.PolicyDocument ?? '') === NOTHING,
  ),
];
