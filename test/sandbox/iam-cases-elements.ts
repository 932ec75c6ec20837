import { type Case, CUSTOMER, type Document } from './iam-judges.ts';

const OBJECT = 'arn:aws:s3:::vault/packs/1';
const ROLE_ARN = `arn:aws:iam::${CUSTOMER}:role/backup`;
const policy = (...Statement: object[]): Document => ({ Version: '2012-10-17', Statement });
const allow = (Action: string | string[], Resource: string | string[] = '*', Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});

const get = (name: string, allowed: boolean, changes: Partial<Case>): Case => ({
  name,
  allowed,
  action: 's3:GetObject',
  resource: OBJECT,
  resourceAccountId: CUSTOMER,
  identity: [],
  ...changes,
});
const identity = (name: string, allowed: boolean, ...statements: object[]) =>
  get(name, allowed, { identity: [policy(...statements)] });

const MATCHING: readonly Case[] = [
  identity('actions match without regard to case', true, allow('S3:getOBJECT')),
  identity('a star in an action', true, allow('s3:Get*')),
  identity('a question mark in an action', true, allow('s3:GetObjec?')),
  identity('a star for a service allows its own only', false, allow('ec2:*')),
  identity('resources match with regard to case', false, allow('s3:*', 'arn:aws:s3:::VAULT/*')),
  identity('a star reaches over slashes', true, allow('s3:*', 'arn:aws:s3:::va*1')),
  identity('a bucket is not its objects', false, allow('s3:*', 'arn:aws:s3:::vault')),
  identity('NotAction leaves out', false, { Effect: 'Allow', NotAction: 's3:Get*', Resource: '*' }),
  identity('NotAction lets in', true, { Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }),
  identity('NotResource leaves out', false, { Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::vault/*' }),
  identity('NotResource lets in', true, { Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::other/*' }),
  identity('a deny wins over its own statement', false, allow('*'), { ...allow('s3:GetObject'), Effect: 'Deny' }),
  identity('a deny with NotAction spares', true, allow('*'), { Effect: 'Deny', NotAction: 's3:*', Resource: '*' }),
];

/** A condition in an otherwise generous policy. */
const when = (name: string, allowed: boolean, Condition: object, context: Case['context'] = {}): Case =>
  get(name, allowed, { identity: [policy(allow('*', '*', Condition))], context });
const TAG = 'aws:PrincipalTag/team';
const TIME = 'aws:CurrentTime';
const IP = 'aws:SourceIp';
const KEYS = 'aws:TagKeys';
const tagKeys = (name: string, allowed: boolean, Condition: object, keys?: readonly string[]): Case =>
  get(name, allowed, {
    action: 'ec2:CreateTags',
    resource: `arn:aws:ec2:eu-central-1:${CUSTOMER}:volume/vol-1`,
    identity: [policy(allow('*', '*', Condition))],
    context: keys ? { [KEYS]: keys } : {},
  });

const CONDITIONS: readonly Case[] = [
  when('StringEquals', true, { StringEquals: { [TAG]: 'a' } }, { [TAG]: 'a' }),
  when('StringEquals minds case', false, { StringEquals: { [TAG]: 'a' } }, { [TAG]: 'A' }),
  when('StringEquals takes no wildcard', false, { StringEquals: { [TAG]: 'a*' } }, { [TAG]: 'ab' }),
  when('StringEquals of an absent key', false, { StringEquals: { [TAG]: 'a' } }),
  when('StringNotEquals of an absent key', true, { StringNotEquals: { [TAG]: 'a' } }),
  when('StringNotEquals of several values', false, { StringNotEquals: { [TAG]: ['a', 'b'] } }, { [TAG]: 'b' }),
  when('StringNotLike', false, { StringNotLike: { [TAG]: 'a*' } }, { [TAG]: 'ab' }),
  when('StringEqualsIgnoreCase', true, { StringEqualsIgnoreCase: { [TAG]: 'a' } }, { [TAG]: 'A' }),
  when('StringNotEqualsIgnoreCase', false, { StringNotEqualsIgnoreCase: { [TAG]: 'a' } }, { [TAG]: 'A' }),
  when('StringLike', true, { StringLike: { [TAG]: 'a?c*' } }, { [TAG]: 'abcd' }),
  when('IfExists of an absent key', true, { StringLikeIfExists: { [TAG]: 'a' } }),
  when(
    'all keys of an operator must hold',
    false,
    { StringEquals: { [TAG]: 'a', 'aws:username': 'x' } },
    { [TAG]: 'a' },
  ),
  when(
    'all operators must hold',
    false,
    { StringEquals: { [TAG]: 'a' }, Bool: { 'aws:SecureTransport': 'true' } },
    { [TAG]: 'a', 'aws:SecureTransport': 'false' },
  ),
  when('Bool', true, { Bool: { 'aws:SecureTransport': 'true' } }, { 'aws:SecureTransport': 'true' }),
  when(
    'Bool of a word that is none',
    false,
    { Bool: { 'aws:SecureTransport': 'yes' } },
    { 'aws:SecureTransport': 'yes' },
  ),
  when('Null true of an absent key', true, { Null: { [TAG]: 'true' } }),
  when('Null true of a present key', false, { Null: { [TAG]: 'true' } }, { [TAG]: 'a' }),
  when(
    'NumericLessThan',
    false,
    { NumericLessThan: { 'aws:MultiFactorAuthAge': '8' } },
    { 'aws:MultiFactorAuthAge': '8' },
  ),
  when(
    'NumericLessThanEquals',
    true,
    { NumericLessThanEquals: { 'aws:MultiFactorAuthAge': '8' } },
    { 'aws:MultiFactorAuthAge': '8' },
  ),
  when(
    'NumericGreaterThan',
    true,
    { NumericGreaterThan: { 'aws:MultiFactorAuthAge': '8' } },
    { 'aws:MultiFactorAuthAge': '10' },
  ),
  when(
    'NumericGreaterThanEquals',
    false,
    { NumericGreaterThanEquals: { 'aws:MultiFactorAuthAge': '8' } },
    { 'aws:MultiFactorAuthAge': '7' },
  ),
  when('NumericEquals', true, { NumericEquals: { 'aws:MultiFactorAuthAge': '8' } }, { 'aws:MultiFactorAuthAge': '8' }),
  when(
    'NumericNotEquals',
    false,
    { NumericNotEquals: { 'aws:MultiFactorAuthAge': '8' } },
    { 'aws:MultiFactorAuthAge': '8' },
  ),
  when('DateLessThan', true, { DateLessThan: { [TIME]: '2027-01-01T00:00:00Z' } }, { [TIME]: '2026-12-31T23:59:59Z' }),
  when(
    'DateGreaterThan',
    false,
    { DateGreaterThan: { [TIME]: '2027-01-01T00:00:00Z' } },
    { [TIME]: '2026-12-31T23:59:59Z' },
  ),
  when(
    'DateGreaterThanEquals',
    true,
    { DateGreaterThanEquals: { [TIME]: '2027-01-01T00:00:00Z' } },
    { [TIME]: '2027-01-01T00:00:00Z' },
  ),
  when(
    'DateLessThanEquals',
    false,
    { DateLessThanEquals: { [TIME]: '2027-01-01T00:00:00Z' } },
    { [TIME]: '2027-01-01T00:00:01Z' },
  ),
  when(
    'DateNotEquals',
    true,
    { DateNotEquals: { [TIME]: '2027-01-01T00:00:00Z' } },
    { [TIME]: '2027-01-01T00:00:01Z' },
  ),
  when('IpAddress', true, { IpAddress: { [IP]: '10.0.0.0/8' } }, { [IP]: '10.1.2.3' }),
  when('IpAddress of a single address', false, { IpAddress: { [IP]: '10.1.2.4' } }, { [IP]: '10.1.2.3' }),
  when('NotIpAddress', false, { NotIpAddress: { [IP]: ['192.0.2.0/24', '10.0.0.0/8'] } }, { [IP]: '10.1.2.3' }),
  when('IpAddress of version 6', true, { IpAddress: { [IP]: '2001:db8::/32' } }, { [IP]: '2001:db8:1::2' }),
  when('ArnEquals takes wildcards', true, { ArnEquals: { 'aws:PrincipalArn': `arn:aws:iam::${CUSTOMER}:role/b*` } }),
  when('ArnLike of another account', false, { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::3*:role/backup' } }),
  when('ArnNotEquals', false, { ArnNotEquals: { 'aws:PrincipalArn': ROLE_ARN } }),
  when('ArnNotLike', true, { ArnNotLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:role/admin*' } }),
  when('a star of an ARN stays within its part', false, { ArnLike: { 'aws:PrincipalArn': 'arn:aws:*:role/backup' } }),
  tagKeys('ForAllValues of a subset', true, { 'ForAllValues:StringEquals': { [KEYS]: ['a', 'b'] } }, ['a']),
  tagKeys('ForAllValues with one more', false, { 'ForAllValues:StringEquals': { [KEYS]: ['a', 'b'] } }, ['a', 'c']),
  tagKeys('ForAllValues of an absent key', true, { 'ForAllValues:StringEquals': { [KEYS]: ['a'] } }),
  tagKeys('ForAnyValue', true, { 'ForAnyValue:StringLike': { [KEYS]: 'a*' } }, ['b', 'ab']),
  tagKeys('ForAnyValue of an absent key', false, { 'ForAnyValue:StringEquals': { [KEYS]: ['a'] } }),
  tagKeys('ForAllValues negated', false, { 'ForAllValues:StringNotEquals': { [KEYS]: ['a'] } }, ['a', 'b']),
];

const home = (suffix: string) => policy(allow('s3:*', `arn:aws:s3:::vault/${suffix}`));
const SAME_TEAM = { StringEquals: { 'aws:SourceIdentity': `\${${TAG}}` } };
const VARIABLES: readonly Case[] = [
  get('a variable in a resource', true, { identity: [home(`\${${TAG}}/*`)], context: { [TAG]: 'packs' } }),
  get('a variable of another value', false, { identity: [home(`\${${TAG}}/*`)], context: { [TAG]: 'logs' } }),
  get('a variable without a value', false, { identity: [home(`\${${TAG}}*`)] }),
  get('a variable with a default', true, { identity: [home(`\${${TAG}, 'packs'}/*`)] }),
  get('a star in the value of a variable is a star', false, {
    identity: [home(`\${${TAG}}/*`)],
    context: { [TAG]: 'p*' },
  }),
  get('an escaped star is a star', false, { identity: [home('packs/${*}')] }),
  when('an escaped star finds a star', true, { StringLike: { [TAG]: 'a${*}' } }, { [TAG]: 'a*' }),
  when('an escaped star finds nothing else', false, { StringLike: { [TAG]: 'a${*}' } }, { [TAG]: 'ab' }),
  when('a variable in a condition', true, SAME_TEAM, { [TAG]: 'a', 'aws:SourceIdentity': 'a' }),
  when('a variable in a condition without a value', false, SAME_TEAM, { 'aws:SourceIdentity': 'a' }),
];

/** Questions about single elements of identity policies. */
export const ELEMENT_CASES: readonly Case[] = [...MATCHING, ...CONDITIONS, ...VARIABLES];
