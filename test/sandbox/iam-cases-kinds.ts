import { type Case, CUSTOMER, type Document, SESSION } from './iam-judges.ts';

const OBJECT = 'arn:aws:s3:::vault/packs/1';
const ROLE_ARN = `arn:aws:iam::${CUSTOMER}:role/backup`;
const policy = (...Statement: object[]): Document => ({ Version: '2012-10-17', Statement });
const allow = (Action: string | string[], Resource: string | string[] = '*', Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});
const all = policy(allow('*'));

const get = (name: string, allowed: boolean, changes: Partial<Case>): Case => ({
  name,
  allowed,
  action: 's3:GetObject',
  resource: OBJECT,
  resourceAccountId: CUSTOMER,
  identity: [],
  ...changes,
});
const bucket = (...statements: object[]) => policy(...statements);
const ofBucket = (Principal: unknown, more: object = {}) => ({
  Effect: 'Allow',
  Principal,
  Action: 's3:*',
  Resource: 'arn:aws:s3:::vault/*',
  ...more,
});
const refuse = (Condition: object, Action = 's3:*') => ({
  ...ofBucket('*', { Condition, Action }),
  Effect: 'Deny',
});
const root = { AWS: `arn:aws:iam::${CUSTOMER}:root` };
const FOREIGN = 'arn:aws:sts::333333333333:assumed-role/reader/task';
const writeOnce = bucket({
  ...refuse({ Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } }, 's3:PutObject'),
});
const put = { action: 's3:PutObject', identity: [all] };

const BUCKETS: readonly Case[] = [
  get('a bucket policy alone is enough for a role that it names', true, {
    resourcePolicy: bucket(ofBucket({ AWS: ROLE_ARN })),
  }),
  get('a bucket policy for the root leaves it to IAM', false, { resourcePolicy: bucket(ofBucket(root)) }),
  get('a bucket policy that denies', false, { identity: [all], resourcePolicy: bucket(refuse({})) }),
  get('a bucket policy wants TLS', false, {
    identity: [all],
    resourcePolicy: bucket(refuse({ Bool: { 'aws:SecureTransport': 'false' } })),
    context: { 'aws:SecureTransport': 'false' },
  }),
  get('a bucket policy has TLS', true, {
    identity: [all],
    resourcePolicy: bucket(refuse({ Bool: { 'aws:SecureTransport': 'false' } })),
    context: { 'aws:SecureTransport': 'true' },
  }),
  get('a bucket for one role refuses others', false, {
    identity: [all],
    resourcePolicy: bucket(refuse({ ArnNotEquals: { 'aws:PrincipalArn': `arn:aws:iam::${CUSTOMER}:role/admin` } })),
  }),
  get('NotPrincipal spares whom it names', true, {
    identity: [all],
    resourcePolicy: bucket({
      Effect: 'Deny',
      NotPrincipal: { AWS: [ROLE_ARN, SESSION, root.AWS] },
      Action: 's3:*',
      Resource: '*',
    }),
  }),
  get('NotPrincipal denies all others', false, {
    identity: [all],
    resourcePolicy: bucket({
      Effect: 'Deny',
      NotPrincipal: { AWS: 'arn:aws:iam::333333333333:root' },
      Action: 's3:*',
      Resource: '*',
    }),
  }),
  get('a write that may not overwrite', true, {
    ...put,
    resourcePolicy: writeOnce,
    context: { 's3:if-none-match': '*', 's3:ObjectCreationOperation': 'true' },
  }),
  get('a write that might overwrite', false, {
    ...put,
    resourcePolicy: writeOnce,
    context: { 's3:ObjectCreationOperation': 'true' },
  }),
  get('a part of an upload', true, {
    ...put,
    resourcePolicy: writeOnce,
    context: { 's3:ObjectCreationOperation': 'false' },
  }),
  get('across accounts the identity alone', false, { principal: FOREIGN, identity: [all] }),
  get('across accounts the bucket alone', false, {
    principal: FOREIGN,
    resourcePolicy: bucket(ofBucket({ AWS: '333333333333' })),
  }),
  get('across accounts both together', true, {
    principal: FOREIGN,
    identity: [all],
    resourcePolicy: bucket(ofBucket({ AWS: '333333333333' })),
  }),
  get('across accounts a deny of its own side', false, {
    principal: FOREIGN,
    identity: [all, policy({ ...allow('s3:Get*'), Effect: 'Deny' })],
    resourcePolicy: bucket(ofBucket('*')),
  }),
];

const CUTS: readonly Case[] = [
  get('a boundary grants nothing', false, { boundary: all }),
  get('a boundary lets through', true, { identity: [all], boundary: policy(allow('s3:*')) }),
  get('a boundary cuts', false, { identity: [all], boundary: policy(allow('ec2:*')) }),
  get('a boundary denies', false, {
    identity: [all],
    boundary: policy(allow('*'), { ...allow('s3:*'), Effect: 'Deny' }),
  }),
  get('a boundary cuts a role that the bucket names', false, {
    boundary: policy(allow('ec2:*')),
    resourcePolicy: bucket(ofBucket({ AWS: ROLE_ARN })),
  }),
  get('a boundary does not cut a session that the bucket names', true, {
    boundary: policy(allow('ec2:*')),
    resourcePolicy: bucket(ofBucket({ AWS: SESSION })),
  }),
  get('a boundary does not cut a user that the bucket names', true, {
    principal: `arn:aws:iam::${CUSTOMER}:user/eve`,
    boundary: policy(allow('ec2:*')),
    resourcePolicy: bucket(ofBucket({ AWS: `arn:aws:iam::${CUSTOMER}:user/eve` })),
  }),
  get('a session grants nothing', false, { session: all }),
  get('a session cuts', false, { identity: [all], session: policy(allow('s3:List*')) }),
  get('a session denies', false, {
    identity: [all],
    session: policy(allow('*'), { ...allow('s3:GetObject'), Effect: 'Deny' }),
  }),
  get('a session cuts a role that the bucket names', false, {
    session: policy(allow('ec2:*')),
    resourcePolicy: bucket(ofBucket({ AWS: ROLE_ARN })),
  }),
  get('boundary, session and identity together', true, {
    identity: [all],
    boundary: policy(allow('s3:*')),
    session: policy(allow('s3:Get*')),
  }),
  get('sessions issued before the revocation', false, {
    identity: [
      all,
      policy({
        ...allow('*', '*', { DateLessThan: { 'aws:TokenIssueTime': '2026-06-01T00:00:00Z' } }),
        Effect: 'Deny',
      }),
    ],
    context: { 'aws:TokenIssueTime': '2026-05-31T00:00:00Z' },
  }),
  get('sessions issued after the revocation', true, {
    identity: [
      all,
      policy({
        ...allow('*', '*', { DateLessThan: { 'aws:TokenIssueTime': '2026-06-01T00:00:00Z' } }),
        Effect: 'Deny',
      }),
    ],
    context: { 'aws:TokenIssueTime': '2026-06-01T00:00:01Z' },
  }),
];

/** Questions about policies of several kinds together: identity, bucket, boundary, session. */
export const KIND_CASES: readonly Case[] = [...BUCKETS, ...CUTS];
