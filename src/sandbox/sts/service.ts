import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import type { Clock } from '../../core/clock.ts';
import { type AccountStore, type Role, secretKey, type Session, uniqueId } from '../accounts/store.ts';
import { nameOf, sessionOf } from '../iam/authorizer.ts';
import { awsManagedPolicy } from '../iam/aws-managed.ts';
import { texts } from '../iam/match.ts';
import { parsePolicy, type Policy } from '../iam/policy.ts';
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
import { type AskContext, asked } from './asked.ts';

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

function newCredentials(clock: Clock, seconds: number) {
  const now = clock.now();
  return {
    accessKeyId: uniqueId('ASIA'),
    secretAccessKey: secretKey(),
    token: randomBytes(96).toString('base64'),
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + seconds * 1000).toISOString(),
  };
}

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
    transitive?: string[];
    sourceIdentity?: string | undefined;
  },
): Session {
  const session = {
    ...newCredentials(clock, options.seconds),
    accountId: options.accountId,
    roleName: options.role.name,
    roleId: options.role.id,
    sessionName: options.sessionName,
    policies: options.policies,
    tags: options.tags,
    transitive: options.transitive ?? [],
    ...(options.sourceIdentity === undefined ? {} : { sourceIdentity: options.sourceIdentity }),
  };
  store.putSession(session);
  return session;
}

const credentialsXml = (session: Session): Xml => ({
  AccessKeyId: session.accessKeyId,
  SecretAccessKey: session.secretAccessKey,
  SessionToken: session.token,
  Expiration: session.expiresAt,
});

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
    const document = (store.effective(accountId)?.policies[arn] ?? awsManagedPolicy(arn))?.document;
    if (document === undefined) throw new AwsError('MalformedPolicyDocument', 400, `The policy ${arn} does not exist`);
    return document;
  });
  return [...(inline === undefined ? [] : [inline]), ...managed];
}

/**
 * The trust policy as it was bound when it was saved: by the immutable ids of the roles and users that it names, so that
 * one made again under an old name is not the one that was trusted.
 */
function boundTrust(role: Role): Policy {
  const trust = parsePolicy(role.trust, 'trust');
  const bound = (element: unknown) =>
    typeof element === 'object' && element !== null && 'AWS' in element
      ? { ...element, AWS: texts(element.AWS).map((arn) => role.trustBindings[arn] ?? arn) }
      : element;
  const statements = trust.Statement.map((it) => ({
    ...it,
    ...(it.Principal === undefined ? {} : { Principal: bound(it.Principal) }),
    ...(it.NotPrincipal === undefined ? {} : { NotPrincipal: bound(it.NotPrincipal) }),
  }));
  return { ...trust, Statement: statements };
}

type Sts = Pick<ServiceDeps, 'clock' | 'authorize'> & { store: AccountStore };

const denied = (caller: Caller, action: string, roleArn: string) =>
  new AwsError(
    'AccessDenied',
    403,
    `User: ${caller.arn} is not authorized to perform: ${action} on resource: ${roleArn}`,
  );

const accountOf = (role: Role) => role.arn.split(':')[4] ?? '';

/** Both sides must agree, unless the trust policy names someone of its own account: then it is enough. */
function mayDo(sts: Sts, request: AwsRequest, role: Role, ask: { action: string; context: AskContext }): boolean {
  return sts.authorize(
    request.caller,
    {
      ...ask,
      resource: role.arn,
      resourceAccountId: accountOf(role),
      resourcePolicy: boundTrust(role),
      resourcePolicyRequired: true,
    },
    request,
  ).allowed;
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
  const identity = text(params, 'SourceIdentity');
  if (identity !== undefined && (!/^[\w+=,.@-]{2,64}$/.test(identity) || identity.startsWith('aws:'))) {
    throw invalid("1 validation error detected: Value at 'sourceIdentity' failed to satisfy constraint: [\\w+=,.@-]*");
  }
}

function assumeRole(sts: Sts, request: AwsRequest, params: Params): AwsResponse {
  const { caller } = request;
  checkForm(params);
  if (caller.kind === 'root') throw new AwsError('AccessDenied', 403, 'Roles may not be assumed by root accounts.');
  const roleArn = text(params, 'RoleArn') ?? '';
  const [, accountId = '', path = ''] = /^arn:[a-z-]+:iam::(\d{12}):role\/(.+)$/.exec(roleArn) ?? [];
  const role = sts.store.effective(accountId)?.roles[path.split('/').at(-1) ?? ''];
  if (!role || role.arn !== roleArn) throw denied(caller, 'sts:AssumeRole', roleArn);
  const before = sessionOf(sts.store, request);
  const { actions, context, ...carried } = asked(params, before);
  for (const action of actions) {
    if (!mayDo(sts, request, role, { action, context })) throw denied(caller, action, roleArn);
  }
  // Source: IAM guide: "The source identity … cannot be changed during the role session", chained ones included.
  if (before?.sourceIdentity !== undefined && carried.sourceIdentity !== before.sourceIdentity)
    throw denied(caller, 'sts:SetSourceIdentity', roleArn);
  const seconds = sessionSeconds(params, role, caller.kind === 'role');
  const policies = sessionPolicies(sts.store, accountId, params);
  const sessionName = text(params, 'RoleSessionName') ?? '';
  const session = startSession(sts.store, sts.clock, {
    accountId,
    role,
    sessionName,
    seconds,
    policies,
    ...carried,
  });
  const packed =
    policies === null ? {} : { PackedPolicySize: Math.ceil((100 * packedBytes(policies)) / PACKED_BYTES_MAX) };
  return answer('AssumeRole', request.requestId, {
    Credentials: credentialsXml(session),
    AssumedRoleUser: { AssumedRoleId: `${role.id}:${sessionName}`, Arn: sessionArn(role, sessionName) },
    SourceIdentity: carried.sourceIdentity,
    ...packed,
  });
}

const USER_SECONDS = { least: 900, usual: 43_200, most: 129_600, mostOfRoot: 3_600 };

/** Credentials of the caller's own for a while. Source: STS API reference, "GetSessionToken". */
function getSessionToken({ store, clock }: Sts, request: AwsRequest, params: Params): AwsResponse {
  const { caller } = request;
  if (sessionOf(store, request))
    throw new AwsError('AccessDenied', 403, 'Cannot call GetSessionToken with session credentials');
  const ofRoot = caller.kind === 'root';
  const seconds = integer(params, 'DurationSeconds') ?? (ofRoot ? USER_SECONDS.mostOfRoot : USER_SECONDS.usual);
  if (!Number.isInteger(seconds) || seconds < USER_SECONDS.least || seconds > USER_SECONDS.most)
    throw invalid(
      `1 validation error detected: Value '${seconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value between ${USER_SECONDS.least} and ${USER_SECONDS.most}`,
    );
  const session: Session = {
    ...newCredentials(clock, ofRoot ? Math.min(seconds, USER_SECONDS.mostOfRoot) : seconds),
    accountId: caller.accountId,
    roleName: '',
    roleId: '',
    userName: ofRoot ? null : nameOf(caller),
    sessionName: '',
    policies: null,
    tags: {},
  };
  store.putSession(session);
  return answer('GetSessionToken', request.requestId, { Credentials: credentialsXml(session) });
}

/** STS: AssumeRole, GetSessionToken and GetCallerIdentity, in every region. */
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
      if (action === 'GetSessionToken') return getSessionToken(sts, request, params);
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
