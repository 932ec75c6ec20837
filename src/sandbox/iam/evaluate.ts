import type { Decision } from '../service.ts';
import { conditionsHold } from './conditions.ts';
import { arnMatches, type Context, globMatches, substitute } from './match.ts';
import { type Policy, type Statement, texts } from './policy.ts';

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
  /** Null: no session policy; then the session has all of the role's rights. */
  sessionPolicies: readonly Policy[] | null;
  resourcePolicy: Policy | null;
  resourcePolicyRequired: boolean;
};

function actionMatches(statement: Statement, action: string): boolean {
  const hit = (patterns: unknown) => texts(patterns).some((pattern) => globMatches(pattern, action, true));
  return statement.Action === undefined ? !hit(statement.NotAction) : hit(statement.Action);
}

function resourceMatches(statement: Statement, resource: string, context: Context): boolean {
  const hit = (patterns: unknown) =>
    texts(patterns).some((pattern) => {
      const filled = substitute(pattern, context);
      return filled !== null && (filled === '*' || (resource === '*' ? false : arnMatches(filled, resource)));
    });
  if (statement.Resource === undefined && statement.NotResource === undefined) return true; // trust policies have none
  return statement.Resource === undefined ? !hit(statement.NotResource) : hit(statement.Resource);
}

/** How a Principal element names someone: not at all, through their whole account, or themselves. */
function principalMatch(element: unknown, who: Principal): 'none' | 'account' | 'direct' {
  if (element === '*') return 'direct';
  const { AWS, Service } = (element ?? {}) as { AWS?: unknown; Service?: unknown };
  if (who.kind === 'service') return texts(Service).includes(who.arn) ? 'direct' : 'none';
  let best: 'none' | 'account' | 'direct' = 'none';
  for (const name of texts(AWS)) {
    if (name === '*' || name === who.arn || name === who.principalArn || name === who.uniqueId) return 'direct';
    if (name === who.accountId || new RegExp(`^arn:[a-z-]+:iam::${who.accountId}:root$`).test(name))
      best = who.kind === 'root' ? 'direct' : 'account';
  }
  return best;
}

type Outcome = 'deny' | 'allow' | 'account' | 'none';

function judge(policies: readonly Policy[], ask: Evaluation, withPrincipal: boolean): Outcome {
  let outcome: Outcome = 'none';
  for (const statement of policies.flatMap((policy) => policy.Statement)) {
    if (!actionMatches(statement, ask.action) || !resourceMatches(statement, ask.resource, ask.context)) continue;
    const match = !withPrincipal
      ? 'direct'
      : statement.NotPrincipal === undefined
        ? principalMatch(statement.Principal, ask.principal)
        : principalMatch(statement.NotPrincipal, ask.principal) === 'none'
          ? 'direct'
          : 'none';
    if (match === 'none' || !conditionsHold(statement.Condition, ask.context)) continue;
    if (statement.Effect === 'Deny') return 'deny';
    if (match === 'direct') outcome = 'allow';
    else if (outcome === 'none') outcome = 'account';
  }
  return outcome;
}

/**
 * The decision, by AWS's order: an explicit deny anywhere; then what the resource's own policy grants; then the
 * identity's policies; all of it cut by the session's policies. Source: IAM guide, "Policy evaluation logic".
 */
export function evaluate(ask: Evaluation): Decision {
  const { principal, action, resource } = ask;
  const denied = (because: string): Decision => ({
    allowed: false,
    reason: `User: ${principal.arn} is not authorized to perform: ${action}${resource === '*' ? '' : ` on resource: ${resource}`} because ${because}`,
  });
  const identity = principal.kind === 'root' ? 'allow' : judge(ask.identityPolicies, ask, false);
  const session = ask.sessionPolicies === null ? 'allow' : judge(ask.sessionPolicies, ask, false);
  const byResource = ask.resourcePolicy === null ? 'none' : judge([ask.resourcePolicy], ask, true);
  if (identity === 'deny') return denied('an explicit deny in an identity-based policy');
  if (session === 'deny') return denied('an explicit deny in a session policy');
  if (byResource === 'deny') return denied('an explicit deny in a resource-based policy');
  const crossAccount = principal.accountId !== ask.resourceAccountId && principal.kind !== 'service';
  const needsResource = crossAccount || ask.resourcePolicyRequired;
  if (needsResource && byResource === 'none') return denied(`no resource-based policy allows the ${action} action`);
  const needsIdentity = principal.kind !== 'service' && (crossAccount || byResource !== 'allow');
  if (needsIdentity && identity !== 'allow') return denied(`no identity-based policy allows the ${action} action`);
  if (principal.kind !== 'service' && session !== 'allow')
    return denied(`no session policy allows the ${action} action`);
  return { allowed: true, reason: 'allowed' };
}
