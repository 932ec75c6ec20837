import { type Account, type ManagedPolicy, uniqueId } from '../accounts/store.ts';
import { AwsError } from '../service.ts';
import { text } from '../wire/query.ts';
import { parsePolicy, policyLength } from './policy.ts';
import {
  encoded,
  exceeded,
  exists,
  iamArn,
  managedOf,
  type Operation,
  pathOf,
  POLICY_NAME,
  required,
  type Result,
} from './request.ts';

/** Source: "IAM and AWS STS quotas". */
const CHARACTERS_MAX = 6_144;
const VERSION = 'v1';

const usesOf = (account: Account, arn: string) => {
  const roles = Object.values(account.roles);
  return {
    attachments: roles.filter(({ attached }) => attached.includes(arn)).length,
    boundaries: [...roles, ...Object.values(account.users)].filter(({ boundary }) => boundary === arn).length,
  };
};

function policyXml(account: Account, policy: ManagedPolicy): Result {
  const { attachments, boundaries } = usesOf(account, policy.arn);
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: policy.arn,
    Path: policy.arn.replace(/^[^/]*(\/(?:.*\/)?)[^/]*$/, '$1'),
    DefaultVersionId: VERSION,
    AttachmentCount: attachments,
    PermissionsBoundaryUsageCount: boundaries,
    IsAttachable: true,
    CreateDate: policy.createdAt,
    UpdateDate: policy.createdAt,
  };
}

const versionXml = (policy: ManagedPolicy, withDocument: boolean): Result => ({
  ...(withDocument ? { Document: encoded(policy.document) } : {}),
  VersionId: VERSION,
  IsDefaultVersion: true,
  CreateDate: policy.createdAt,
});

/** Operations on managed policies. Each has one version: its first. */
export const MANAGED_POLICY_OPERATIONS: Record<string, Operation> = {
  CreatePolicy: (ask) => {
    const { params, account, iam } = ask;
    const name = required(params, 'PolicyName', POLICY_NAME);
    const arn = iamArn(ask, `policy${pathOf(params)}${name}`);
    if (Object.values(account.policies).some((policy) => policy.name === name)) throw exists(`A policy called ${name}`);
    const document = required(params, 'PolicyDocument');
    parsePolicy(document, 'identity');
    if (policyLength(document) > CHARACTERS_MAX) throw exceeded('PolicySize', CHARACTERS_MAX);
    const policy = { name, id: uniqueId('ANPA'), arn, document, createdAt: iam.clock.now().toISOString() };
    account.policies[arn] = policy;
    return { Policy: policyXml(account, policy) };
  },
  GetPolicy: (ask) => ({
    Policy: policyXml(ask.account, managedOf(ask, required(ask.params, 'PolicyArn'))),
  }),
  GetPolicyVersion: (ask) => {
    const policy = managedOf(ask, required(ask.params, 'PolicyArn'));
    const version = required(ask.params, 'VersionId');
    if (version !== VERSION)
      throw new AwsError('NoSuchEntity', 404, `Policy ${policy.arn} version ${version} does not exist.`);
    return { PolicyVersion: versionXml(policy, true) };
  },
  ListPolicyVersions: (ask) => ({
    Versions: { member: [versionXml(managedOf(ask, required(ask.params, 'PolicyArn')), false)] },
    IsTruncated: false,
  }),
  ListPolicies: ({ account, params }) => ({
    Policies: {
      member:
        text(params, 'Scope') === 'AWS'
          ? []
          : Object.values(account.policies).map((policy) => policyXml(account, policy)),
    },
    IsTruncated: false,
  }),
  DeletePolicy: (ask) => {
    const { arn } = managedOf(ask, required(ask.params, 'PolicyArn'));
    const { attachments, boundaries } = usesOf(ask.account, arn);
    if (attachments + boundaries > 0)
      throw new AwsError('DeleteConflict', 409, 'Cannot delete a policy attached to entities.');
    if (!ask.account.policies[arn]) throw new AwsError('AccessDenied', 403, `${arn} belongs to AWS.`);
    delete ask.account.policies[arn];
    return {};
  },
};
