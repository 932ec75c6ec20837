import type { Hono } from 'hono';
import { Fault } from '../../core/faults.ts';
import { isId } from '../../core/ids.ts';
import type { Database } from '../db/client.ts';
import { inTenant } from '../db/tenancy.ts';
import { requireConnection } from '../services/connections.ts';
import { type RoleDeps, roleTemplate } from '../services/customer-role.ts';
import type { ApiEnv } from './env.ts';

/**
 * The customer's stack of one connection, as a CloudFormation template. CloudFormation fetches it without a key: the two ids
 * in its address are 160 random bits, and what it says is what every viewer of the role can see.
 */
export function templateRoute(app: Hono<ApiEnv>, deps: RoleDeps & { db: Database }): void {
  app.get('/templates/:tenantId/:file', async (c) => {
    const tenantId = c.req.param('tenantId');
    const id = c.req.param('file').replace(/\.json$/, '');
    if (!isId('tenant', tenantId, deps.region.cell)) throw new Fault('not_found', 'There is no such template.');
    const row = await inTenant(deps.db, tenantId, (tx) => requireConnection({ tx, tenantId }, id));
    return c.json(roleTemplate(deps, row), 200, { 'cache-control': 'no-store' });
  });
}
