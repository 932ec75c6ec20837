import { eq } from 'drizzle-orm';
import { recoveryRecipient } from '../../vault/keys-file.ts';
import type { KeyRecipient } from '../../vault/ports.ts';
import { tenants } from '../db/schema/tenants.ts';
import { inTenant } from '../db/tenancy.ts';
import type { Worker } from './worker.ts';

/** For whom the tenant wants the data keys of a run that begins now to be wrapped: its recovery key, if set. */
export async function recipientsOf({ db }: Pick<Worker, 'db'>, tenantId: string): Promise<KeyRecipient[]> {
  const [tenant] = await inTenant(db, tenantId, (tx) =>
    tx.select({ recoveryKey: tenants.recoveryKey }).from(tenants).where(eq(tenants.tenantId, tenantId)),
  );
  const pem = tenant?.recoveryKey ?? null;
  return pem === null ? [] : [recoveryRecipient(pem)];
}
