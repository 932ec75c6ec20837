import { OpenAPIHono } from '@hono/zod-openapi';
import * as plans from './backup-plans.ts';
import * as connections from './connections.ts';
import * as explain from './explain.ts';
import * as jobs from './jobs.ts';
import * as points from './recovery-points.ts';
import * as recoveryKey from './recovery-key.ts';
import * as restores from './restore-jobs.ts';
import * as system from './system.ts';
import * as tenants from './tenants.ts';

/** Every operation of the API, in the order of the reference. Handlers live in `src/cell/api`. */
export const OPERATIONS = [
  tenants.createTenant,
  tenants.listTenants,
  tenants.getTenant,
  recoveryKey.getRecoveryKey,
  recoveryKey.setRecoveryKey,
  recoveryKey.removeRecoveryKey,
  tenants.createApiKey,
  tenants.listApiKeys,
  tenants.revokeApiKey,
  connections.createConnection,
  connections.listConnections,
  connections.getConnection,
  connections.verifyConnection,
  connections.deleteConnection,
  connections.listInstances,
  explain.listUnprotectedInstances,
  explain.explainInstance,
  connections.getInstance,
  plans.createBackupPlan,
  plans.listBackupPlans,
  plans.getBackupPlan,
  plans.updateBackupPlan,
  plans.deleteBackupPlan,
  plans.createSelection,
  plans.listSelections,
  plans.deleteSelection,
  jobs.createBackupJob,
  jobs.listBackupJobs,
  jobs.getBackupJob,
  jobs.abortBackupJob,
  jobs.backupJobEvents,
  points.listRecoveryPoints,
  points.getRecoveryPoint,
  points.deleteRecoveryPoint,
  points.listDeletionRequests,
  points.cancelDeletionRequest,
  restores.createRestoreJob,
  restores.listRestoreJobs,
  restores.getRestoreJob,
  restores.abortRestoreJob,
  restores.restoreJobEvents,
  system.listAuditEvents,
  system.listRegions,
  system.getHealth,
  system.getReadiness,
  system.getCertificate,
  system.rotateCertificate,
] as const;

export type OperationId = (typeof OPERATIONS)[number]['operationId'];

/** The API as an OpenAPI 3.1 document, from the contract alone. */
export function openApiDocument() {
  const app = new OpenAPIHono();
  for (const operation of OPERATIONS) app.openAPIRegistry.registerPath(operation);
  app.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'dk_<cell>_<id>_<secret>',
    description: "A tenant's API key; operators use `ok_<cell>_…`.",
  });
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Domicile API',
      version: '1.0.0',
      description:
        'Backups that stay home. Times are RFC 3339 in UTC, sizes are bytes, errors are RFC 9457 problem details.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/' }],
  });
}
