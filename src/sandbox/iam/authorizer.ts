import type { Clock } from '../../core/clock.ts';
import type { Account, AccountStore, Session } from '../accounts/store.ts';
import type { Authorizer, AwsRequest, Caller } from '../service.ts';
import { awsManagedPolicy } from './aws-managed.ts';
import { evaluate } from './evaluate.ts';
import { toContext } from './match.ts';
import type { Policy } from './policy.ts';

const PARSED = new Map<string, Policy>();
const PARSED_MAX = 2_000;

/** Policies are text in the state and parsed once. */
function parsed(text: string): Policy {
  let policy = PARSED.get(text);
  if (!policy) {
    policy = JSON.parse(text) as Policy;
    if (!Array.isArray(policy.Statement)) policy = { ...policy, Statement: [policy.Statement] };
    if (PARSED.size >= PARSED_MAX) PARSED.clear();
    PARSED.set(text, policy);
  }
  return policy;
}

/** The name of a caller's role or user. */
export const nameOf = (caller: Caller) => caller.principalArn.split('/').at(-1) ?? '';
const managed = (account: Account | undefined, arn: string) =>
  (account?.policies[arn] ?? awsManagedPolicy(arn))?.document;

function identityOf(account: Account | undefined, caller: Caller) {
  const role = caller.kind === 'role' ? account?.roles[nameOf(caller)] : undefined;
  const user = caller.kind === 'user' ? account?.users[nameOf(caller)] : undefined;
  const attached = (role?.attached ?? []).flatMap((arn) => managed(account, arn) ?? []);
  const boundary = (role ?? user)?.boundary;
  // A boundary that is gone allows nothing more.
  const limit = boundary === undefined ? null : (managed(account, boundary) ?? '{"Statement":[]}');
  return {
    policies: [...Object.values((role ?? user)?.inline ?? {}), ...attached].map(parsed),
    boundary: limit === null ? null : parsed(limit),
    tags: role?.tags ?? {},
  };
}

/** The condition keys that every request has. Source: IAM guide, "AWS global condition context keys". */
function globalKeys(
  request: AwsRequest,
  clock: Clock,
  session: Session | undefined,
  roleTags: Record<string, string>,
): (readonly [string, string | undefined])[] {
  const { caller } = request;
  const tags = Object.entries({ ...roleTags, ...session?.tags });
  return [
    ['aws:PrincipalArn', caller.principalArn],
    ['aws:PrincipalAccount', caller.accountId],
    ['aws:PrincipalType', caller.kind === 'root' ? 'Account' : caller.kind === 'role' ? 'AssumedRole' : 'User'],
    ['aws:userid', caller.userId],
    ['aws:username', caller.kind === 'user' ? nameOf(caller) : undefined],
    ['aws:RequestedRegion', request.service === 'iam' ? 'us-east-1' : request.awsRegion],
    ['aws:SourceIp', '127.0.0.1'],
    ['aws:SecureTransport', 'true'], // loopback stands in for TLS
    ['aws:ViaAWSService', 'false'],
    ['aws:UserAgent', request.headers.get('user-agent') ?? undefined],
    ['aws:CurrentTime', clock.now().toISOString()],
    ['aws:EpochTime', String(Math.floor(clock.now().getTime() / 1000))],
    ['aws:TokenIssueTime', session?.issuedAt],
    ['aws:MultiFactorAuthPresent', session ? 'false' : undefined],
    ['aws:SourceIdentity', session?.sourceIdentity],
    ...tags.map(([key, value]) => [`aws:PrincipalTag/${key}`, value] as const),
  ];
}

/** The session that signed a request, or undefined where a lasting key did. */
export function sessionOf(store: AccountStore, request: AwsRequest): Session | undefined {
  if (request.headers.get('x-amz-security-token') === null) return undefined;
  const id = /Credential=([^/]+)\//.exec(request.headers.get('authorization') ?? '')?.[1] ?? '';
  return store.session(id);
}

/** The decision point of all services: gathers the caller's policies, of role and session, and asks the evaluator. */
export function createAuthorizer(store: AccountStore, clock: Clock): Authorizer {
  return (caller, question, request) => {
    const session = sessionOf(store, request);
    const resourceAccountId = question.resourceAccountId ?? caller.accountId;
    const { policies, boundary, tags } = identityOf(store.effective(caller.accountId), caller);
    const context = toContext([
      ...globalKeys(request, clock, session, tags),
      ['aws:ResourceAccount', resourceAccountId],
      ...Object.entries(question.context ?? {}),
    ]);
    const resourcePolicy = question.resourcePolicy;
    return evaluate({
      principal: { ...caller, uniqueId: caller.userId.split(':')[0] ?? '' },
      action: question.action,
      resource: question.resource,
      resourceAccountId,
      context,
      identityPolicies: policies,
      boundary,
      sessionPolicies: session?.policies?.map(parsed) ?? null,
      resourcePolicy:
        typeof resourcePolicy === 'string' ? parsed(resourcePolicy) : ((resourcePolicy as Policy | undefined) ?? null),
      resourcePolicyRequired: question.resourcePolicyRequired ?? false,
      granted: question.granted ?? false,
    });
  };
}
