import { type Evaluation, evaluate, type Principal } from '../../src/sandbox/iam/evaluate.ts';
import { toContext } from '../../src/sandbox/iam/match.ts';
import type { Policy } from '../../src/sandbox/iam/policy.ts';

export type Document = { readonly Version?: string; readonly Statement: readonly object[] };

/** One question for IAM, and the verdict that AWS's documentation gives. */
export type Case = {
  name: string;
  allowed: boolean;
  action: string;
  resource: string;
  context?: Record<string, string | readonly string[]>;
  /** A role session's ARN (usual), a user's or an account root's. */
  principal?: string;
  identity: readonly Document[];
  session?: Document;
  boundary?: Document;
  resourcePolicy?: Document;
  resourceAccountId?: string;
};

export const VENDOR = '111111111111';
export const CUSTOMER = '222222222222';
export const SESSION = `arn:aws:sts::${CUSTOMER}:assumed-role/backup/job`;

/** A policy as AWS stores it: the same shape, whoever wrote it. */
const asPolicy = (document: Document): Policy => JSON.parse(JSON.stringify(document)) as Policy;

function principalOf(arn: string): Principal {
  const accountId = arn.split(':')[4] ?? '';
  const [, role] = /:assumed-role\/([^/]+)\//.exec(arn) ?? [];
  if (role !== undefined)
    return {
      accountId,
      arn,
      principalArn: `arn:aws:iam::${accountId}:role/${role}`,
      uniqueId: 'AROAEXAMPLE',
      kind: 'role',
    };
  return { accountId, arn, principalArn: arn, uniqueId: accountId, kind: arn.endsWith(':root') ? 'root' : 'user' };
}

const accountOf = ({ resourceAccountId, resource, principal = SESSION }: Case) =>
  resourceAccountId ?? (resource.split(':')[4] || (principal.split(':')[4] ?? ''));
/** Services whose resources do nothing without a policy of their own: IAM's roles (trust policies) and KMS's keys. */
const needsResourcePolicy = (action: string) => /^(kms|sts):/.test(action);

/** What the sandbox decides. */
export function judgedByUs(it: Case): boolean {
  const principal = principalOf(it.principal ?? SESSION);
  const ask: Evaluation = {
    principal,
    action: it.action,
    resource: it.resource,
    resourceAccountId: accountOf(it),
    context: toContext([['aws:PrincipalArn', principal.principalArn], ...Object.entries(it.context ?? {})]),
    identityPolicies: it.identity.map(asPolicy),
    boundary: it.boundary ? asPolicy(it.boundary) : null,
    sessionPolicies: it.session ? [asPolicy(it.session)] : null,
    resourcePolicy: it.resourcePolicy ? asPolicy(it.resourcePolicy) : null,
    resourcePolicyRequired: needsResourcePolicy(it.action) && it.resource !== '*',
  };
  return evaluate(ask).allowed;
}

/** The part of `@cloud-copilot/iam-simulate` that is used here. */
export type Simulator = {
  runSimulation(
    simulation: object,
    options: object,
  ): Promise<{
    resultType: string;
    overallResult?: string;
    errors?: unknown;
    result?: { ignoredContextKeys?: readonly string[] };
  }>;
};

/** What the other simulator decides. A row that it does not take as it stands is an error, never a verdict. */
export async function judgedByThem(simulator: Simulator, it: Case): Promise<boolean> {
  const principal = it.principal ?? SESSION;
  const named = (documents: readonly Document[]) =>
    documents.map((policy, i) => ({ name: `p${i}`, policy: asPolicy(policy) }));
  const answer = await simulator.runSimulation(
    {
      request: {
        principal,
        action: it.action,
        resource: { resource: it.resource, accountId: accountOf(it) },
        contextVariables: { 'aws:PrincipalArn': principalOf(principal).principalArn, ...it.context },
      },
      identityPolicies: named(it.identity),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(it.session ? { sessionPolicy: asPolicy(it.session) } : {}),
      ...(it.boundary ? { permissionBoundaryPolicies: named([it.boundary]) } : {}),
      ...(it.resourcePolicy ? { resourcePolicy: asPolicy(it.resourcePolicy) } : {}),
    },
    {},
  );
  if (answer.resultType !== 'single')
    throw new Error(`${it.name}: ${JSON.stringify(answer.errors ?? answer.resultType)}`);
  const ignored = answer.result?.ignoredContextKeys ?? [];
  if (ignored.length > 0) throw new Error(`${it.name}: the simulator ignores ${ignored.join(', ')}`);
  return answer.overallResult === 'Allowed';
}

export type Difference = { name: string; expected: boolean; ours: boolean; theirs: boolean | string };

/** The rows on which the table, the sandbox and the other judge are not of one mind. */
export async function differences(
  cases: readonly Case[],
  judge: (it: Case) => Promise<boolean>,
): Promise<Difference[]> {
  const rows: Difference[] = [];
  for (const it of cases) {
    const ours = judgedByUs(it);
    const theirs = await judge(it).catch((error: unknown) => (error instanceof Error ? error.message : 'failed'));
    if (ours !== it.allowed || theirs !== it.allowed) rows.push({ name: it.name, expected: it.allowed, ours, theirs });
  }
  return rows;
}
