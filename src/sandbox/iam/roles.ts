import { type AccountStore, type Role, uniqueId } from '../accounts/store.ts';
import { AwsError } from '../service.ts';
import { integer, type Params, text, textList } from '../wire/query.ts';
import { deleteInline, getInline, listInline, putInline } from './inline-policies.ts';
import { texts } from './match.ts';
import { parsePolicy, policyLength } from './policy.ts';
import {
  type Ask,
  boundaryXml,
  conflict,
  encoded,
  exceeded,
  exists,
  iamArn,
  invalid,
  limitTags,
  managedOf,
  missing,
  missingPolicy,
  NAME,
  type Operation,
  pathOf,
  required,
  type Result,
  roleOf,
  tagsOf,
  tagsXml,
} from './request.ts';

/** Limits. Source: "IAM and AWS STS quotas". */
const TRUST_CHARACTERS_MAX = 2_048;
const MANAGED_POLICIES_MAX = 10;
const SESSION_SECONDS = { least: 3_600, most: 43_200 };

const roleXml = (role: Role): Result => ({
  Path: role.path,
  RoleName: role.name,
  RoleId: role.id,
  Arn: role.arn,
  CreateDate: role.createdAt,
  AssumeRolePolicyDocument: encoded(role.trust),
  Description: role.description,
  MaxSessionDuration: role.maxSessionSeconds,
  PermissionsBoundary: boundaryXml(role.boundary),
  Tags: tagsXml(role.tags),
});

function trust(params: Params, name: string): string {
  const document = required(params, name);
  parsePolicy(document, 'trust');
  if (policyLength(document) > TRUST_CHARACTERS_MAX) throw exceeded('ACLSizePerRole', TRUST_CHARACTERS_MAX);
  return document;
}

/** A role or user that a trust policy names is bound by its immutable id when the policy is saved; an unknown one is refused. */
function bindings(store: AccountStore, document: string): Record<string, string> {
  const bound: Record<string, string> = {};
  for (const statement of parsePolicy(document, 'trust').Statement) {
    const principal = statement.Principal as { AWS?: unknown } | '*' | undefined;
    for (const arn of typeof principal === 'object' ? texts(principal.AWS) : []) {
      const [, accountId = '', kind, path = ''] = /^arn:[a-z-]+:iam::(\d{12}):(role|user)\/(.+)$/.exec(arn) ?? [];
      if (!kind) continue;
      const name = path.split('/').at(-1) ?? '';
      const named = kind === 'role' ? store.account(accountId)?.roles[name] : store.account(accountId)?.users[name];
      if (!named) throw new AwsError('MalformedPolicyDocument', 400, `Invalid principal in policy: "AWS":"${arn}"`);
      bound[arn] = named.id;
    }
  }
  return bound;
}

function sessionSeconds(params: Params): number | undefined {
  const seconds = integer(params, 'MaxSessionDuration');
  if (seconds !== undefined && !(seconds >= SESSION_SECONDS.least && seconds <= SESSION_SECONDS.most))
    throw invalid(
      `1 validation error detected: Value '${seconds}' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between ${SESSION_SECONDS.least} and ${SESSION_SECONDS.most}`,
    );
  return seconds;
}

function createRole(ask: Ask): Result {
  const { params, account, iam } = ask;
  const name = required(params, 'RoleName', NAME);
  if (account.roles[name]) throw exists(`Role with name ${name}`);
  const document = trust(params, 'AssumeRolePolicyDocument');
  const path = pathOf(params);
  const boundary = text(params, 'PermissionsBoundary');
  if (boundary !== undefined) managedOf(ask, boundary);
  const role: Role = {
    name,
    path,
    id: uniqueId('AROA'),
    arn: iamArn(ask, `role${path}${name}`),
    trust: document,
    trustBindings: bindings(iam.store, document),
    inline: {},
    attached: [],
    description: text(params, 'Description') ?? '',
    ...(boundary === undefined ? {} : { boundary }),
    tags: limitTags(tagsOf(params)),
    maxSessionSeconds: sessionSeconds(params) ?? SESSION_SECONDS.least,
    createdAt: iam.clock.now().toISOString(),
  };
  account.roles[name] = role;
  return { Role: roleXml(role) };
}

