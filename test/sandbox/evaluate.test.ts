import { describe, expect, test } from 'vitest';
import { type Evaluation, evaluate, type Principal } from '../../src/sandbox/iam/evaluate.ts';
import { toContext } from '../../src/sandbox/iam/match.ts';
import type { Policy, Statement } from '../../src/sandbox/iam/policy.ts';

const ROLE: Principal = {
  accountId: '111111111111',
  arn: 'arn:aws:sts::111111111111:assumed-role/worker/job',
  principalArn: 'arn:aws:iam::111111111111:role/worker',
  uniqueId: 'AROAEXAMPLE',
  kind: 'role',
};
const policy = (...Statement: Statement[]): Policy => ({ Version: '2012-10-17', Statement });
const allow = (Action: string | string[], Resource: string, Condition?: unknown): Statement => ({
  Effect: 'Allow',
  Action,
  Resource,
  Condition,
});
const deny = (Action: string | string[], Resource: string, Condition?: unknown): Statement => ({
  Effect: 'Deny',
  Action,
  Resource,
  Condition,
});

function decide(
  options: Partial<Omit<Evaluation, 'context'>> & { context?: Record<string, string | string[]> },
): boolean {
  const { context = {}, ...rest } = options;
  return evaluate({
    principal: ROLE,
    action: 's3:GetObject',
    resource: 'arn:aws:s3:::bucket/key',
    resourceAccountId: '111111111111',
    identityPolicies: [],
    sessionPolicies: null,
    resourcePolicy: null,
    resourcePolicyRequired: false,
    ...rest,
    context: toContext(Object.entries(context)),
  }).allowed;
}

