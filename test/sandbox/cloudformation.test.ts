import {
  CloudFormationClient,
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { GetRoleCommand, GetRolePolicyCommand, ListRolePoliciesCommand } from '@aws-sdk/client-iam';
import { describe, expect, test } from 'vitest';
import { cleanUpPolicy, restorePolicy } from '../../src/aws/policies/restore-role.ts';
import { backupPolicy, type RoleScope, trustPolicy } from '../../src/aws/policies/role.ts';
import { customerTemplate } from '../../src/aws/policies/template.ts';
import { allow, type Login, openAws, policyOf, REGION } from './world.ts';
import { errorOf } from './support.ts';

const NAMED = ['CAPABILITY_NAMED_IAM' as const];
const ecs = policyOf({ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' });
/** A template with one role, whose policy depends on a parameter. */
const small = (RoleName: string, actions: string[] = ['ec2:DescribeInstances']) =>
  JSON.stringify({
    Parameters: { More: { Type: 'String', AllowedValues: ['yes', 'no'], Default: 'no' } },
    Conditions: { WithMore: { 'Fn::Equals': [{ Ref: 'More' }, 'yes'] } },
    Resources: {
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: {
          RoleName,
          AssumeRolePolicyDocument: JSON.parse(ecs),
          Policies: [
            { PolicyName: 'first', PolicyDocument: JSON.parse(policyOf(allow(actions))) },
            {
              'Fn::If': [
                'WithMore',
                { PolicyName: 'second', PolicyDocument: JSON.parse(policyOf(allow('ec2:DescribeVolumes'))) },
                { Ref: 'AWS::NoValue' },
              ],
            },
          ],
        },
      },
    },
    Outputs: {
      Arn: { Value: { 'Fn::GetAtt': ['Role', 'Arn'] } },
      Text: { Value: { 'Fn::Sub': '${AWS::AccountId}/${Role}/${Role.Arn}' } },
    },
  });

/** A sandbox of its own, with CloudFormation as its owner sees it. */
async function open() {
  const aws = await openAws();
  const clientOf = (credentials: Login) =>
    new CloudFormationClient({ endpoint: aws.endpoint, region: REGION, credentials: { ...credentials } });
  const cloud = clientOf(aws.owner);
  const stackOf = async (StackName: string) => (await cloud.send(new DescribeStacksCommand({ StackName }))).Stacks?.[0];
  const settled = async (StackName: string) => {
    await expect.poll(async () => (await stackOf(StackName))?.StackStatus).not.toMatch(/IN_PROGRESS/);
    return stackOf(StackName);
  };
  const policiesOf = async (RoleName: string) =>
    (await aws.iam.send(new ListRolePoliciesCommand({ RoleName }))).PolicyNames?.toSorted();
  const create = async (StackName: string, TemplateBody = small(StackName), client = cloud) => {
    await client.send(new CreateStackCommand({ StackName, TemplateBody, Capabilities: NAMED }));
    return settled(StackName);
  };
  return { aws, clientOf, cloud, stackOf, settled, policiesOf, create };
}

describe('a stack', () => {
  test('makes its role, says so a moment later, and gives its outputs', async () => {
    const { aws, cloud, stackOf, settled, policiesOf } = await open();
    await cloud.send(new CreateStackCommand({ StackName: 'one', TemplateBody: small('one'), Capabilities: NAMED }));
    expect((await stackOf('one'))?.StackStatus).toBe('CREATE_IN_PROGRESS');
    const stack = await settled('one');
    expect(stack?.StackStatus).toBe('CREATE_COMPLETE');
    const { Role } = await aws.iam.send(new GetRoleCommand({ RoleName: 'one' }));
    const outputs = Object.fromEntries((stack?.Outputs ?? []).map((one) => [one.OutputKey, one.OutputValue]));
    expect(outputs).toEqual({ Arn: Role?.Arn, Text: `222222222222/one/${Role?.Arn}` });
    expect(await policiesOf('one')).toEqual(['first']);
  });

  test('is updated to what the template says, and back when the update fails', async () => {
    const { cloud, settled, policiesOf, create } = await open();
    await create('two');
    const update = (TemplateBody: string, More: string) =>
      cloud.send(
        new UpdateStackCommand({
          StackName: 'two',
          TemplateBody,
          Capabilities: NAMED,
          Parameters: [{ ParameterKey: 'More', ParameterValue: More }],
        }),
      );
    expect(await errorOf(update(small('two'), 'no'))).toBe('ValidationError'); // No updates are to be performed.
    await update(small('two'), 'yes');
    expect((await settled('two'))?.StackStatus).toBe('UPDATE_COMPLETE');
    expect(await policiesOf('two')).toEqual(['first', 'second']);
    await update(
      small(
        'two',
        Array.from({ length: 2_000 }, (_, n) => `ec2:Action${n}`),
      ),
      'no',
    );
    const stack = await settled('two');
    expect(stack).toMatchObject({ StackStatus: 'UPDATE_ROLLBACK_COMPLETE', StackStatusReason: expect.any(String) });
    expect(await policiesOf('two')).toEqual(['first', 'second']);
  });

  test('that cannot be made is rolled back, and its events say why', async () => {
    const { cloud, create } = await open();
    await create('one');
    const stack = await create('three', small('one')); // the role of that name is there already
    expect(stack?.StackStatus).toBe('ROLLBACK_COMPLETE');
    const { StackEvents = [] } = await cloud.send(new DescribeStackEventsCommand({ StackName: 'three' }));
    expect(StackEvents).toContainEqual(
      expect.objectContaining({
        ResourceStatus: 'CREATE_FAILED',
        ResourceStatusReason: expect.stringContaining('already exists'),
      }),
    );
  });

  test('that is deleted takes its role with it', async () => {
    const { aws, cloud, stackOf, create } = await open();
    await create('four');
    await cloud.send(new DeleteStackCommand({ StackName: 'four' }));
    expect(await errorOf(aws.iam.send(new GetRoleCommand({ RoleName: 'four' })))).toBe('NoSuchEntityException');
    expect(await errorOf(stackOf('four'))).toBe('ValidationError');
    expect(await errorOf(cloud.send(new DeleteStackCommand({ StackName: 'four' })))).toBeNull();
  });

  test.each([
    ['without the capability', { TemplateBody: small('x') }, 'InsufficientCapabilitiesException'],
    [
      'of a type that is not known',
      { TemplateBody: '{"Resources":{"A":{"Type":"AWS::No::Thing"}}}' },
      'ValidationError',
    ],
    [
      'of a parameter that is not there',
      { TemplateBody: small('x'), Parameters: [{ ParameterKey: 'No' }] },
      'ValidationError',
    ],
    [
      'of a value that is not allowed',
      { TemplateBody: small('x'), Parameters: [{ ParameterKey: 'More', ParameterValue: 'perhaps' }] },
      'ValidationError',
    ],
    ['that is no JSON', { TemplateBody: 'Resources: {}' }, 'ValidationError'],
    ['without a template', {}, 'ValidationError'],
    [
      'whose name is taken',
      { StackName: 'one', TemplateBody: small('y'), Capabilities: NAMED },
      'AlreadyExistsException',
    ],
  ])('%s is refused', async (_, input, code) => {
    const { cloud, create } = await open();
    await create('one');
    const Capabilities = code === 'InsufficientCapabilitiesException' ? [] : NAMED;
    expect(await errorOf(cloud.send(new CreateStackCommand({ StackName: 'bad', Capabilities, ...input })))).toBe(code);
  });

  test('can do no more than whoever makes it', async () => {
    const { aws, clientOf, create } = await open();
    const limited = await aws.as(allow('cloudformation:*'));
    const theirs = clientOf(await limited.iam.config.credentials());
    expect(await create('five', small('five'), theirs)).toMatchObject({
      StackStatus: 'ROLLBACK_COMPLETE',
      StackStatusReason: expect.stringContaining('iam:CreateRole'),
    });
  });
});

test("our customer's stack makes both roles; AccountOnly takes every right to blocks away", async () => {
  const { aws, cloud, settled, policiesOf } = await open();
  const scope: RoleScope = {
    partition: 'aws',
    dnsSuffix: 'amazonaws.com',
    awsAccountId: '222222222222',
    tenantId: 'ten_eu_01k9wq3v7hr2m5c8d4x6z0abcd',
    awsRegions: [REGION],
    tag: { key: 'backup', value: 'yes' },
    vpcIds: [],
    kmsKeyArns: [],
    storage: 'vault',
    restoreInPlace: true,
  };
  const account = { ...scope, storage: 'account' as const };
  const template = customerTemplate({
    storage: 'vault',
    roleName: 'domicile-x',
    cleanUpRoleName: 'domicile-x-cleanup',
    trustPolicy: trustPolicy({ connectorRoleArn: 'arn:aws:iam::111111111111:role/connector', externalId: 'e' }),
    backupPolicy: backupPolicy(scope),
    accountOnlyBackupPolicy: backupPolicy(account),
    restorePolicy: restorePolicy(scope),
    accountOnlyRestorePolicy: restorePolicy(account),
    cleanUpPolicy: cleanUpPolicy(scope),
  });
  const input = { StackName: 'customer', TemplateBody: JSON.stringify(template), Capabilities: NAMED };
  await cloud.send(new CreateStackCommand(input));
  expect(await settled('customer')).toMatchObject({ StackStatus: 'CREATE_COMPLETE' });
  const documents = async () => {
    const texts = await Promise.all(
      ((await policiesOf('domicile-x')) ?? []).map(async (PolicyName) => {
        const found = await aws.iam.send(new GetRolePolicyCommand({ RoleName: 'domicile-x', PolicyName }));
        return decodeURIComponent(found.PolicyDocument ?? '');
      }),
    );
    return texts.join();
  };
  expect(await policiesOf('domicile-x')).toEqual(['backup', 'restore']);
  expect(await policiesOf('domicile-x-cleanup')).toEqual(['clean-up']);
  expect(await documents()).toContain('ebs:GetSnapshotBlock');
  const choose = (ParameterKey: string, ParameterValue: string) =>
    cloud.send(new UpdateStackCommand({ ...input, Parameters: [{ ParameterKey, ParameterValue }] }));
  await choose('AccountOnly', 'true');
  await settled('customer');
  expect((await documents()).match(/"ebs:[A-Z]\w+"/g)).toBeNull();
  await choose('AllowRestore', 'false');
  await settled('customer');
  expect(await policiesOf('domicile-x')).toEqual(['backup']);
});
