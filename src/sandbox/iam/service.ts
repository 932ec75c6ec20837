import { type Account, type AccountStore, type Role, secretKey, uniqueId } from '../accounts/store.ts';
import { AwsError, type AwsRequest, type AwsResponse, type AwsService, type ServiceDeps } from '../service.ts';
import { integer, type Params, parseForm, text } from '../wire/query.ts';
import { toXml, type Xml } from '../wire/xml.ts';
import { parsePolicy, texts } from './policy.ts';

/** Limits. Source: "IAM and AWS STS quotas". */
const ROLE_INLINE_CHARACTERS_MAX = 10_240;
const TRUST_CHARACTERS_MAX = 2_048;

type Iam = ServiceDeps & { store: AccountStore };
type Ask = { request: AwsRequest; params: Params; account: Account; iam: Iam };
type Result = { [name: string]: Xml };

const missing = (what: string) => new AwsError('NoSuchEntity', 404, `${what} cannot be found.`);
const exists = (what: string) => new AwsError('EntityAlreadyExists', 409, `${what} already exists.`);

function required(params: Params, name: string, pattern = /^[\s\S]+$/): string {
  const value = text(params, name);
  if (value === undefined)
    throw new AwsError(
      'ValidationError',
      400,
      `1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`,
    );
  if (!pattern.test(value)) throw new AwsError('ValidationError', 400, `The specified value for ${name} is invalid.`);
  return value;
}
const NAME = /^[\w+=,.@-]{1,64}$/;
const partitionOf = (awsRegion: string) => (awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws');
/** Policies come back percent-encoded, as IAM's do (RFC 3986). */
const encoded = (document: string) => encodeURIComponent(document);

function roleOf({ account, params }: Ask): Role {
  const name = required(params, 'RoleName', NAME);
  const role = account.roles[name];
  if (!role) throw missing(`The role with name ${name}`);
  return role;
}

const roleXml = (role: Role): Result => ({
  Path: role.path,
  RoleName: role.name,
  RoleId: role.id,
  Arn: role.arn,
  CreateDate: role.createdAt,
  AssumeRolePolicyDocument: encoded(role.trust),
  Description: role.description,
  MaxSessionDuration: role.maxSessionSeconds,
});

function trust(params: Params, name: string): string {
  const document = required(params, name);
  if (document.replace(/\s/g, '').length > TRUST_CHARACTERS_MAX) {
    throw new AwsError('LimitExceeded', 409, `Cannot exceed quota for ACLSizePerRole: ${TRUST_CHARACTERS_MAX}`);
  }
  parsePolicy(document, 'trust');
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

function createRole(ask: Ask): Result {
  const { params, account, iam, request } = ask;
  const name = required(params, 'RoleName', NAME);
  if (account.roles[name]) throw exists(`Role with name ${name}`);
  const document = trust(params, 'AssumeRolePolicyDocument');
  const path = text(params, 'Path') ?? '/';
  const role: Role = {
    name,
    path,
    id: uniqueId('AROA'),
    arn: `arn:${partitionOf(request.awsRegion)}:iam::${account.id}:role${path}${name}`,
    trust: document,
    trustBindings: bindings(iam.store, document),
    inline: {},
    attached: [],
    description: text(params, 'Description') ?? '',
    maxSessionSeconds: integer(params, 'MaxSessionDuration') ?? 3_600,
    createdAt: iam.clock.now().toISOString(),
  };
  account.roles[name] = role;
  return { Role: roleXml(role) };
}

function putRolePolicy(ask: Ask): Result {
  const role = roleOf(ask);
  const name = required(ask.params, 'PolicyName', /^[\w+=,.@-]{1,128}$/);
  const document = required(ask.params, 'PolicyDocument');
  parsePolicy(document, 'identity');
  const inline = { ...role.inline, [name]: document };
  if (Object.values(inline).join('').replace(/\s/g, '').length > ROLE_INLINE_CHARACTERS_MAX) {
    throw new AwsError(
      'LimitExceeded',
      409,
      `Maximum policy size of ${ROLE_INLINE_CHARACTERS_MAX} bytes exceeded for role ${role.name}`,
    );
  }
  role.inline = inline;
  return {};
}

function userOf({ account, params }: Ask) {
  const name = required(params, 'UserName', NAME);
  const user = account.users[name];
  if (!user) throw missing(`The user with name ${name}`);
  return user;
}

function managedOf({ account, params }: Ask) {
  const arn = required(params, 'PolicyArn');
  const policy = account.policies[arn];
  if (!policy) throw missing(`Policy ${arn}`);
  return policy;
}

/** Every operation, by its Action. Each returns what stands in its Result element. */
const OPERATIONS: Record<string, (ask: Ask) => Result> = {
  CreateRole: createRole,
  GetRole: (ask) => ({ Role: roleXml(roleOf(ask)) }),
  ListRoles: ({ account }) => ({ Roles: { member: Object.values(account.roles).map(roleXml) }, IsTruncated: false }),
  DeleteRole: (ask) => {
    const role = roleOf(ask);
    if (Object.keys(role.inline).length + role.attached.length > 0) {
      throw new AwsError('DeleteConflict', 409, 'Cannot delete entity, must delete policies first.');
    }
    delete ask.account.roles[role.name];
    return {};
  },
  UpdateAssumeRolePolicy: (ask) => {
    const role = roleOf(ask);
    role.trust = trust(ask.params, 'PolicyDocument');
    role.trustBindings = bindings(ask.iam.store, role.trust);
    return {};
  },
  PutRolePolicy: putRolePolicy,
  GetRolePolicy: (ask) => {
    const role = roleOf(ask);
    const name = required(ask.params, 'PolicyName');
    const document = role.inline[name];
    if (document === undefined) throw missing(`The role policy with name ${name}`);
    return { RoleName: role.name, PolicyName: name, PolicyDocument: encoded(document) };
  },
  DeleteRolePolicy: (ask) => {
    const role = roleOf(ask);
    const name = required(ask.params, 'PolicyName');
    if (role.inline[name] === undefined) throw missing(`The role policy with name ${name}`);
    delete role.inline[name];
    return {};
  },
  ListRolePolicies: (ask) => ({ PolicyNames: { member: Object.keys(roleOf(ask).inline) }, IsTruncated: false }),
  CreatePolicy: ({ params, account, request, iam }) => {
    const name = required(params, 'PolicyName', /^[\w+=,.@-]{1,128}$/);
    const arn = `arn:${partitionOf(request.awsRegion)}:iam::${account.id}:policy/${name}`;
    if (account.policies[arn]) throw exists(`A policy called ${name}`);
    const document = required(params, 'PolicyDocument');
    parsePolicy(document, 'identity');
    account.policies[arn] = { name, id: uniqueId('ANPA'), arn, document, createdAt: iam.clock.now().toISOString() };
    return { Policy: { PolicyName: name, PolicyId: account.policies[arn].id, Arn: arn } };
  },
  AttachRolePolicy: (ask) => {
    const { arn } = managedOf(ask);
    const role = roleOf(ask);
    role.attached = [...new Set([...role.attached, arn])];
    return {};
  },
  DetachRolePolicy: (ask) => {
    const { arn } = managedOf(ask);
    const role = roleOf(ask);
    role.attached = role.attached.filter((other) => other !== arn);
    return {};
  },
  ListAttachedRolePolicies: (ask) => ({
    AttachedPolicies: {
      member: roleOf(ask).attached.map((arn) => ({ PolicyName: arn.split('/').at(-1), PolicyArn: arn })),
    },
    IsTruncated: false,
  }),
  CreateUser: ({ params, account, iam, request }) => {
    const name = required(params, 'UserName', NAME);
    if (account.users[name]) throw exists(`User with name ${name}`);
    const arn = `arn:${partitionOf(request.awsRegion)}:iam::${account.id}:user/${name}`;
    const user = { name, id: uniqueId('AIDA'), arn, inline: {}, createdAt: iam.clock.now().toISOString() };
    account.users[name] = user;
    return { User: { Path: '/', UserName: name, UserId: user.id, Arn: arn, CreateDate: user.createdAt } };
  },
  PutUserPolicy: (ask) => {
    const document = required(ask.params, 'PolicyDocument');
    parsePolicy(document, 'identity');
    userOf(ask).inline[required(ask.params, 'PolicyName')] = document;
    return {};
  },
  DeleteUser: (ask) => {
    const { name } = userOf(ask);
    if (ask.iam.store.keysOf(ask.account.id, name).length > 0) {
      throw new AwsError('DeleteConflict', 409, 'Cannot delete entity, must delete access keys first.');
    }
    delete ask.account.users[name];
    return {};
  },
  CreateAccessKey: (ask) => {
    const { name } = userOf(ask);
    const key = {
      accessKeyId: uniqueId('AKIA'),
      secretAccessKey: secretKey(),
      accountId: ask.account.id,
      userName: name,
    };
    ask.iam.store.putKey(key);
    return {
      AccessKey: {
        UserName: name,
        AccessKeyId: key.accessKeyId,
        Status: 'Active',
        SecretAccessKey: key.secretAccessKey,
      },
    };
  },
  DeleteAccessKey: (ask) => {
    ask.iam.store.deleteKey(required(ask.params, 'AccessKeyId'));
    return {};
  },
};

/** IAM: roles, inline and managed policies, users and their keys. */
export function createIam(deps: ServiceDeps, store: AccountStore): AwsService {
  const iam: Iam = { ...deps, store };
  return {
    async handle(request): Promise<AwsResponse> {
      const params = parseForm(request.body);
      const action = text(params, 'Action') ?? '';
      const operation = Object.hasOwn(OPERATIONS, action) ? OPERATIONS[action] : undefined;
      if (!operation) throw new AwsError('InvalidAction', 400, `The action ${action} is not valid for this endpoint.`);
      const { caller } = request;
      const decision = deps.authorize(caller, { action: `iam:${action}`, resource: '*' }, request);
      if (!decision.allowed) throw new AwsError('AccessDenied', 403, decision.reason);
      const result = operation({ request, params, account: store.ensureAccount(caller.accountId), iam });
      store.changed();
      const body = toXml({ [`${action}Result`]: result, ResponseMetadata: { RequestId: request.requestId } });
      const xml = `<${action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">${body}</${action}Response>`;
      return { status: 200, headers: { 'content-type': 'text/xml' }, body: xml };
    },
    async save() {},
  };
}
