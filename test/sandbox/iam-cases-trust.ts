import { trustPolicy } from '../../src/aws/policies/role.ts';
import { type Case, CUSTOMER, type Document, VENDOR } from './iam-judges.ts';

const ROLE = `arn:aws:iam::${CUSTOMER}:role/domicile-backup`;
const CONNECTOR = `arn:aws:iam::${VENDOR}:role/domicile-cell-eu-connector`;
const CONNECTOR_SESSION = `arn:aws:sts::${VENDOR}:assumed-role/domicile-cell-eu-connector/task`;
const ID = '3f2b0c1e-7d1a-4c55-9b0e-0f5a1c2d3e4f';
const EXTERNAL_ID = 'sts:ExternalId';

const policy = (...Statement: object[]): Document => ({ Version: '2012-10-17', Statement });
const mayAssume = policy({ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: `arn:aws:iam::*:role/domicile-*` });
const trust = (Condition: object, Principal: unknown = { AWS: `arn:aws:iam::${VENDOR}:root` }) =>
  policy({ Effect: 'Allow', Principal, Action: 'sts:AssumeRole', Condition });

const ours: Document = trustPolicy({ connectorRoleArn: CONNECTOR, externalId: ID });

/** One AssumeRole by our connector; what differs from that is named. */
const assume = (name: string, allowed: boolean, externalId: string | null, changes: Partial<Case> = {}): Case => ({
  name: `trust: ${name}`,
  allowed,
  action: 'sts:AssumeRole',
  resource: ROLE,
  principal: CONNECTOR_SESSION,
  identity: [mayAssume],
  resourcePolicy: ours,
  context: externalId === null ? {} : { [EXTERNAL_ID]: externalId },
  ...changes,
});
const by = (Condition: object, Principal?: unknown) => ({ resourcePolicy: trust(Condition, Principal) });

const EXTERNAL_IDS: readonly Case[] = [
  assume('the right External ID', true, ID),
  assume('a wrong External ID', false, '00000000-7d1a-4c55-9b0e-0f5a1c2d3e4f'),
  assume('no External ID', false, null),
  assume('an External ID in capitals', false, ID.toUpperCase()),
  assume('an External ID with something behind it', false, `${ID}0`),
  assume('a part of the External ID', false, ID.slice(0, -1)),
  assume('a star as External ID', false, '*'),
  assume('the right one of two External IDs', true, ID, by({ StringEquals: { [EXTERNAL_ID]: ['old-id', ID] } })),
  assume('StringLike with a star takes any External ID', true, 'any', by({ StringLike: { [EXTERNAL_ID]: '*' } })),
  assume('StringLike with a star still wants one', false, null, by({ StringLike: { [EXTERNAL_ID]: '*' } })),
  assume('IfExists takes none', true, null, by({ StringEqualsIfExists: { [EXTERNAL_ID]: ID } })),
  assume('IfExists takes no wrong one', false, 'wrong', by({ StringEqualsIfExists: { [EXTERNAL_ID]: ID } })),
  assume('ForAllValues takes none', true, null, by({ 'ForAllValues:StringEquals': { [EXTERNAL_ID]: ID } })),
  assume('ForAnyValue takes none no more', false, null, by({ 'ForAnyValue:StringEquals': { [EXTERNAL_ID]: ID } })),
  assume('IgnoreCase takes capitals', true, ID.toUpperCase(), by({ StringEqualsIgnoreCase: { [EXTERNAL_ID]: ID } })),
  assume('without a condition none is needed', true, null, by({})),
  assume('Null false takes any', true, 'any', by({ Null: { [EXTERNAL_ID]: 'false' } })),
  assume('Null false wants one', false, null, by({ Null: { [EXTERNAL_ID]: 'false' } })),
  assume('StringNotEquals takes none', true, null, by({ StringNotEquals: { [EXTERNAL_ID]: 'bad' } })),
];

const PRINCIPALS: readonly Case[] = [
  assume('another role of our account', false, ID, {
    principal: `arn:aws:sts::${VENDOR}:assumed-role/somebody-else/task`,
  }),
  assume('a role of that name in another account', false, ID, {
    principal: 'arn:aws:sts::333333333333:assumed-role/domicile-cell-eu-connector/task',
  }),
  assume('a user of our account', false, ID, { principal: `arn:aws:iam::${VENDOR}:user/domicile-cell-eu-connector` }),
  assume('our connector without the right to assume', false, ID, { identity: [] }),
  assume('our connector with that right for other roles', false, ID, {
    identity: [policy({ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: `arn:aws:iam::*:role/other-*` })],
  }),
  assume('our connector, denied by its own account', false, ID, {
    identity: [mayAssume, policy({ Effect: 'Deny', Action: 'sts:*', Resource: '*' })],
  }),
  assume('our connector, cut by its session', false, ID, {
    session: policy({ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }),
  }),
  assume('our connector, cut by its boundary', false, ID, {
    boundary: policy({ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }),
  }),
  assume('a role named by its ARN', true, null, by({}, { AWS: CONNECTOR })),
  assume('a session named by its ARN', true, null, by({}, { AWS: CONNECTOR_SESSION })),
  assume('another session than the one named', false, null, by({}, { AWS: `${CONNECTOR_SESSION}-2` })),
  assume('an account named by its number', true, null, by({}, { AWS: VENDOR })),
  assume('a service', false, null, by({}, { Service: 'ecs-tasks.amazonaws.com' })),
  assume('one of several', true, null, by({}, { AWS: ['arn:aws:iam::333333333333:root', CONNECTOR] })),
  assume('a trust policy that denies', false, null, {
    resourcePolicy: policy(
      { Effect: 'Allow', Principal: { AWS: CONNECTOR }, Action: 'sts:AssumeRole' },
      { Effect: 'Deny', Principal: '*', Action: 'sts:AssumeRole' },
    ),
  }),
  assume('a trust policy for another action', false, null, {
    resourcePolicy: policy({ Effect: 'Allow', Principal: { AWS: CONNECTOR }, Action: 'sts:TagSession' }),
  }),
];

const within = (name: string, allowed: boolean, changes: Partial<Case>): Case =>
  assume(`in one account, ${name}`, allowed, null, {
    principal: `arn:aws:sts::${CUSTOMER}:assumed-role/worker/task`,
    ...changes,
  });
const WORKER = `arn:aws:iam::${CUSTOMER}:role/worker`;
const SAME_ACCOUNT: readonly Case[] = [
  within('naming the role is enough', true, { ...by({}, { AWS: WORKER }), identity: [] }),
  within('naming the root leaves it to IAM', false, { ...by({}, { AWS: CUSTOMER }), identity: [] }),
  within('naming the root and IAM together', true, by({}, { AWS: CUSTOMER })),
  within('IAM alone is not enough', false, by({}, { AWS: VENDOR })),
];

/** Questions about trust policies: ours, and those that customers write instead. */
export const TRUST_CASES: readonly Case[] = [...EXTERNAL_IDS, ...PRINCIPALS, ...SAME_ACCOUNT];
