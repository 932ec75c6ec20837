import { DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import {
  AttachRolePolicyCommand,
  CreateAccessKeyCommand,
  CreatePolicyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeletePolicyCommand,
  DeleteRoleCommand,
  DeleteRolePermissionsBoundaryCommand,
  DeleteRolePolicyCommand,
  DeleteUserCommand,
  DeleteUserPolicyCommand,
  DetachRolePolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetUserCommand,
  ListAttachedRolePoliciesCommand,
  ListPoliciesCommand,
  ListRoleTagsCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateRoleCommand,
} from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { ACCOUNT, allow, type Aws, clientsOf, openAws, policyOf } from './world.ts';
import { errorOf } from './support.ts';

const ECS = policyOf({ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' });
const ROLE = { RoleName: 'worker' };
const EVERYTHING = 'arn:aws:iam::aws:policy/AdministratorAccess';
const look = new DescribeVolumesCommand({});

/** An account with a role `worker`, and what that role may do at the moment. */
async function world() {
  const aws = await openAws();
  await aws.iam.send(new CreateRoleCommand({ ...ROLE, AssumeRolePolicyDocument: ECS }));
  const task = async () => {
    const response = await fetch(aws.control.taskCredentialsUri(ACCOUNT, 'worker'), {
      headers: { authorization: aws.sandbox.adminToken },
    });
    const { AccessKeyId, SecretAccessKey, Token } = (await response.json()) as Record<string, string>;
    return clientsOf(aws.endpoint, {
      accessKeyId: AccessKeyId ?? '',
      secretAccessKey: SecretAccessKey ?? '',
      sessionToken: Token ?? '',
    });
  };
  return { ...aws, task };
}

async function makePolicy({ iam }: Pick<Aws, 'iam'>, PolicyName: string, ...statements: object[]): Promise<string> {
  const made = await iam.send(new CreatePolicyCommand({ PolicyName, PolicyDocument: policyOf(...statements) }));
  return made.Policy?.Arn ?? '';
}

test('a managed policy gives what it allows while it is attached', async () => {
  const aws = await world();
  const PolicyArn = await makePolicy(aws, 'look', allow('ec2:Describe*'));
  const { ec2 } = await aws.task();
  expect(await errorOf(ec2.send(look))).toBe('UnauthorizedOperation');
  await aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn }));
  expect(await errorOf(ec2.send(look))).toBeNull();
  const { AttachedPolicies } = await aws.iam.send(new ListAttachedRolePoliciesCommand(ROLE));
  expect(AttachedPolicies).toEqual([{ PolicyName: 'look', PolicyArn }]);
  expect((await aws.iam.send(new GetPolicyCommand({ PolicyArn }))).Policy?.AttachmentCount).toBe(1);
  await aws.iam.send(new DetachRolePolicyCommand({ ...ROLE, PolicyArn }));
  expect(await errorOf(ec2.send(look))).toBe('UnauthorizedOperation');
  expect(await errorOf(aws.iam.send(new DetachRolePolicyCommand({ ...ROLE, PolicyArn })))).toMatch(/^NoSuchEntity/);
});

test("a managed policy shows its document, and AWS's own can be attached", async () => {
  const aws = await world();
  const PolicyArn = await makePolicy(aws, 'look', allow('ec2:Describe*'));
  const { PolicyVersion } = await aws.iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId: 'v1' }));
  expect(JSON.parse(decodeURIComponent(PolicyVersion?.Document ?? ''))).toMatchObject({ Version: '2012-10-17' });
  expect((await aws.iam.send(new ListPoliciesCommand({ Scope: 'Local' }))).Policies).toHaveLength(1);
  await aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn: EVERYTHING }));
  expect(await errorOf((await aws.task()).ec2.send(look))).toBeNull();
  const unknown = `arn:aws:iam::${ACCOUNT}:policy/none`;
  expect(await errorOf(aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn: unknown })))).toMatch(
    /^NoSuchEntity/,
  );
});

test('a role takes ten managed policies', async () => {
  const aws = await world();
  const attach = async (n: number) => {
    const PolicyArn = await makePolicy(aws, `p${n}`, allow('ec2:Describe*'));
    return errorOf(aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn })));
  };
  for (let n = 0; n < 10; n += 1) expect(await attach(n)).toBeNull();
  expect(await attach(10)).toMatch(/^LimitExceeded/);
});

