import { sql } from 'drizzle-orm';
import type { Database, Tx } from './client.ts';

/**
 * Runs `work` in one transaction in which exactly this tenant's rows exist. The setting is local to the transaction, so
 * a pooled connection cannot carry it to the next user. Queries still name the tenant first: row-level security is the
 * second lock.
 */
export function inTenant<T>(db: Database, tenantId: string, work: (tx: Tx) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.execute(sql`select set_config('app.tenant', ${tenantId}, true)`);
    return work(tx);
  });
}

/** As `inTenant`, for an operator who makes or lists tenants. */
export function asOperator<T>(db: Database, work: (tx: Tx) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.execute(sql`select set_config('app.operator', 'on', true)`);
    return work(tx);
  });
}

/** Moves a transaction into a tenant that it has just made. */
export async function enterTenant(tx: Tx, tenantId: string): Promise<void> {
  await tx.execute(sql`select set_config('app.tenant', ${tenantId}, true)`);
}
