import { AwsError } from '../service.ts';

export type Statement = {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Principal?: unknown;
  NotPrincipal?: unknown;
  Action?: unknown;
  NotAction?: unknown;
  Resource?: unknown;
  NotResource?: unknown;
  Condition?: unknown;
};
export type Policy = { Version?: string; Statement: Statement[] };

const malformed = (why: string) => new AwsError('MalformedPolicyDocument', 400, why);

const MEMBERS = new Set([
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]);

function checkStatement(statement: unknown, kind: 'identity' | 'trust' | 'resource'): Statement {
  if (typeof statement !== 'object' || statement === null) throw malformed('Syntax errors in policy.');
  const unknown = Object.keys(statement).find((key) => !MEMBERS.has(key));
  if (unknown) throw malformed(`Syntax errors in policy: ${unknown}.`);
  const it = statement as Statement;
  if (it.Effect !== 'Allow' && it.Effect !== 'Deny') throw malformed('Syntax errors in policy: Effect.');
  if ((it.Action === undefined) === (it.NotAction === undefined))
    throw malformed('Policy statement must contain actions.');
  const named = it.Principal !== undefined || it.NotPrincipal !== undefined;
  if (kind === 'identity' && named) throw malformed('Policy document should not specify a principal.');
  if (kind !== 'identity' && !named) throw malformed('Policy document must specify a principal.');
  const targeted = it.Resource !== undefined || it.NotResource !== undefined;
  if (kind === 'trust' && targeted) throw malformed('Has prohibited field Resource');
  if (kind !== 'trust' && !targeted) throw malformed('Policy statement must contain resources.');
  return it;
}

/**
 * Parses and checks a policy document as IAM does when it is saved.
 *
 * @throws AwsError MalformedPolicyDocument
 */
export function parsePolicy(text: string, kind: 'identity' | 'trust' | 'resource'): Policy {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw malformed('This policy contains invalid Json');
  }
  if (typeof document !== 'object' || document === null || !('Statement' in document))
    throw malformed('Syntax errors in policy.');
  const { Version, Statement } = document as { Version?: string; Statement: unknown };
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17')
    throw malformed('The policy must contain a valid version string');
  const statements = (Array.isArray(Statement) ? Statement : [Statement]).map((statement) =>
    checkStatement(statement, kind),
  );
  return { ...(Version ? { Version } : {}), Statement: statements };
}

/** An element that may be one text or a list of them; numbers and booleans count as their text. */
export function texts(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return list.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)));
}
