import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import type { Clock } from '../../core/clock.ts';
import { type AccountStore, type Role, secretKey, uniqueId } from '../accounts/store.ts';
import { evaluate } from '../iam/evaluate.ts';
import { toContext } from '../iam/match.ts';
import { parsePolicy } from '../iam/policy.ts';
import {
  AwsError,
  type AwsRequest,
  type AwsResponse,
  type AwsService,
  type Caller,
  type ServiceDeps,
} from '../service.ts';
import { integer, nestedList, type Params, parseForm, text } from '../wire/query.ts';
import { toXml, type Xml } from '../wire/xml.ts';

/** Limits of AssumeRole. Source: STS API reference. */
const SESSION_POLICY_CHARACTERS_MAX = 2_048;
const PACKED_BYTES_MAX = 1_500; // our stand-in for AWS's undisclosed packing: its limit is a percentage of its own
const CHAINED_SECONDS_MAX = 3_600;
const SECONDS_DEFAULT = 3_600;

const invalid = (message: string) => new AwsError('ValidationError', 400, message);

function answer(operation: string, requestId: string, result: { [name: string]: Xml }): AwsResponse {
  const body = toXml({ [`${operation}Result`]: result, ResponseMetadata: { RequestId: requestId } });
  return {
    status: 200,
    headers: { 'content-type': 'text/xml' },
    body: `<${operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${body}</${operation}Response>`,
  };
}

/** ARN of a session, as GetCallerIdentity shows it. */
export function sessionArn(role: Role, sessionName: string): string {
  return role.arn.replace(':iam:', ':sts:').replace(/:role\/.*$/, `:assumed-role/${role.name}/${sessionName}`);
}

const packedBytes = (policies: readonly string[]) => deflateRawSync(policies.join('')).length;

/** Makes a role session and keeps it. Also used for the task credentials that ECS would hand out. */
export function startSession(
  store: AccountStore,
  clock: Clock,
  options: {
    accountId: string;
    role: Role;
    sessionName: string;
    seconds: number;
    policies: string[] | null;
    tags: Record<string, string>;
  },
) {
  const now = clock.now();
  const session = {
    accessKeyId: uniqueId('ASIA'),
    secretAccessKey: secretKey(),
    token: randomBytes(96).toString('base64'),
    accountId: options.accountId,
    roleName: options.role.name,
    roleId: options.role.id,
    sessionName: options.sessionName,
    policies: options.policies,
    tags: options.tags,
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + options.seconds * 1000).toISOString(),
  };
  store.putSession(session);
  return session;
}

function sessionPolicies(store: AccountStore, accountId: string, params: Params): string[] | null {
  const inline = text(params, 'Policy');
  const arns = nestedList(params, 'PolicyArns').map((item) => text(item, 'arn') ?? '');
  if (inline === undefined && arns.length === 0) return null;
  const total = (inline ?? '').length + arns.join('').length;
  if (total > SESSION_POLICY_CHARACTERS_MAX) {
    throw invalid(
      `1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to ${SESSION_POLICY_CHARACTERS_MAX}`,
    );
  }
  if (inline !== undefined) parsePolicy(inline, 'identity');
  if (inline !== undefined && packedBytes([inline]) > PACKED_BYTES_MAX) {
    throw new AwsError(
      'PackedPolicyTooLarge',
      400,
      'Packed policy consumes more than 100% of allotted space, please use smaller policy.',
    );
  }
  const managed = arns.map((arn) => {
    const document = store.account(accountId)?.policies[arn]?.document;
    if (document === undefined) throw new AwsError('MalformedPolicyDocument', 400, `The policy ${arn} does not exist`);
    return document;
  });
  return [...(inline === undefined ? [] : [inline]), ...managed];
}

/** Is every principal that the trust policy names still the one that it named when it was saved? */
function trustedAs(caller: Caller, role: Role): { arn: string; principalArn: string } {
  const bound = role.trustBindings[caller.principalArn];
  if (bound === undefined || bound === caller.userId.split(':')[0]) return caller;
  return { arn: `${caller.arn}#recreated`, principalArn: `${caller.principalArn}#recreated` };
}

type Sts = Pick<ServiceDeps, 'clock' | 'authorize'> & { store: AccountStore };
type AskContext = Record<string, string | string[]>;

const denied = (caller: Caller, action: string, roleArn: string) =>
  new AwsError(
    'AccessDenied',
    403,
    `User: ${caller.arn} is not authorized to perform: ${action} on resource: ${roleArn}`,
  );

const accountOf = (role: Role) => role.arn.split(':')[4] ?? '';
const ANYTHING = { Statement: [{ Effect: 'Allow' as const, Action: '*', Resource: '*' }] };