describe('a decision', () => {
  const identity = [policy(allow('s3:Get*', 'arn:aws:s3:::bucket/*'))];
  test.each<[string, boolean, Parameters<typeof decide>[0]]>([
    ['nothing allows nothing', false, {}],
    ['an identity policy allows', true, { identityPolicies: identity }],
    ['actions match without regard to case', true, { identityPolicies: identity, action: 'S3:getobject' }],
    ['another action is refused', false, { identityPolicies: identity, action: 's3:PutObject' }],
    ['another resource is refused', false, { identityPolicies: identity, resource: 'arn:aws:s3:::other/key' }],
    ['an explicit deny wins', false, { identityPolicies: [...identity, policy(deny('*', '*'))] }],
    ['a session policy cuts', false, { identityPolicies: identity, sessionPolicies: [policy(allow('s3:List*', '*'))] }],
    ['a session policy grants nothing', false, { sessionPolicies: [policy(allow('*', '*'))] }],
    ['an empty session policy refuses all', false, { identityPolicies: identity, sessionPolicies: [policy()] }],
    [
      'a resource policy alone suffices in the account',
      true,
      { resourcePolicy: policy({ ...allow('s3:*', '*'), Principal: { AWS: ROLE.principalArn } }) },
    ],
    [
      'a resource policy for the account root delegates to IAM',
      false,
      { resourcePolicy: policy({ ...allow('s3:*', '*'), Principal: { AWS: 'arn:aws:iam::111111111111:root' } }) },
    ],
    [
      'across accounts the identity alone does not suffice',
      false,
      { identityPolicies: identity, resourceAccountId: '222222222222' },
    ],
    [
      'across accounts the resource alone does not suffice',
      false,
      { resourceAccountId: '222222222222', resourcePolicy: policy({ ...allow('s3:*', '*'), Principal: '*' }) },
    ],
    [
      'across accounts both together suffice',
      true,
      {
        identityPolicies: identity,
        resourceAccountId: '222222222222',
        resourcePolicy: policy({ ...allow('s3:*', '*'), Principal: { AWS: '111111111111' } }),
      },
    ],
    [
      'a deny in the resource policy wins',
      false,
      { identityPolicies: identity, resourcePolicy: policy({ ...deny('s3:*', '*'), Principal: '*' }) },
    ],
    [
      'a required resource policy that is silent refuses',
      false,
      { identityPolicies: [policy(allow('*', '*'))], resourcePolicyRequired: true, resourcePolicy: policy() },
    ],
    [
      'NotAction excludes',
      false,
      { identityPolicies: [policy({ Effect: 'Allow', NotAction: 's3:*', Resource: '*' })] },
    ],
    [
      'NotResource excludes',
      false,
      { identityPolicies: [policy({ Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::bucket/*' })] },
    ],
    [
      'a star does not reach over a colon of an ARN',
      false,
      { identityPolicies: [policy(allow('*', 'arn:aws:*:::bucket/*'))], resource: 'arn:aws:s3:eu:1:bucket/key' },
    ],
  ])('%s', (_name, expected, options) => {
    expect(decide(options)).toBe(expected);
  });
});

describe('a condition', () => {
  const tag = 'aws:ResourceTag/owner';
  test.each<[string, boolean, unknown, Record<string, string | string[]>]>([
    ['StringEquals holds', true, { StringEquals: { [tag]: 'us' } }, { [tag]: 'us' }],
    ['StringEquals minds case', false, { StringEquals: { [tag]: 'us' } }, { [tag]: 'US' }],
    ['keys do not mind case', true, { StringEquals: { 'AWS:resourcetag/owner': 'us' } }, { [tag]: 'us' }],
    ['StringEquals fails when the key is absent', false, { StringEquals: { [tag]: 'us' } }, {}],
    ['StringEqualsIfExists passes when the key is absent', true, { StringEqualsIfExists: { [tag]: 'us' } }, {}],
    ['StringNotEquals passes when the key is absent', true, { StringNotEquals: { [tag]: 'us' } }, {}],
    ['StringLike takes wildcards', true, { StringLike: { [tag]: 'u?*' } }, { [tag]: 'usa' }],
    ['StringEquals takes no wildcards', false, { StringEquals: { [tag]: 'u*' } }, { [tag]: 'us' }],
    ['any of several values', true, { StringEquals: { [tag]: ['eu', 'us'] } }, { [tag]: 'us' }],
    ['all of several keys', false, { StringEquals: { [tag]: 'us', 'aws:userid': 'x' } }, { [tag]: 'us' }],
    ['NumericLessThanEquals', true, { NumericLessThanEquals: { 'ebs:VolumeSize': '8' } }, { 'ebs:VolumeSize': '8' }],
    ['NumericLessThan', false, { NumericLessThan: { 'ebs:VolumeSize': '8' } }, { 'ebs:VolumeSize': '8' }],
    [
      'DateLessThan',
      true,
      { DateLessThan: { 'aws:CurrentTime': '2027-01-01T00:00:00Z' } },
      { 'aws:CurrentTime': '2026-01-01T00:00:00Z' },
    ],
    ['Bool', true, { Bool: { 'ec2:Encrypted': 'true' } }, { 'ec2:Encrypted': 'true' }],
    ['Null true means absent', true, { Null: { 's3:if-none-match': 'true' } }, {}],
    ['Null true refuses a present key', false, { Null: { 's3:if-none-match': 'true' } }, { 's3:if-none-match': '*' }],
    [
      'ArnEquals',
      true,
      { ArnEquals: { 'aws:PrincipalArn': 'arn:aws:iam::1:role/*' } },
      { 'aws:PrincipalArn': 'arn:aws:iam::1:role/x' },
    ],
    [
      'ArnNotEquals',
      false,
      { ArnNotEquals: { 'aws:PrincipalArn': 'arn:aws:iam::1:role/x' } },
      { 'aws:PrincipalArn': 'arn:aws:iam::1:role/x' },
    ],
    ['IpAddress', true, { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, { 'aws:SourceIp': '10.1.2.3' }],
    ['NotIpAddress', false, { NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, { 'aws:SourceIp': '10.1.2.3' }],
    [
      'ForAllValues holds for a subset',
      true,
      { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } },
      { 'aws:TagKeys': ['a'] },
    ],
    [
      'ForAllValues refuses one more',
      false,
      { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } },
      { 'aws:TagKeys': ['a', 'c'] },
    ],
    ['ForAllValues passes when absent', true, { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a'] } }, {}],
    ['ForAnyValue fails when absent', false, { 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['a'] } }, {}],
    ['an unknown operator is never satisfied', false, { StringRhymes: { [tag]: 'us' } }, { [tag]: 'us' }],
    [
      'a policy variable',
      true,
      { StringEquals: { [tag]: '${aws:PrincipalTag/team}' } },
      { [tag]: 'us', 'aws:PrincipalTag/team': 'us' },
    ],
    [
      'a policy variable without a value',
      false,
      { StringEquals: { [tag]: '${aws:PrincipalTag/team}' } },
      { [tag]: '' },
    ],
  ])('%s', (_name, expected, condition, context) => {
    expect(decide({ identityPolicies: [policy(allow('*', '*', condition))], context })).toBe(expected);
  });
});
