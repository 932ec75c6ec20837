import type { Region } from '../../../regions/types.ts';
import { backupPolicy, restorePolicy, roleArn, trustPolicy } from '../../aws/policies/role.ts';
import { quickCreateUrl } from '../../aws/policies/template.ts';
import type { ConnectionRow } from './connections.ts';

export type RoleDeps = {
  region: Region;
  /** The worker's principal, which the role trusts. */
  connectorRoleArn: string;
  /** Where the stacks' templates are published, one for each connection: the cell itself, or a bucket that copies them. */
  templateBaseUrl: string;
};

/** Host of the AWS console, whose address differs from the APIs' and is the same for every account. */
const CONSOLE_HOST = 'console.aws.amazon.com';

/** What the customer makes in its account, from the connection alone. */
export function roleDocuments({ region, connectorRoleArn, templateBaseUrl }: RoleDeps, row: ConnectionRow) {
  const { partition, dnsSuffix } = region;
  const { awsAccountId, roleName, externalId, tenantId, awsRegions, tag, vpcIds, kmsKeyArns } = row;
  const place = { partition, dnsSuffix, awsAccountId };
  const scope = { ...place, tenantId, awsRegions, tag, vpcIds, kmsKeyArns };
  const awsRegion = awsRegions[0] ?? region.homeAwsRegion;
  const templateUrl = `${templateBaseUrl}/${tenantId}/${row.id}.json`;
  return {
    roleArn: roleArn(place, roleName),
    templateUrl,
    quickCreateUrl: quickCreateUrl({ consoleHost: `${awsRegion}.${CONSOLE_HOST}`, awsRegion, templateUrl, roleName }),
    trustPolicy: { ...trustPolicy({ connectorRoleArn, externalId }) },
    backupPolicy: { ...backupPolicy(scope) },
    ...(row.restore ? { restorePolicy: { ...restorePolicy(scope) } } : {}),
  };
}
