import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { secureHeaders } from 'hono/secure-headers';
import type { Region } from '../../../regions/types.ts';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import type { VerifyingKey } from '../../core/http-signature.ts';
import { newId } from '../../core/ids.ts';
import type { Logger } from '../../core/log.ts';
import type { Database } from '../db/client.ts';
import type { Enqueue } from '../queue.ts';
import { createAuditEvents } from '../services/audit-events.ts';
import { createBackupJobs } from '../services/backup-jobs.ts';
import { createBackupPlans } from '../services/backup-plans.ts';
import { type Certificates, createCertificateService } from '../services/certificates.ts';
import { createConnections } from '../services/connections.ts';
import { createDeletionRequests } from '../services/deletion-requests.ts';
import { createFirstAnswers } from '../services/first-answers.ts';
import { createInstances } from '../services/instances.ts';
import { createJobEvents } from '../services/job-events.ts';
import { createKeys } from '../services/keys.ts';
import { createPages } from '../services/pages.ts';
import { createRecoveryKeys } from '../services/recovery-keys.ts';
import { createRecoveryPoints } from '../services/recovery-points.ts';
import { createRestoreJobs } from '../services/restore-jobs.ts';
import { createSelections } from '../services/selections.ts';
import { createTenants } from '../services/tenants.ts';
import { authentication } from './auth.ts';
import { backupPlanRoutes, selectionRoutes } from './backup-plans.ts';
import { connectionRoutes, instanceRoutes } from './connections.ts';
import { documentRoutes } from './documents.ts';
import type { ApiEnv } from './env.ts';
import { EVENT_POLL_MS, eventRoutes } from './events.ts';
import { explainRoutes } from './explain.ts';
import { backupJobRoutes, restoreJobRoutes } from './jobs.ts';
import { createOperations } from './operations.ts';
import { problemHandler, unrouted } from './problems.ts';
import { deletionRequestRoutes, recoveryPointRoutes } from './recovery-points.ts';
import { routerSignature } from './router-signature.ts';
import { readinessRoute, systemRoutes } from './system.ts';
import { templateRoute } from './templates.ts';
import { apiKeyRoutes, recoveryKeyRoutes, tenantRoutes } from './tenants.ts';

/** Everything the API tier needs. It gets no AWS client: what touches AWS is enqueued. */
export type ApiDeps = {
  region: Region;
  /** This cell's own public address. */
  cellUrl: string;
  /** Opened as the API tier's database role. */
  db: Database;
  enqueue: Enqueue;
  clock: Clock;
  log: Logger;
  /** At least 32 secret bytes, kept outside the database: keys of hashes, cursors and first answers come from it. */
  pepper: Uint8Array;
  /** The principal that customers' roles trust. */
  connectorRoleArn: string;
  templateBaseUrl: string;
  /** Public keys of the routers that may forward to this cell. */
  routerKeys: readonly VerifyingKey[];
  /** Hosts, with port, that this cell answers for. */
  authorities: readonly string[];
  certificates: Certificates;
  readiness: () => Promise<Record<string, string>>;
  cellUrls: Readonly<Record<string, string>>;
  /** How often an event stream looks for news. */
  eventPollMs?: number;
};

/** Larger than any request we know by a factor of ten. */
const BODY_BYTES_MAX = 2 ** 20;

function createServices(deps: ApiDeps) {
  const page = createPages(deps.pepper);
  const all = { ...deps, cell: deps.region.cell, page };
  return {
    keys: createKeys(all),
    tenants: createTenants(all),
    recoveryKeys: createRecoveryKeys(all),
    connections: createConnections(all),
    instances: createInstances(all),
    plans: createBackupPlans(all),
    selections: createSelections(all),
    backupJobs: createBackupJobs(all),
    restoreJobs: createRestoreJobs(all),
    points: createRecoveryPoints(all),
    deletions: createDeletionRequests(all),
    jobEvents: createJobEvents(all),
    auditEvents: createAuditEvents(all),
    certificates: createCertificateService(all),
    once: createFirstAnswers(all),
  };
}

const tooLarge = bodyLimit({
  maxSize: BODY_BYTES_MAX,
  onError: () => {
    throw new Fault('body_too_large', `A body has at most ${BODY_BYTES_MAX} bytes.`);
  },
});

/** Paths below /v1 that answer without a key. */
const OPEN_PATHS: readonly string[] = ['/v1/regions'];

/** The cell's HTTP API. The order of what is registered here is the order in which a request meets it. */
export function createApi(deps: ApiDeps): Hono<ApiEnv> {
  const { region, clock, log, db } = deps;
  const { cell } = region;
  const services = createServices(deps);
  const app = new Hono<ApiEnv>();

  app.use(async (c, next) => {
    c.set('requestId', newId('request', cell, clock.now()));
    c.header('x-request-id', c.var.requestId);
    await next();
  });
  app.use(secureHeaders());
  app.onError(problemHandler(log));
  app.notFound(unrouted);
  app.use(routerSignature(deps));
  app.use('/v1/*', async (c, next) => {
    c.header('cache-control', 'no-store');
    await next();
  });
  const authenticate = authentication({ cell, cellUrls: deps.cellUrls, keys: services.keys });
  app.use('/v1/*', (c, next) => (OPEN_PATHS.includes(c.req.path) ? next() : authenticate(c, next)));
  app.use(tooLarge); // after the key: a body meant for another cell is not read at all

  const operations = createOperations({ app, db, once: services.once });
  systemRoutes(operations, { ...services, cellUrls: { ...deps.cellUrls, [cell]: deps.cellUrl } });
  readinessRoute(app, deps);
  documentRoutes(app, deps);
  templateRoute(app, deps);
  tenantRoutes(operations, { ...services, region });
  recoveryKeyRoutes(operations, services);
  apiKeyRoutes(operations, { ...services, cell });
  connectionRoutes(operations, { ...services, role: deps });
  explainRoutes(operations, services);
  instanceRoutes(operations, services);
  backupPlanRoutes(operations, services);
  selectionRoutes(operations, services);
  backupJobRoutes(operations, { jobs: services.backupJobs });
  restoreJobRoutes(operations, { jobs: services.restoreJobs });
  recoveryPointRoutes(operations, services);
  deletionRequestRoutes(operations, services);
  eventRoutes({ app, jobEvents: services.jobEvents, clock, log, pollMs: deps.eventPollMs ?? EVENT_POLL_MS });
  return app;
}