test('nothing is deleted that still has policies, or is still in use', async () => {
  const aws = await world();
  const { iam } = aws;
  const PolicyArn = await makePolicy(aws, 'look', allow('ec2:Describe*'));
  const remove = () => errorOf(iam.send(new DeleteRoleCommand(ROLE)));
  await iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn }));
  expect(await remove()).toMatch(/^DeleteConflict/);
  expect(await errorOf(iam.send(new DeletePolicyCommand({ PolicyArn })))).toMatch(/^DeleteConflict/);
  await iam.send(new DetachRolePolicyCommand({ ...ROLE, PolicyArn }));
  const inline = { ...ROLE, PolicyName: 'inline' };
  await iam.send(new PutRolePolicyCommand({ ...inline, PolicyDocument: policyOf(allow('ec2:*')) }));
  expect(await remove()).toMatch(/^DeleteConflict/);
  await iam.send(new DeleteRolePolicyCommand(inline));
  await iam.send(new PutRolePermissionsBoundaryCommand({ ...ROLE, PermissionsBoundary: PolicyArn }));
  expect(await errorOf(iam.send(new DeletePolicyCommand({ PolicyArn })))).toMatch(/^DeleteConflict/);
  expect(await remove()).toBeNull();
  expect(await errorOf(iam.send(new DeletePolicyCommand({ PolicyArn })))).toBeNull();
  expect(await errorOf(iam.send(new GetRoleCommand(ROLE)))).toMatch(/^NoSuchEntity/);
  await iam.send(new CreateUserCommand({ UserName: 'eve' }));
  const policy = { UserName: 'eve', PolicyName: 'p' };
  await iam.send(new PutUserPolicyCommand({ ...policy, PolicyDocument: policyOf(allow('ec2:*')) }));
  expect(await errorOf(iam.send(new DeleteUserCommand({ UserName: 'eve' })))).toMatch(/^DeleteConflict/);
  await iam.send(new DeleteUserPolicyCommand(policy));
  expect(await errorOf(iam.send(new DeleteUserCommand({ UserName: 'eve' })))).toBeNull();
});

test('a permissions boundary cuts what the role may do, until it is taken away', async () => {
  const aws = await world();
  const PermissionsBoundary = await makePolicy(aws, 'only-s3', allow('s3:*'));
  await aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn: EVERYTHING }));
  await aws.iam.send(new PutRolePermissionsBoundaryCommand({ ...ROLE, PermissionsBoundary }));
  const { Role } = await aws.iam.send(new GetRoleCommand(ROLE));
  expect(Role?.PermissionsBoundary?.PermissionsBoundaryArn).toBe(PermissionsBoundary);
  const { ec2 } = await aws.task();
  const refused = await ec2.send(look).catch((error: unknown) => String(error));
  expect(refused).toMatch(/no permissions boundary allows the ec2:DescribeVolumes action/);
  await aws.iam.send(new DeleteRolePermissionsBoundaryCommand(ROLE));
  expect(await errorOf(ec2.send(look))).toBeNull();
});

test('whoever may make roles only with a boundary makes none without', async () => {
  const aws = await world();
  const PermissionsBoundary = await makePolicy(aws, 'only-s3', allow('s3:*'));
  const condition = { StringEquals: { 'iam:PermissionsBoundary': PermissionsBoundary } };
  const maker = await aws.as(allow('iam:CreateRole', `arn:aws:iam::${ACCOUNT}:role/app-*`, condition));
  const make = (input: object) =>
    errorOf(maker.iam.send(new CreateRoleCommand({ RoleName: 'app-1', AssumeRolePolicyDocument: ECS, ...input })));
  expect(await make({})).toBe('AccessDenied');
  expect(await make({ PermissionsBoundary, RoleName: 'other' })).toBe('AccessDenied');
  expect(await make({ PermissionsBoundary: EVERYTHING })).toBe('AccessDenied');
  expect(await make({ PermissionsBoundary })).toBeNull();
});

test('a role has tags, and whoever makes it with tags needs the right to', async () => {
  const aws = await world();
  const { iam } = aws;
  await iam.send(new TagRoleCommand({ ...ROLE, Tags: [{ Key: 'team', Value: 'a' }] }));
  await iam.send(new TagRoleCommand({ ...ROLE, Tags: [{ Key: 'cost', Value: '1' }] }));
  await iam.send(new UntagRoleCommand({ ...ROLE, TagKeys: ['cost'] }));
  expect((await iam.send(new ListRoleTagsCommand(ROLE))).Tags).toEqual([{ Key: 'team', Value: 'a' }]);
  const sameTeam = { StringEquals: { 'aws:PrincipalTag/team': 'a' } };
  await iam.send(
    new PutRolePolicyCommand({ ...ROLE, PolicyName: 'p', PolicyDocument: policyOf(allow('ec2:*', '*', sameTeam)) }),
  );
  const { ec2 } = await aws.task();
  expect(await errorOf(ec2.send(look))).toBeNull();
  await iam.send(new TagRoleCommand({ ...ROLE, Tags: [{ Key: 'team', Value: 'b' }] }));
  expect(await errorOf(ec2.send(look))).toBe('UnauthorizedOperation');
  const Tags = [{ Key: 'team', Value: 'a' }];
  const make = new CreateRoleCommand({ RoleName: 'tagged', AssumeRolePolicyDocument: ECS, Tags });
  expect(await errorOf((await aws.as(allow('iam:CreateRole'))).iam.send(make))).toBe('AccessDenied');
  expect(await errorOf((await aws.as(allow(['iam:CreateRole', 'iam:TagRole']))).iam.send(make))).toBeNull();
});

