import type { Clock } from '../../core/clock.ts';
import type { Account, AccountStore } from '../accounts/store.ts';
import type { Authorizer, AwsRequest, Caller } from '../service.ts';
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

function identityPolicies(account: Account | undefined, caller: Caller): Policy[] {
  const name = caller.principalArn.split('/').at(-1) ?? '';
  if (caller.kind === 'user') return Object.values(account?.users[name]?.inline ?? {}).map(parsed);
  const role = account?.roles[name];
  const managed = (role?.attached ?? []).flatMap((arn) => account?.policies[arn]?.document ?? []);
  return [...Object.values(role?.inline ?? {}), ...managed].map(parsed);
}

/** The condition keys that every request has. Source: IAM guide, "AWS global condition context keys". */
function globalKeys(
  request: AwsRequest,
  clock: Clock,
  session: { issuedAt: string; tags: Record<string, string> } | undefined,
) {
  const { caller } = request;
  return [
    ['aws:PrincipalArn', caller.principalArn],
    ['aws:PrincipalAccount', caller.accountId],
    ['aws:PrincipalType', caller.kind === 'root' ? 'Account' : caller.kind === 'role' ? 'AssumedRole' : 'User'],
    ['aws:userid', caller.userId],
    ['aws:RequestedRegion', request.awsRegion],
    ['aws:SourceIp', '127.0.0.1'],
    ['aws:SecureTransport', 'true'], // loopback stands in for TLS
    ['aws:CurrentTime', clock.now().toISOString()],
    ['aws:EpochTime', String(Math.floor(clock.now().getTime() / 1000))],
    ['aws:TokenIssueTime', session?.issuedAt],
    ...Object.entries(session?.tags ?? {}).map(([key, value]) => [`aws:PrincipalTag/${key}`, value] as const),
  ] as const;
}

/** The decision point of all services: gathers the caller's policies, of role and session, and asks the evaluator. */
export function createAuthorizer(store: AccountStore, clock: Clock): Authorizer {
  return (caller, question, request) => {
    const sessionKey = request.headers.get('x-amz-security-token') === null ? undefined : sessionOf(store, request);
    const resourceAccountId = question.resourceAccountId ?? caller.accountId;
    const context = toContext([
      ...globalKeys(request, clock, sessionKey),
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
      identityPolicies: identityPolicies(store.account(caller.accountId), caller),
      sessionPolicies: sessionKey?.policies?.map(parsed) ?? null,
      resourcePolicy:
        typeof resourcePolicy === 'string' ? parsed(resourcePolicy) : ((resourcePolicy as Policy | undefined) ?? null),
      resourcePolicyRequired: question.resourcePolicyRequired ?? false,
    });
  };
}

function sessionOf(store: AccountStore, request: AwsRequest) {
  const id = /Credential=([^/]+)\//.exec(request.headers.get('authorization') ?? '')?.[1] ?? '';
  return store.session(id);
}