/** Both sides must agree: the role's trust policy, and the policies of whoever asks. */
function mayDo(sts: Sts, request: AwsRequest, role: Role, ask: { action: string; context: AskContext }): boolean {
  const { caller } = request;
  const byTrust = evaluate({
    principal: { ...caller, ...trustedAs(caller, role), uniqueId: caller.userId.split(':')[0] ?? '' },
    action: ask.action,
    resource: role.arn,
    resourceAccountId: accountOf(role),
    context: toContext([
      ['aws:PrincipalArn', caller.principalArn],
      ['aws:PrincipalAccount', caller.accountId],
      ...Object.entries(ask.context),
    ]),
    identityPolicies: [ANYTHING],
    sessionPolicies: null,
    resourcePolicy: parsePolicy(role.trust, 'trust'),
    resourcePolicyRequired: true,
  });
  return byTrust.allowed && sts.authorize(caller, { ...ask, resource: role.arn }, request).allowed;
}

/** What the request asks to do, each with the condition keys that its policies may test. */
function asked(params: Params): { actions: string[]; context: AskContext; tags: Record<string, string> } {
  const externalId = text(params, 'ExternalId');
  const sourceIdentity = text(params, 'SourceIdentity');
  const tags = Object.fromEntries(
    nestedList(params, 'Tags').map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? '']),
  );
  const tagged = Object.keys(tags).length > 0;
  const context: AskContext = {
    'sts:RoleSessionName': text(params, 'RoleSessionName') ?? '',
    ...(externalId === undefined ? {} : { 'sts:ExternalId': externalId }),
    ...(sourceIdentity === undefined ? {} : { 'sts:SourceIdentity': sourceIdentity }),
    ...Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, value])),
    ...(tagged ? { 'aws:TagKeys': Object.keys(tags) } : {}),
  };
  const also = [
    ...(tagged ? ['sts:TagSession'] : []),
    ...(sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
  ];
  return { actions: ['sts:AssumeRole', ...also], context, tags };
}

function checkForm(params: Params): void {
  const externalId = text(params, 'ExternalId');
  if (!/^[\w+=,.@-]{2,64}$/.test(text(params, 'RoleSessionName') ?? '')) {
    throw invalid(
      "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: [\\w+=,.@-]{2,64}",
    );
  }
  if (externalId !== undefined && !/^[\w+=,.@:/-]{2,1224}$/.test(externalId)) {
    throw invalid("1 validation error detected: Value at 'externalId' failed to satisfy constraint: [\\w+=,.@:\\/-]*");
  }
}

function assumeRole(sts: Sts, request: AwsRequest, params: Params): AwsResponse {
  const { caller } = request;
  checkForm(params);
  if (caller.kind === 'root') throw new AwsError('AccessDenied', 403, 'Roles may not be assumed by root accounts.');
  const roleArn = text(params, 'RoleArn') ?? '';
  const [, accountId = '', path = ''] = /^arn:[a-z-]+:iam::(\d{12}):role\/(.+)$/.exec(roleArn) ?? [];
  const role = sts.store.account(accountId)?.roles[path.split('/').at(-1) ?? ''];
  if (!role || role.arn !== roleArn) throw denied(caller, 'sts:AssumeRole', roleArn);
  const { actions, context, tags } = asked(params);
  for (const action of actions) {
    if (!mayDo(sts, request, role, { action, context })) throw denied(caller, action, roleArn);
  }
  const seconds = sessionSeconds(params, role, caller.kind === 'role');
  const policies = sessionPolicies(sts.store, accountId, params);
  const sessionName = text(params, 'RoleSessionName') ?? '';
  const session = startSession(sts.store, sts.clock, { accountId, role, sessionName, seconds, policies, tags });
  const packed =
    policies === null ? {} : { PackedPolicySize: Math.ceil((100 * packedBytes(policies)) / PACKED_BYTES_MAX) };
  return answer('AssumeRole', request.requestId, {
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.token,
      Expiration: session.expiresAt,
    },
    AssumedRoleUser: { AssumedRoleId: `${role.id}:${sessionName}`, Arn: sessionArn(role, sessionName) },
    ...packed,
  });
}

/** STS: AssumeRole and GetCallerIdentity, in every region. */
export function createSts(deps: ServiceDeps, store: AccountStore): AwsService {
  const sts: Sts = { clock: deps.clock, authorize: deps.authorize, store };
  return {
    async handle(request) {
      const params = parseForm(request.body);
      const action = text(params, 'Action');
      if (action === 'AssumeRole') return assumeRole(sts, request, params);
      if (action === 'GetCallerIdentity') {
        const { arn, userId, accountId } = request.caller;
        return answer('GetCallerIdentity', request.requestId, { Arn: arn, UserId: userId, Account: accountId });
      }
      throw new AwsError('InvalidAction', 400, `The action ${action ?? ''} is not valid for this endpoint.`);
    },
    async save() {},
  };
}

function sessionSeconds(params: Params, role: Role, chained: boolean): number {
  const seconds = integer(params, 'DurationSeconds') ?? SECONDS_DEFAULT;
  if (!Number.isInteger(seconds) || seconds < 900)
    throw invalid(
      "Value at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900",
    );
  if (chained && seconds > CHAINED_SECONDS_MAX)
    throw invalid('The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining');
  if (seconds > role.maxSessionSeconds)
    throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
  return seconds;
}