test('a role is changed where the request says so', async () => {
  const { iam } = await world();
  await iam.send(new UpdateRoleCommand({ ...ROLE, MaxSessionDuration: 7_200 }));
  await iam.send(new UpdateRoleCommand({ ...ROLE, Description: 'works' }));
  expect((await iam.send(new GetRoleCommand(ROLE))).Role).toMatchObject({
    MaxSessionDuration: 7_200,
    Description: 'works',
  });
});

test('a user sees itself, has two keys at most, and the root key is nobody else’s to delete', async () => {
  const { iam, endpoint } = await world();
  await iam.send(new CreateUserCommand({ UserName: 'eve' }));
  const self = policyOf(allow('iam:GetUser', `arn:aws:iam::${ACCOUNT}:user/\${aws:username}`));
  await iam.send(new PutUserPolicyCommand({ UserName: 'eve', PolicyName: 'p', PolicyDocument: self }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'eve' }));
  const eve = clientsOf(endpoint, {
    accessKeyId: AccessKey?.AccessKeyId ?? '',
    secretAccessKey: AccessKey?.SecretAccessKey ?? '',
  });
  expect((await eve.iam.send(new GetUserCommand({ UserName: 'eve' }))).User?.Arn).toMatch(/:user\/eve$/);
  await iam.send(new CreateUserCommand({ UserName: 'bob' }));
  expect(await errorOf(eve.iam.send(new GetUserCommand({ UserName: 'bob' })))).toBe('AccessDenied');
  await iam.send(new CreateAccessKeyCommand({ UserName: 'eve' }));
  expect(await errorOf(iam.send(new CreateAccessKeyCommand({ UserName: 'eve' })))).toMatch(/^LimitExceeded/);
});

test('sessions issued before AWSRevokeOlderSessions lose every right, later ones keep them', async () => {
  const aws = await world();
  await aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn: EVERYTHING }));
  const before = await aws.task();
  expect(await errorOf(before.ec2.send(look))).toBeNull();
  aws.tick(1_000);
  const condition = { DateLessThan: { 'aws:TokenIssueTime': aws.sandbox.clock.now().toISOString() } };
  const PolicyDocument = policyOf({ ...allow('*', '*', condition), Effect: 'Deny' });
  await aws.iam.send(new PutRolePolicyCommand({ ...ROLE, PolicyName: 'AWSRevokeOlderSessions', PolicyDocument }));
  expect(await errorOf(before.ec2.send(look))).toBe('UnauthorizedOperation');
  aws.tick(1_000);
  expect(await errorOf((await aws.task()).ec2.send(look))).toBeNull();
});

test('changes take effect later where the settings say so', async () => {
  const aws = await world();
  const set = (iamEffectiveAfterMs: number) =>
    fetch(`${aws.endpoint}/_sandbox/settings`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${aws.sandbox.adminToken}` },
      body: JSON.stringify({ iamEffectiveAfterMs }),
    });
  expect((await set(60_000)).status).toBe(200);
  const { ec2 } = await aws.task();
  await aws.iam.send(new AttachRolePolicyCommand({ ...ROLE, PolicyArn: EVERYTHING }));
  const attached = await aws.iam.send(new ListAttachedRolePoliciesCommand(ROLE));
  expect(attached.AttachedPolicies).toHaveLength(1);
  expect(await errorOf(ec2.send(look))).toBe('UnauthorizedOperation');
  aws.tick(30_000);
  await aws.iam.send(new DetachRolePolicyCommand({ ...ROLE, PolicyArn: EVERYTHING }));
  expect(await errorOf(ec2.send(look))).toBe('UnauthorizedOperation');
  aws.tick(31_000);
  expect(await errorOf(ec2.send(look))).toBeNull();
  aws.tick(30_000);
  expect(await errorOf(ec2.send(look))).toBe('UnauthorizedOperation');
});
