import {
  CreatePolicyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  GetRoleCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { backupPolicy, type RoleScope } from '../../src/aws/policies/role.ts';
import { parsePolicy } from '../../src/sandbox/iam/policy.ts';
import { allow, openAws, policyOf } from './world.ts';

/** How IAM answers to a document: its message, or null when it takes it. Messages are AWS's own. */
function refusal(document: unknown, kind: 'identity' | 'trust' | 'resource' = 'identity'): string | null {
  try {
    parsePolicy(typeof document === 'string' ? document : JSON.stringify(document), kind);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : 'failed';
  }
}
const one = (statement: object) => ({ Version: '2012-10-17', Statement: [statement] });
const GOOD = { Effect: 'Allow', Action: 's3:GetObject', Resource: '*' };
const SYNTAX = 'Syntax errors in policy.';
const VENDOR = 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.';

// Source: IAM guide, "Grammar of the IAM JSON policy language", and the pages of its elements.
test.each<[name: string, document: unknown, message: string | null]>([
  ['a good document', one(GOOD), null],
  ['one statement without a list', { Statement: GOOD }, null],
  ['no version', { Statement: [GOOD] }, null],
  ['the version before', { Version: '2008-10-17', Statement: [GOOD] }, null],
  ['an Id', { ...one(GOOD), Id: 'mine' }, null],
  ['another version', { Version: '2012-10-18', Statement: [GOOD] }, SYNTAX],
  ['an unknown element at the top', { ...one(GOOD), Statements: [] }, SYNTAX],
  ['no JSON', '{', SYNTAX],
  ['a list', [], SYNTAX],
  ['no statement', { Version: '2012-10-17' }, SYNTAX],
  ['an empty list of statements', { Version: '2012-10-17', Statement: [] }, SYNTAX],
  ['an unknown element of a statement', one({ ...GOOD, Conditions: {} }), SYNTAX],
  ['no effect', one({ Action: '*', Resource: '*' }), SYNTAX],
  ['an effect in small letters', one({ ...GOOD, Effect: 'allow' }), SYNTAX],
  ['no action', one({ Effect: 'Allow', Resource: '*' }), 'Policy statement must contain actions.'],
  ['an empty list of actions', one({ ...GOOD, Action: [] }), 'Policy statement must contain actions.'],
  ['Action and NotAction', one({ ...GOOD, NotAction: 's3:*' }), SYNTAX],
  ['Resource and NotResource', one({ ...GOOD, NotResource: '*' }), SYNTAX],
  ['an action that is a number', one({ ...GOOD, Action: 7 }), SYNTAX],
  ['an action without a vendor', one({ ...GOOD, Action: 'GetObject' }), VENDOR],
  ['an action with two colons', one({ ...GOOD, Action: 's3:a:b' }), 'Actions/Condition can contain only one colon.'],
  ['an action of an odd vendor', one({ ...GOOD, Action: 's 3:Get' }), 'Vendor s 3 is not valid'],
  ['no resource', one({ Effect: 'Allow', Action: 's3:*' }), 'Policy statement must contain resources.'],
  ['a resource that is no ARN', one({ ...GOOD, Resource: 'vault' }), 'Resource vault must be in ARN format or "*".'],
  ['a resource of too few parts', one({ ...GOOD, Resource: 'arn:aws:s3' }), 'The policy failed legacy parsing'],
  [
    'a resource of an odd partition',
    one({ ...GOOD, Resource: 'arn:azure:s3:::vault' }),
    'Partition "azure" is not valid for resource "arn:azure:s3:::vault".',
  ],
  [
    'a bucket with a region',
    one({ ...GOOD, Resource: 'arn:aws:s3:eu-central-1::vault' }),
    'Resource arn:aws:s3:eu-central-1::vault can not contain region information.',
  ],
  ['a principal', one({ ...GOOD, Principal: '*' }), 'Policy document should not specify a principal.'],
  ['an unknown operator', one({ ...GOOD, Condition: { StringRhymes: { 'aws:userid': 'x' } } }), SYNTAX],
  [
    'an operator with every affix',
    one({ ...GOOD, Condition: { 'ForAnyValue:StringLikeIfExists': { 'a:b': 'x' } } }),
    null,
  ],
  ['a condition without a vendor', one({ ...GOOD, Condition: { Bool: { secure: true } } }), VENDOR],
  ['a condition on an object', one({ ...GOOD, Condition: { Bool: { 'a:b': {} } } }), SYNTAX],
  ['a condition that is a list', one({ ...GOOD, Condition: [] }), SYNTAX],
  [
    'two statements of one Sid',
    {
      Statement: [
        { ...GOOD, Sid: 'a' },
        { ...GOOD, Sid: 'a' },
      ],
    },
    'Statement IDs (SID) in a single policy must be unique.',
  ],
])('a policy of an identity: %s', (_name, document, message) => {
  expect(refusal(document)).toBe(message);
});

test('the Sid of a policy of an identity is alphanumeric', () => {
  expect(refusal(one({ ...GOOD, Sid: 'with space' }))).toMatch(/must be alpha-numeric/);
  expect(refusal(one({ ...GOOD, Sid: 'with space', Principal: '*' }), 'resource')).toBeNull();
});

const trusting = (statement: object) => one({ Effect: 'Allow', Action: 'sts:AssumeRole', ...statement });
const AWS = (...names: string[]) => ({ Principal: { AWS: names } });
const badPrincipal = (kind: string, name: string) => `Invalid principal in policy: "${kind}":"${name}"`;
test.each<[name: string, document: unknown, message: string | null]>([
  ['an account', trusting(AWS('111111111111')), null],
  [
    'a root, a user, a role, a session',
    trusting(
      AWS(
        ...['root', 'user/a/b', 'role/r'].map((it) => `arn:aws:iam::111111111111:${it}`),
        'arn:aws:sts::111111111111:assumed-role/r/s',
      ),
    ),
    null,
  ],
  ['anybody', trusting({ Principal: '*' }), null],
  ['a service', trusting({ Principal: { Service: 'ecs-tasks.amazonaws.com' } }), null],
  [
    'tags and source identity',
    trusting({ ...AWS('111111111111'), Action: ['sts:TagSession', 'sts:SetSourceIdentity'] }),
    null,
  ],
  ['no principal', trusting({}), 'Missing required field Principal'],
  ['a resource', trusting({ ...AWS('111111111111'), Resource: '*' }), 'Has prohibited field Resource'],
  [
    'an action of another service',
    trusting({ ...AWS('111111111111'), Action: 'ec2:RunInstances' }),
    'AssumeRole policy may only specify STS AssumeRole actions.',
  ],
  [
    'a wildcard in a principal',
    trusting(AWS('arn:aws:iam::111111111111:role/*')),
    badPrincipal('AWS', 'arn:aws:iam::111111111111:role/*'),
  ],
  ['an account of 11 digits', trusting(AWS('11111111111')), badPrincipal('AWS', '11111111111')],
  ['a service without a domain', trusting({ Principal: { Service: 'ec2' } }), badPrincipal('Service', 'ec2')],
  ['an unknown kind of principal', trusting({ Principal: { Azure: 'x' } }), badPrincipal('Azure', 'x')],
  ['no JSON', '{', 'This policy contains invalid Json'],
])('a trust policy: %s', (_name, document, message) => {
  expect(refusal(document, 'trust')).toBe(message);
});

/** Error code and message of a call. */
const failure = (call: Promise<unknown>) =>
  call.then(
    () => 'none',
    (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : 'unknown'),
  );
const ecs = policyOf({ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' });
/** A policy of about so many characters. */
const long = (characters: number) =>
  policyOf(allow('s3:GetObject', [`arn:aws:s3:::${'x'.repeat(Math.max(1, characters - 120))}`]));

test('documents and names have the limits of IAM', async () => {
  const { iam } = await openAws();
  const create = (RoleName: string, AssumeRolePolicyDocument = ecs, more = {}) =>
    failure(iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument, ...more })));
  expect(await create('r'.repeat(64))).toBe('none');
  expect(await create('r'.repeat(65))).toMatch(/^ValidationError/);
  expect(await create('a b')).toMatch(/^ValidationError/);
  expect(await create('role', long(400))).toMatch(/^MalformedPolicyDocument/);
  const tooLong = { StringEquals: { 'sts:ExternalId': 'x'.repeat(2_000) } };
  expect(await create('role', JSON.stringify(trusting({ ...AWS('111111111111'), Condition: tooLong })))).toMatch(
    /^LimitExceeded.*ACLSizePerRole: 2048/,
  );
  expect(await create('role', ecs, { MaxSessionDuration: 3_599 })).toMatch(/^ValidationError/);
  expect(await create('role')).toBe('none');
  expect(await create('role')).toMatch(/^EntityAlreadyExists/);
  const put = (PolicyName: string, PolicyDocument: string) =>
    failure(iam.send(new PutRolePolicyCommand({ RoleName: 'role', PolicyName, PolicyDocument })));
  expect(await put('a', long(6_000))).toBe('none');
  expect(await put('b', long(6_000))).toMatch(
    /^LimitExceededException: Maximum policy size of 10240 bytes exceeded for role role/,
  );
  expect(await put('a', long(10_000))).toBe('none');
  expect(await put('b', JSON.stringify(one({ ...GOOD, Action: 'x' })))).toMatch(/^MalformedPolicyDocument/);
  const managed = (PolicyName: string, PolicyDocument: string) =>
    failure(iam.send(new CreatePolicyCommand({ PolicyName, PolicyDocument })));
  expect(await managed('m', long(6_000))).toBe('none');
  expect(await managed('n', long(6_300))).toMatch(/^LimitExceeded.*PolicySize: 6144/);
  await iam.send(new CreateUserCommand({ UserName: 'eve' }));
  const userPolicy = new PutUserPolicyCommand({ UserName: 'eve', PolicyName: 'p', PolicyDocument: long(2_200) });
  expect(await failure(iam.send(userPolicy))).toMatch(/^LimitExceeded/);
});

