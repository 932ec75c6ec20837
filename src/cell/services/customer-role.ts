import type { ConnectionRow } from './connections.ts';

/** The name of the role that the customer makes for a connection. */
export function roleNameOf(connectionId: string): string {
  return `domicile-${connectionId.slice(-26)}`;
}

export type RoleDeps = { connectorRoleArn: string; templateBaseUrl: string; partition: string };

/** What the customer makes in its account, from the connection alone. */
export function roleDocuments(deps: RoleDeps, row: ConnectionRow) {
  return {
    roleArn: `arn:${deps.partition}:iam::${row.awsAccountId}:role/${row.roleName}`,
    templateUrl: deps.templateBaseUrl,
    quickCreateUrl: deps.templateBaseUrl,
    trustPolicy: {},
    backupPolicy: {},
  };
}
