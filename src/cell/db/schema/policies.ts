import { sql } from 'drizzle-orm';
import { pgPolicy, pgRole } from 'drizzle-orm/pg-core';

/** The two tiers' database roles. They own nothing and bypass nothing; `src/cell/db/migrate.ts` creates them. */
export const apiRole = pgRole('domicile_api').existing();
export const workerRole = pgRole('domicile_worker').existing();

/** The policy of every tenant table: only rows of the transaction's tenant can be seen or written. */
export function tenantPolicy(table: string) {
  return pgPolicy(`${table}_tenant`, {
    as: 'permissive',
    for: 'all',
    to: [apiRole, workerRole],
    using: sql`tenant_id = nullif(current_setting('app.tenant', true), '')`,
    withCheck: sql`tenant_id = nullif(current_setting('app.tenant', true), '')`,
  });
}
