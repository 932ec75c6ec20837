import type { Clock } from '../../core/clock.ts';
import { audit } from '../db/audit.ts';
import { enterTenant } from '../db/tenancy.ts';
import type { OperatorScope } from './scope.ts';

/** The listener's certificate, as the contract shows it. */
export type CertificateInfo = {
  subject: string;
  serialNumber: string;
  sha256: string;
  notBefore: string;
  notAfter: string;
};
/** What the process that listens can do with its certificate. */
export type Certificates = { current(): CertificateInfo; rotate(): Promise<CertificateInfo> };

/** Changes that concern the cell and no tenant are audited under this name, which is no tenant's id. */
const CELL_LOG = 'cell';

/** The operator's hold on the listener's certificate. */
export function createCertificateService(deps: { certificates: Certificates; clock: Clock; cell: string }) {
  const { certificates, clock, cell } = deps;
  return {
    current: () => certificates.current(),
    async rotate({ tx, actor }: OperatorScope): Promise<CertificateInfo> {
      const now = clock.now();
      const made = await certificates.rotate();
      await enterTenant(tx, CELL_LOG);
      const details = { serialNumber: made.serialNumber };
      const event = { tenantId: CELL_LOG, cell, now, actor, action: 'certificate.rotate', resource: cell, details };
      await audit(tx, event);
      return made;
    },
  };
}

export type CertificateService = ReturnType<typeof createCertificateService>;