function deleteRole(ask: Ask): Result {
  const role = roleOf(ask);
  if (role.attached.length > 0) throw conflict('detach all policies');
  if (Object.keys(role.inline).length > 0) throw conflict('delete policies');
  delete ask.account.roles[role.name];
  return {};
}

const holderOf = (ask: Ask) => ({ kind: 'role' as const, ...roleOf(ask) });

function attach(ask: Ask): Result {
  const role = roleOf(ask);
  const { arn } = managedOf(ask, required(ask.params, 'PolicyArn'));
  if (role.attached.includes(arn)) return {};
  if (role.attached.length >= MANAGED_POLICIES_MAX) throw exceeded('PoliciesPerRole', MANAGED_POLICIES_MAX);
  role.attached = [...role.attached, arn];
  return {};
}

function detach(ask: Ask): Result {
  const role = roleOf(ask);
  const arn = required(ask.params, 'PolicyArn');
  if (!role.attached.includes(arn)) throw missingPolicy(arn);
  role.attached = role.attached.filter((other) => other !== arn);
  return {};
}

/** Operations on roles, their inline policies, attachments, boundary and tags. */
export const ROLE_OPERATIONS: Record<string, Operation> = {
  CreateRole: createRole,
  DeleteRole: deleteRole,
  GetRole: (ask) => ({ Role: roleXml(roleOf(ask)) }),
  ListRoles: ({ account }) => ({ Roles: { member: Object.values(account.roles).map(roleXml) }, IsTruncated: false }),
  UpdateRole: (ask) => {
    const role = roleOf(ask);
    role.maxSessionSeconds = sessionSeconds(ask.params) ?? role.maxSessionSeconds;
    role.description = text(ask.params, 'Description') ?? role.description;
    return {};
  },
  UpdateAssumeRolePolicy: (ask) => {
    const role = roleOf(ask);
    const document = trust(ask.params, 'PolicyDocument');
    role.trustBindings = bindings(ask.iam.store, document);
    role.trust = document;
    return {};
  },
  PutRolePolicy: (ask) => {
    roleOf(ask).inline = putInline(ask, holderOf(ask));
    return {};
  },
  GetRolePolicy: (ask) => getInline(ask, holderOf(ask)),
  DeleteRolePolicy: (ask) => {
    roleOf(ask).inline = deleteInline(ask, holderOf(ask));
    return {};
  },
  ListRolePolicies: (ask) => listInline(holderOf(ask)),
  AttachRolePolicy: attach,
  DetachRolePolicy: detach,
  ListAttachedRolePolicies: (ask) => ({
    AttachedPolicies: {
      member: roleOf(ask).attached.map((arn) => ({ PolicyName: arn.split('/').at(-1), PolicyArn: arn })),
    },
    IsTruncated: false,
  }),
  PutRolePermissionsBoundary: (ask) => {
    roleOf(ask).boundary = managedOf(ask, required(ask.params, 'PermissionsBoundary')).arn;
    return {};
  },
  DeleteRolePermissionsBoundary: (ask) => {
    const role = roleOf(ask);
    if (role.boundary === undefined) throw missing(`The permissions boundary of role ${role.name}`);
    delete role.boundary;
    return {};
  },
  TagRole: (ask) => {
    const role = roleOf(ask);
    role.tags = limitTags({ ...role.tags, ...tagsOf(ask.params) });
    return {};
  },
  UntagRole: (ask) => {
    const role = roleOf(ask);
    const gone = textList(ask.params, 'TagKeys');
    role.tags = Object.fromEntries(Object.entries(role.tags ?? {}).filter(([key]) => !gone.includes(key)));
    return {};
  },
  ListRoleTags: (ask) => ({ Tags: tagsXml(roleOf(ask).tags), IsTruncated: false }),
};
