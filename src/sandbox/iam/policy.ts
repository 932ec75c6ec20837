import { AwsError } from '../service.ts';
import { isOperator } from './conditions.ts';
import { texts } from './match.ts';
import { checkPrincipals } from './principals.ts';

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
type Kind = 'identity' | 'trust' | 'resource';

const malformed = (why: string) => new AwsError('MalformedPolicyDocument', 400, why);
const syntax = () => malformed('Syntax errors in policy.');

const TOP_MEMBERS = ['Version', 'Id', 'Statement'];
const STRING_LISTS = ['Action', 'NotAction', 'Resource', 'NotResource'] as const;
const MEMBERS = ['Sid', 'Effect', 'Principal', 'NotPrincipal', ...STRING_LISTS, 'Condition'];
const TRUST_ACTION = /^sts:(AssumeRole(WithSAML|WithWebIdentity|\*)?|TagSession|SetSourceIdentity|SetContext|\*)$/i;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown) => typeof value === 'string';
const isScalar = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value);

function checkAction(action: string, kind: Kind): void {
  if (kind === 'trust' && !TRUST_ACTION.test(action))
    throw malformed('AssumeRole policy may only specify STS AssumeRole actions.');
  if (action === '*') return;
  const parts = action.split(':');
  if (parts.length === 1) throw malformed('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
  if (parts.length > 2) throw malformed('Actions/Condition can contain only one colon.');
  if (!/^[A-Za-z0-9.-]+$/.test(parts[0] ?? '')) throw malformed(`Vendor ${parts[0]} is not valid`);
  if (!/^[A-Za-z0-9*?]+$/.test(parts[1] ?? '')) throw malformed('The policy failed legacy parsing');
}

/** Source: IAM JSON policy elements, "Resource": an ARN of six parts, or `*`. */
function checkResource(resource: string): void {
  if (resource === '*') return;
  if (!resource.startsWith('arn:')) throw malformed(`Resource ${resource} must be in ARN format or "*".`);
  const [, partition = '', vendor = '', region = '', ...rest] = resource.split(':');
  if (!/^(aws(-[a-z]+)*|\*)$/.test(partition))
    throw malformed(`Partition "${partition}" is not valid for resource "${resource}".`);
  if (!/^[A-Za-z0-9-]+$|^\*$/.test(vendor))
    throw malformed('Resource vendor must be fully qualified and cannot contain regexes.');
  if (rest.length < 2) throw malformed('The policy failed legacy parsing');
  if (/^(s3|iam)$/.test(vendor) && !/^\**$/.test(region))
    throw malformed(`Resource ${resource} can not contain region information.`);
}

function checkCondition(condition: unknown): void {
  if (condition === undefined) return;
  if (!isRecord(condition)) throw syntax();
  for (const [operator, keys] of Object.entries(condition)) {
    if (!isOperator(operator) || !isRecord(keys)) throw syntax();
    for (const [key, value] of Object.entries(keys)) {
      if (!(Array.isArray(value) ? value.every(isScalar) : isScalar(value))) throw syntax();
      if (!key.includes(':'))
        throw malformed('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
    }
  }
}

/** What stands in a statement, whatever it means. */
function checkShape(statement: unknown): Statement {
  if (!isRecord(statement) || Object.keys(statement).some((key) => !MEMBERS.includes(key))) throw syntax();
  for (const name of STRING_LISTS) {
    const value = statement[name];
    if (value !== undefined && !isText(value) && !(Array.isArray(value) && value.every(isText))) throw syntax();
  }
  if (statement['Sid'] !== undefined && !isText(statement['Sid'])) throw syntax();
  if (statement['Effect'] !== 'Allow' && statement['Effect'] !== 'Deny') throw syntax();
  for (const name of ['Action', 'Resource', 'Principal'])
    if (statement[name] !== undefined && statement[`Not${name}`] !== undefined) throw syntax();
  checkCondition(statement['Condition']);
  return statement as Statement;
}

function checkStatement(statement: unknown, kind: Kind): Statement {
  const it = checkShape(statement);
  const actions = texts(it.Action ?? it.NotAction);
  const resources = texts(it.Resource ?? it.NotResource);
  const named = it.Principal ?? it.NotPrincipal;
  if (actions.length === 0) throw malformed('Policy statement must contain actions.');
  if (kind === 'identity' && named !== undefined) throw malformed('Policy document should not specify a principal.');
  if (kind !== 'identity' && named === undefined) throw malformed('Missing required field Principal');
  if (kind === 'trust' && (it.Resource ?? it.NotResource) !== undefined)
    throw malformed('Has prohibited field Resource');
  if (kind !== 'trust' && resources.length === 0) throw malformed('Policy statement must contain resources.');
  for (const action of actions) checkAction(action, kind);
  for (const resource of resources) checkResource(resource);
  if (kind === 'identity' && it.Sid !== undefined && !/^[0-9A-Za-z]*$/.test(it.Sid))
    throw malformed(
      'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
    );
  if (named !== undefined) checkPrincipals(named);
  return it;
}

/**
 * Parses and checks a policy document as IAM does when it is saved. Sources: IAM guide, "Grammar of the IAM JSON policy
 * language" and the pages of its elements; the texts of errors as AWS gives them.
 *
 * @throws AwsError MalformedPolicyDocument
 */
export function parsePolicy(text: string, kind: Kind): Policy {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw kind === 'trust' ? malformed('This policy contains invalid Json') : syntax();
  }
  if (!isRecord(document) || Object.keys(document).some((key) => !TOP_MEMBERS.includes(key))) throw syntax();
  const { Version, Id, Statement } = document;
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17') throw syntax();
  if (Id !== undefined && !isText(Id)) throw syntax();
  const listed: unknown[] = Array.isArray(Statement) ? Statement : [Statement];
  if (Statement === undefined || listed.length === 0) throw syntax();
  const statements = listed.map((statement) => checkStatement(statement, kind));
  const sids = statements.flatMap(({ Sid }) => Sid || []);
  if (new Set(sids).size < sids.length) throw malformed('Statement IDs (SID) in a single policy must be unique.');
  return { ...(Version === undefined ? {} : { Version }), Statement: statements };
}

/** Characters of a policy as IAM counts them for its limits: white space does not count. */
export const policyLength = (...documents: readonly string[]): number => documents.join('').replace(/\s/g, '').length;
