import type { Region } from '../../../regions/types.ts';
import { cleanUpPolicy, restorePolicy } from '../../aws/policies/restore-role.ts';
import { Fault } from '../../core/faults.ts';
import { backupPolicy, cleanUpRoleNameOf, roleArn, type RoleScope, trustPolicy } from '../../aws/policies/role.ts';
import { customerTemplate, quickCreateUrl } from '../../aws/policies/template.ts';
import type { connections } from '../db/schema/connections.ts';

type ConnectionRow = typeof connections.$inferSelect;

export type RoleDeps = {
  region: Region;
  /** The worker's principal, which the role trusts. */
  connectorRoleArn: string;
  /** Where the stacks' templates are published, one for each connection: the cell itself, or a bucket that copies them. */
  templateBaseUrl: string;
};

/** Host of the AWS console, whose address differs from the APIs' and is the same for every account. */
const CONSOLE_HOST = 'console.aws.amazon.com';

/** What IAM takes of all inline policies of a role, without white space. Source: IAM quotas. */
const INLINE_CHARACTERS_MAX = 10_240;

/**
 * Refuses a connection whose policies IAM would not take: each region, VPC and key makes them longer.
 *
 * @throws Fault `invalid_request`
 */
export function requireFittingPolicies(region: Region, row: ConnectionRow): void {
  const scope = scopeOf({ region }, row);
  const policies = [backupPolicy(scope), ...(row.restore ? [restorePolicy(scope)] : [])];
  const characters = policies.reduce((sum, policy) => sum + JSON.stringify(policy).length, 0);
  if (characters <= INLINE_CHARACTERS_MAX) return;
  const detail = `makes the role's policies ${characters} characters long; IAM takes ${INLINE_CHARACTERS_MAX}`;
  const lists = { awsRegions: row.awsRegions, vpcIds: row.vpcIds, kmsKeyArns: row.kmsKeyArns };
  const [longest = 'awsRegions'] = Object.entries(lists)
    .toSorted(([, a], [, b]) => JSON.stringify(b).length - JSON.stringify(a).length)
    .map(([name]) => name);
  throw new Fault('invalid_request', 'Split this connection into several, each with fewer of these; see errors.', {
    facts: { characters, charactersMax: INLINE_CHARACTERS_MAX },
    violations: [{ pointer: `/${longest}`, detail }],
  });
}

const scopeOf = ({ region }: Pick<RoleDeps, 'region'>, row: ConnectionRow): RoleScope => {
  const { partition, dnsSuffix } = region;
  const { awsAccountId, tenantId, awsRegions, tag, vpcIds, kmsKeyArns, storage, restoreInPlace } = row;
  return { partition, dnsSuffix, awsAccountId, tenantId, awsRegions, tag, vpcIds, kmsKeyArns, storage, restoreInPlace };
};

/** What the customer makes in its account, from the connection alone. */
export function roleDocuments(deps: RoleDeps, row: ConnectionRow) {
  const { region, connectorRoleArn, templateBaseUrl } = deps;
  const { roleName, externalId, tenantId, awsRegions } = row;
  const scope = scopeOf(deps, row);
  const awsRegion = awsRegions[0] ?? region.homeAwsRegion;
  const templateUrl = `${templateBaseUrl}/${tenantId}/${row.id}.json`;
  return {
    roleArn: roleArn(scope, roleName),
    templateUrl,
    quickCreateUrl: quickCreateUrl({ consoleHost: `${awsRegion}.${CONSOLE_HOST}`, awsRegion, templateUrl, roleName }),
    trustPolicy: { ...trustPolicy({ connectorRoleArn, externalId }) },
    backupPolicy: { ...backupPolicy(scope) },
    ...(row.restore ? { restorePolicy: { ...restorePolicy(scope) } } : {}),
    ...(row.cleanUp
      ? { cleanUpRoleName: cleanUpRoleNameOf(roleName), cleanUpPolicy: { ...cleanUpPolicy(scope) } }
      : {}),
  };
}

/** The same as a stack, with its choices left open: `AccountOnly` and `AllowRestore`. */
export function roleTemplate(deps: RoleDeps, row: ConnectionRow) {
  const scope = scopeOf(deps, row);
  const accountOnly = { ...scope, storage: 'account' as const };
  const {
    trustPolicy: trust,
    backupPolicy: backup,
    restorePolicy: restore,
    cleanUpPolicy: cleanUp,
  } = roleDocuments(deps, row);
  return customerTemplate({
    storage: row.storage,
    roleName: row.roleName,
    cleanUpRoleName: cleanUpRoleNameOf(row.roleName),
    trustPolicy: trust,
    backupPolicy: backup,
    accountOnlyBackupPolicy: backupPolicy(accountOnly),
    restorePolicy: restore,
    accountOnlyRestorePolicy: row.restore ? restorePolicy(accountOnly) : undefined,
    cleanUpPolicy: cleanUp,
  });
}