test('white space in a document does not count', async () => {
  const { iam } = await openAws();
  await iam.send(new CreateRoleCommand({ RoleName: 'role', AssumeRolePolicyDocument: ecs }));
  const PolicyDocument = long(9_000).replace('{', `{${' '.repeat(5_000)}`);
  const put = iam.send(new PutRolePolicyCommand({ RoleName: 'role', PolicyName: 'p', PolicyDocument }));
  expect(await failure(put)).toBe('none');
});

test('a refused trust policy leaves the old one', async () => {
  const { iam } = await openAws();
  await iam.send(new CreateRoleCommand({ RoleName: 'role', AssumeRolePolicyDocument: ecs }));
  const unknown = policyOf({
    Effect: 'Allow',
    ...AWS('arn:aws:iam::222222222222:role/none'),
    Action: 'sts:AssumeRole',
  });
  const update = iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'role', PolicyDocument: unknown }));
  expect(await failure(update)).toMatch(/^MalformedPolicyDocumentException: Invalid principal/);
  const { Role } = await iam.send(new GetRoleCommand({ RoleName: 'role' }));
  expect(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '')).toBe(ecs);
});

test("the product's largest policies are taken", () => {
  const scope: RoleScope = {
    partition: 'aws',
    dnsSuffix: 'amazonaws.com',
    awsAccountId: '222222222222',
    tenantId: 'ten_eu_01k9wq3v7hr2m5c8d4x6z0abcd',
    awsRegions: ['eu-central-1', 'eu-west-1', 'eu-west-3', 'eu-north-1'],
    tag: { key: 'backup', value: 'yes' },
    vpcIds: ['vpc-1'],
    storage: 'vault',
    restoreInPlace: true,
    kmsKeyArns: ['arn:aws:kms:eu-central-1:222222222222:key/1'],
  };
  expect(refusal(backupPolicy(scope))).toBeNull();
});
