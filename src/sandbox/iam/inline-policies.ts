import { AwsError } from '../service.ts';
import { parsePolicy, policyLength } from './policy.ts';
import { type Ask, encoded, missing, POLICY_NAME, required, type Result } from './request.ts';

/** A role or a user, as the owner of inline policies. */
type Holder = { kind: 'role' | 'user'; name: string; inline: Record<string, string> };

/** Characters of all inline policies of one holder. Source: "IAM and AWS STS quotas". */
const CHARACTERS_MAX = { role: 10_240, user: 2_048 };

const nameOfPolicy = (ask: Ask) => required(ask.params, 'PolicyName', POLICY_NAME);

/** The document of the policy that the request names. Throws NoSuchEntity. */
function documentOf(ask: Ask, { kind, inline }: Holder) {
  const name = nameOfPolicy(ask);
  const document = inline[name];
  if (document === undefined) throw missing(`The ${kind} policy with name ${name}`);
  return { name, document };
}

/** The policies of the holder with the request's. Throws LimitExceeded, and what `parsePolicy` throws. */
export function putInline(ask: Ask, { kind, name: holder, inline }: Holder): Record<string, string> {
  const name = nameOfPolicy(ask);
  const document = required(ask.params, 'PolicyDocument');
  parsePolicy(document, 'identity');
  const after = { ...inline, [name]: document };
  const max = CHARACTERS_MAX[kind];
  if (policyLength(...Object.values(after)) > max)
    throw new AwsError('LimitExceeded', 409, `Maximum policy size of ${max} bytes exceeded for ${kind} ${holder}`);
  return after;
}

export function getInline(ask: Ask, holder: Holder): Result {
  const { name, document } = documentOf(ask, holder);
  const named = holder.kind === 'role' ? { RoleName: holder.name } : { UserName: holder.name };
  return { ...named, PolicyName: name, PolicyDocument: encoded(document) };
}

/** The policies of the holder without the one that the request names. */
export function deleteInline(ask: Ask, holder: Holder): Record<string, string> {
  const { name } = documentOf(ask, holder);
  return Object.fromEntries(Object.entries(holder.inline).filter(([other]) => other !== name));
}

export const listInline = ({ inline }: Holder): Result => ({
  PolicyNames: { member: Object.keys(inline) },
  IsTruncated: false,
});
