import { desc, eq, lt } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import { tenants } from '../db/schema/tenants.ts';
import { enterTenant } from '../db/tenancy.ts';
import { found } from './absence.ts';
import { insertApiKey } from './keys.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { OperatorScope, TenantScope } from './scope.ts';

export type TenantRow = typeof tenants.$inferSelect;
type Deps = { clock: Clock; cell: string; pepper: Uint8Array; page: Paginate };

/** Tenants of this cell: made by the operator, each with its first API key. */
export function createTenants(deps: Deps) {
  const { clock, cell, page } = deps;
  return {
    /** The tenant and its first key; the one audit event stands in the new tenant's own log. */
    async create({ tx, actor }: OperatorScope, body: { name: string; tier: TenantRow['tier'] }) {
      const now = clock.now();
      const none = { recoveryKey: null, recoveryKeySince: null };
      const row: TenantRow = { tenantId: newId('tenant', cell, now), ...body, ...none, createdAt: now };
      const { tenantId } = row;
      await enterTenant(tx, tenantId);
      await tx.insert(tenants).values(row);
      const first = await insertApiKey({ tx, tenantId }, deps, 'first key');
      const details = { tier: body.tier, apiKeyId: first.row.id };
      await audit(tx, { tenantId, cell, now, actor, action: 'tenant.create', resource: tenantId, details });
      return { row, apiKey: first.key };
    },

    list({ tx }: OperatorScope, query: PageQuery) {
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(tenants)
          .where(after === null ? undefined : lt(tenants.tenantId, after))
          .orderBy(desc(tenants.tenantId))
          .limit(limit);
      return page(query, { tenantId: 'operator', name: 'tenants', keyOf: (row: TenantRow) => row.tenantId, load });
    },

    async get({ tx, tenantId }: TenantScope): Promise<TenantRow> {
      const [row] = await tx.select().from(tenants).where(eq(tenants.tenantId, tenantId));
      return found(row, 'tenant');
    },
  };
}

export type Tenants = ReturnType<typeof createTenants>;
