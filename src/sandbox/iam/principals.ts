import { AwsError } from '../service.ts';

const invalid = (kind: string, name: string) =>
  new AwsError('MalformedPolicyDocument', 400, `Invalid principal in policy: "${kind}":"${name}"`);

const PARTITION = 'aws(?:-[a-z]+)*';
/** How each kind of principal is written. Source: IAM JSON policy elements, "Principal". */
const FORMS: Record<string, RegExp> = {
  AWS: new RegExp(
    `^(\\*|\\d{12}|A(IDA|ROA)[A-Z0-9]{8,}|arn:${PARTITION}:iam::\\d{12}:(root|(user|role)/[\\w+=,.@/-]+)` +
      `|arn:${PARTITION}:sts::\\d{12}:(assumed-role/[\\w+=,.@-]+/[\\w+=,.@-]+|federated-user/[\\w+=,.@-]+))$`,
  ),
  Service: /^[a-z0-9-]+(\.[a-z0-9-]+)+$/,
  Federated: /^\S+$/,
  CanonicalUser: /^[0-9a-f]{64}$/,
};

/** @throws AwsError MalformedPolicyDocument: a principal that no policy may name, as one with a wildcard inside */
export function checkPrincipals(element: unknown): void {
  if (element === '*') return;
  if (typeof element !== 'object' || element === null || Array.isArray(element))
    throw new AwsError('MalformedPolicyDocument', 400, 'Syntax errors in policy.');
  for (const [kind, names] of Object.entries(element)) {
    const form = Object.hasOwn(FORMS, kind) ? FORMS[kind] : undefined;
    for (const name of [names].flat()) {
      if (typeof name !== 'string' || !form?.test(name)) throw invalid(kind, String(name));
    }
  }
}
