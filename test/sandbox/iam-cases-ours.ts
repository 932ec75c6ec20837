import { type Case, CUSTOMER, type Document, SESSION } from './iam-judges.ts';

/** A question that the other simulator cannot be asked: it says why, and where AWS documents the verdict. */
export type OwnCase = Case & {
  why: 'encryption context' | 'session named by its ARN' | 'version of the policy';
  source: string;
};

const GUIDE = {
  context: 'KMS developer guide, "AWS KMS condition keys": kms:EncryptionContext:context-key',
  contextKeys: 'KMS developer guide, "AWS KMS condition keys": kms:EncryptionContextKeys',
  version: 'IAM guide, "IAM JSON policy elements: Version": before 2012-10-17 a variable is literal text',
  session:
    'IAM guide, "Policy evaluation logic": permissions granted to a role session are not limited by a session policy',
};
const KEY = `arn:aws:kms:eu-central-1:${CUSTOMER}:key/11111111-2222-3333-4444-555555555555`;
const TENANT = 'kms:EncryptionContext:tenant';
const policy = (...Statement: object[]): Document => ({ Version: '2012-10-17', Statement });
const ofAccount = policy({
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${CUSTOMER}:root` },
  Action: 'kms:*',
  Resource: '*',
});

/** A restorer that opens data keys of its own tenant only. */
const decrypt = (name: string, allowed: boolean, context: Case['context'], Condition: object): OwnCase => ({
  name: `encryption context: ${name}`,
  why: 'encryption context',
  source: GUIDE.context,
  allowed,
  action: 'kms:Decrypt',
  resource: KEY,
  identity: [policy({ Effect: 'Allow', Action: 'kms:Decrypt', Resource: KEY, Condition })],
  resourcePolicy: ofAccount,
  context: context ?? {},
});
const mine = { StringEquals: { [TENANT]: 'ten_1' } };
const tagged = { StringEquals: { [TENANT]: '${aws:PrincipalTag/tenant}' } };
const only = { 'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': ['tenant', 'purpose'] } };

const CONTEXTS: readonly OwnCase[] = [
  decrypt('its own tenant', true, { [TENANT]: 'ten_1' }, mine),
  decrypt("another tenant's", false, { [TENANT]: 'ten_2' }, mine),
  decrypt('none at all', false, {}, mine),
  decrypt('the value minds case', false, { [TENANT]: 'TEN_1' }, mine),
  decrypt('the name does not', true, { 'kms:EncryptionContext:Tenant': 'ten_1' }, mine),
  decrypt('another name', false, { 'kms:EncryptionContext:purpose': 'ten_1' }, mine),
  decrypt("the session's tag", true, { [TENANT]: 'ten_1', 'aws:PrincipalTag/tenant': 'ten_1' }, tagged),
  decrypt("another session's tag", false, { [TENANT]: 'ten_1', 'aws:PrincipalTag/tenant': 'ten_2' }, tagged),
  decrypt('a session without a tag', false, { [TENANT]: 'ten_1' }, tagged),
  ...[
    decrypt('only known names', true, { 'kms:EncryptionContextKeys': ['tenant'] }, only),
    decrypt('a name that is not known', false, { 'kms:EncryptionContextKeys': ['tenant', 'more'] }, only),
    decrypt('names mind case here', false, { 'kms:EncryptionContextKeys': ['Tenant'] }, only),
  ].map((it) => ({ ...it, source: GUIDE.contextKeys })),
];

const bucketFor = (AWS: string) =>
  policy({ Effect: 'Allow', Principal: { AWS }, Action: 's3:GetObject', Resource: 'arn:aws:s3:::vault/*' });
const NAMED_SESSIONS: readonly OwnCase[] = [
  { AWS: SESSION, allowed: true, name: 'a session policy does not cut what names the session' },
  { AWS: `${SESSION}-2`, allowed: false, name: 'what names another session gives nothing' },
].map(({ AWS, allowed, name }) => ({
  name,
  allowed,
  why: 'session named by its ARN',
  source: GUIDE.session,
  action: 's3:GetObject',
  resource: 'arn:aws:s3:::vault/packs/1',
  resourceAccountId: CUSTOMER,
  identity: [],
  session: policy({ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }),
  resourcePolicy: bucketFor(AWS),
}));

const VERSIONS: readonly OwnCase[] = ['2012-10-17', '2008-10-17', undefined].map((Version) => ({
  name: `a variable in a policy of version ${Version ?? 'none'}`,
  why: 'version of the policy',
  source: GUIDE.version,
  allowed: Version === '2012-10-17',
  action: 's3:GetObject',
  resource: 'arn:aws:s3:::vault/packs/1',
  resourceAccountId: CUSTOMER,
  context: { 'aws:PrincipalTag/team': 'packs' },
  identity: [
    {
      ...(Version === undefined ? {} : { Version }),
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: 'arn:aws:s3:::vault/${aws:PrincipalTag/team}/*' }],
    },
  ],
}));

/** What only the sandbox is asked, each with AWS's page as its reason. */
export const OWN_CASES: readonly OwnCase[] = [...CONTEXTS, ...NAMED_SESSIONS, ...VERSIONS];
