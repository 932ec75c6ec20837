import type { Hono } from 'hono';
import { REGIONS } from '../../../regions/index.ts';
import * as contract from '../../contract/system.ts';
import type { Logger } from '../../core/log.ts';
import type { AuditEvents } from '../services/audit-events.ts';
import type { CertificateService } from '../services/certificates.ts';
import { mapPage } from '../services/pages.ts';
import type { ApiEnv } from './env.ts';
import type { Operations } from './operations.ts';

type CellUrls = Readonly<Record<string, string>>;

/** The cells, with the addresses of this deployment where it has its own. */
function regionList(cellUrls: CellUrls) {
  return REGIONS.map(({ cell, jurisdiction, awsRegions, url }) => ({
    cell,
    jurisdiction: jurisdiction.code,
    awsRegions: [...awsRegions],
    url: cellUrls[cell] ?? url,
  }));
}

export function systemRoutes(
  operations: Operations,
  deps: { cellUrls: CellUrls; auditEvents: AuditEvents; certificates: CertificateService },
): void {
  const { auditEvents, certificates } = deps;
  operations.open(contract.listRegions, () => ({ items: regionList(deps.cellUrls) }));
  operations.open(contract.getHealth, () => ({ status: 'ok' as const }));
  operations.tenant(contract.listAuditEvents, async (scope, { query }) =>
    mapPage(await auditEvents.list(scope, query), (row) => ({
      id: row.id,
      time: row.time.toISOString(),
      actor: { type: row.actorType, id: row.actorId },
      action: row.action,
      resource: row.resource,
      requestId: row.requestId,
      details: row.details,
    })),
  );
  operations.operator(contract.getCertificate, () => certificates.current());
  operations.operator(contract.rotateCertificate, (scope) => certificates.rotate(scope));
}

/** Readiness has two answers, so it is routed by hand. Any check that is not `ok` makes it 503, and so does none at all. */
export function readinessRoute(
  app: Hono<ApiEnv>,
  { readiness, log }: { readiness: () => Promise<Record<string, string>>; log: Logger },
): void {
  const failed = (error: unknown) => {
    log.log('error', 'readiness.failed', {}, error);
    return { readiness: 'cannot be told' };
  };
  app.get('/readyz', async (c) => {
    const checks = await readiness().catch(failed);
    const ready = Object.values(checks).every((state) => state === 'ok');
    return c.json({ status: ready ? 'ok' : 'unavailable', checks }, ready ? 200 : 503);
  });
}
