import type { Decision } from '../service.ts';
import { conditionsHold } from './conditions.ts';
import { arnMatches, type Context, globMatches, substitute, texts } from './match.ts';
import type { Policy, Statement } from './policy.ts';

/** Who asks, as principals of a resource policy may name them. */
export type Principal = {
  accountId: string;
  arn: string;
  principalArn: string;
  /** Immutable id of the role or user: what a saved policy really binds to. */
  uniqueId: string;
  kind: 'root' | 'user' | 'role' | 'service';
};

export type Evaluation = {
  principal: Principal;
  action: string;
  resource: string;
  resourceAccountId: string;
  context: Context;
  identityPolicies: readonly Policy[];
  /** Null: no permissions boundary. One cuts what identity policies allow, and allows nothing itself. */
  boundary?: Policy | null;
  /** Null: no session policy; then the session has all of the role's rights. */
  sessionPolicies: readonly Policy[] | null;
  resourcePolicy: Policy | null;
  resourcePolicyRequired: boolean;
  /** Whether something of the resource's side other than a policy allows it: a KMS grant. */
  granted?: boolean;
};

type Fill = (text: string) => string | null;

function actionMatches(statement: Statement, action: string): boolean {
  const hit = (patterns: unknown) => texts(patterns).some((pattern) => globMatches(pattern, action, true));
  return statement.Action === undefined ? !hit(statement.NotAction) : hit(statement.Action);
}

function resourceMatches(statement: Statement, resource: string, fill: Fill): boolean {
  const hit = (patterns: unknown) =>
    texts(patterns).some((pattern) => {
      const filled = fill(pattern);
      return filled !== null && (filled === '*' || (resource === '*' ? false : arnMatches(filled, resource)));
    });
  if (statement.Resource === undefined && statement.NotResource === undefined) return true; // trust policies have none
  return statement.Resource === undefined ? !hit(statement.NotResource) : hit(statement.Resource);
}

/**
 * How a policy of a resource names someone: not at all; through their whole account, which leaves it to the account's own
 * policies; as a role or as anybody; or as the very user or session. Only the last is not cut by boundary and session.
 * Source: IAM guide, "Policy evaluation for requests within a single account".
 */
type Named = 'none' | 'account' | 'role' | 'self';
const ORDER: readonly Named[] = ['none', 'account', 'role', 'self'];
const closer = (a: Named, b: Named): Named => (ORDER.indexOf(a) > ORDER.indexOf(b) ? a : b);

function namedBy(name: string, who: Principal): Named {
  if (name === '*') return 'role';
  if (name === who.arn) return 'self';
  if (name === who.principalArn || name === who.uniqueId) return who.kind === 'role' ? 'role' : 'self';
  const ofAccount = name === who.accountId || new RegExp(`^arn:[a-z-]+:iam::${who.accountId}:root$`).test(name);
  return ofAccount ? (who.kind === 'root' ? 'self' : 'account') : 'none';
}

function principalMatch(element: unknown, who: Principal): Named {
  if (element === '*') return 'role';
  const { AWS, Service } = (element ?? {}) as { AWS?: unknown; Service?: unknown };
  if (who.kind === 'service') return texts(Service).includes(who.arn) ? 'self' : 'none';
  return texts(AWS).reduce<Named>((best, name) => closer(best, namedBy(name, who)), 'none');
}

function statementNames(statement: Statement, who: Principal): Named {
  if (statement.NotPrincipal === undefined) return principalMatch(statement.Principal, who);
  return principalMatch(statement.NotPrincipal, who) === 'none' ? 'role' : 'none';
}

type Outcome = 'deny' | Named;

function judge(policies: readonly Policy[], ask: Evaluation, ofResource = false): Outcome {
  let outcome: Named = 'none';
  for (const { Version, Statement } of policies) {
    // Source: IAM guide, "Version": in older policies `${…}` is just text.
    const fill: Fill = Version === '2012-10-17' ? (text) => substitute(text, ask.context) : (text) => text;
    for (const statement of Statement) {
      if (!actionMatches(statement, ask.action) || !resourceMatches(statement, ask.resource, fill)) continue;
      const named = ofResource ? statementNames(statement, ask.principal) : 'self';
      if (named === 'none' || !conditionsHold(statement.Condition, ask.context, fill)) continue;
      if (statement.Effect === 'Deny') return 'deny';
      outcome = closer(outcome, named);
    }
  }
  return outcome;
}

type Outcomes = { identity: Outcome; boundary: Outcome; session: Outcome; resource: Outcome };

function outcomesOf(ask: Evaluation): Outcomes {
  const whole = ask.principal.kind === 'root';
  const resource = ask.resourcePolicy === null ? 'none' : judge([ask.resourcePolicy], ask, true);
  return {
    identity: whole ? 'self' : judge(ask.identityPolicies, ask),
    boundary: whole || !ask.boundary ? 'self' : judge([ask.boundary], ask),
    session: ask.sessionPolicies === null ? 'self' : judge(ask.sessionPolicies, ask),
    resource: ask.granted && resource !== 'deny' ? closer(resource, 'role') : resource,
  };
}

const KINDS = [
  ['identity', 'an identity-based policy', 'no identity-based policy'],
  ['boundary', 'a permissions boundary', 'no permissions boundary'],
  ['session', 'a session policy', 'no session policy'],
  ['resource', 'a resource-based policy', 'no resource-based policy'],
] as const;

/** The kind of policy that is missing, or null when the request is allowed. No policy of any kind denies it. */
function lacking(ask: Evaluation, got: Outcomes): keyof Outcomes | null {
  const { principal } = ask;
  if (principal.kind === 'service') return got.resource === 'none' ? 'resource' : null;
  const crossAccount = principal.accountId !== ask.resourceAccountId;
  if ((crossAccount || ask.resourcePolicyRequired) && got.resource === 'none') return 'resource';
  if (!crossAccount && got.resource === 'self') return null;
  const byResource = !crossAccount && got.resource === 'role';
  const needed = byResource ? (['boundary', 'session'] as const) : (['identity', 'boundary', 'session'] as const);
  return needed.find((kind) => got[kind] === 'none') ?? null;
}

/**
 * The decision, by AWS's order: an explicit deny anywhere; then what the resource's own policy grants; then the identity's
 * policies within its boundary; all of it cut by the session's policies. Source: IAM guide, "Policy evaluation logic"; the
 * texts of refusals from "Troubleshoot access denied error messages".
 */
export function evaluate(ask: Evaluation): Decision {
  const { principal, action, resource } = ask;
  const denied = (why: string): Decision => ({
    allowed: false,
    reason: `User: ${principal.arn} is not authorized to perform: ${action}${resource === '*' ? '' : ` on resource: ${resource}`} ${why}`,
  });
  const got = outcomesOf(ask);
  const denying = KINDS.find(([kind]) => got[kind] === 'deny');
  if (denying) return denied(`with an explicit deny in ${denying[1]}`);
  const missing = lacking(ask, got);
  const named = KINDS.find(([kind]) => kind === missing);
  return named ? denied(`because ${named[2]} allows the ${action} action`) : { allowed: true, reason: 'allowed' };
}
