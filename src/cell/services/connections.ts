import { randomUUID } from 'node:crypto';
import { and, count, desc, eq, isNull, lt } from 'drizzle-orm';
import type { Region } from '../../../regions/types.ts';
import type { Clock } from '../../core/clock.ts';
import { roleNameOf } from '../../aws/policies/role.ts';
import { newId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import type { Tx } from '../db/client.ts';
import { type AwsTag, connections, instances } from '../db/schema/connections.ts';
import { selections } from '../db/schema/plans.ts';
import type { Enqueue } from '../queue.ts';
import { found, wellFormed } from './absence.ts';
import { abortJobsOf } from './job-abort.ts';
import { requireFittingPolicies } from './customer-role.ts';
import type { PageQuery, Paginate } from './pages.ts';
import { keysInJurisdiction, regionsInJurisdiction } from './residency-rules.ts';
import type { TenantScope } from './scope.ts';

export type ConnectionRow = typeof connections.$inferSelect;
type ConnectionInput = {
  awsAccountId: string;
  awsRegions: string[];
  tag: AwsTag;
  vpcIds?: string[] | undefined;
  kmsKeyArns?: string[] | undefined;
  storage: 'vault' | 'account';
  dedup: 'volume' | 'tenant';
  restore: boolean;
  restoreInPlace: boolean;
  cleanUp: boolean;
};
type Deps = { region: Region; clock: Clock; enqueue: Enqueue; page: Paginate };

/**
 * A connection of this tenant that has not been deleted. `lock` keeps others from changing it until the transaction
 * ends, so that what was checked still holds when it is written.
 */
export async function requireConnection(
  { tx, tenantId }: Omit<TenantScope, 'actor'>,
  id: string,
  lock?: 'share' | 'update',
): Promise<ConnectionRow> {
  const one = and(
    eq(connections.tenantId, tenantId),
    eq(connections.id, wellFormed('connection', id, 'connection')),
    isNull(connections.deletedAt),
  );
  const query = tx.select().from(connections).where(one);
  const [row] = await (lock === undefined ? query : query.for(lock));
  return found(row, 'connection');
}

function newConnection(tenantId: string, id: string, body: ConnectionInput, now: Date): ConnectionRow {
  return {
    tenantId,
    id,
    awsAccountId: body.awsAccountId,
    awsRegions: body.awsRegions,
    tag: body.tag,
    vpcIds: body.vpcIds ?? [],
    kmsKeyArns: body.kmsKeyArns ?? [],
    storage: body.storage,
    dedup: body.dedup,
    restore: body.restore,
    restoreInPlace: body.restoreInPlace,
    cleanUp: body.cleanUp,
    externalId: randomUUID(),
    roleName: roleNameOf(id),
    state: 'PENDING',
    stateDetail: 'Create the role with the policies given here, then verify the connection.',
    missing: [],
    lastVerifiedAt: null,
    discoveredAt: null,
    createdAt: now,
    deletedAt: null,
  };
}

/** A deleted connection matches nothing: its selections and its inventory go; its recovery points stay. */
async function forget(tx: Tx, tenantId: string, connectionId: string): Promise<void> {
  await tx.delete(selections).where(and(eq(selections.tenantId, tenantId), eq(selections.connectionId, connectionId)));
  await tx.delete(instances).where(and(eq(instances.tenantId, tenantId), eq(instances.connectionId, connectionId)));
}

/** Connections: registered here, verified by the worker. The External ID is ours, and nothing a client sends changes it. */
export function createConnections({ region, clock, enqueue, page }: Deps) {
  const { cell } = region;
  return {
    /** @throws Fault `residency_violation` naming every region outside, before anything is written */
    async create({ tx, tenantId, actor }: TenantScope, body: ConnectionInput): Promise<ConnectionRow> {
      regionsInJurisdiction(region, body.awsRegions, (i) => `/awsRegions/${i}`);
      keysInJurisdiction(region, body);
      const now = clock.now();
      const row = newConnection(tenantId, newId('connection', cell, now), body, now);
      requireFittingPolicies(region, row);
      await tx.insert(connections).values(row);
      const { awsRegions, storage, dedup, restore, restoreInPlace, cleanUp } = row;
      const details = { awsRegions, storage, dedup, restore, restoreInPlace, cleanUp };
      await audit(tx, { tenantId, cell, now, actor, action: 'connection.create', resource: row.id, details });
      return row;
    },

    get: (scope: TenantScope, id: string) => requireConnection(scope, id),

    list({ tx, tenantId }: TenantScope, query: PageQuery) {
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(connections)
          .where(
            and(
              eq(connections.tenantId, tenantId),
              isNull(connections.deletedAt),
              after === null ? undefined : lt(connections.id, after),
            ),
          )
          .orderBy(desc(connections.id))
          .limit(limit);
      return page(query, { tenantId, name: 'connections', keyOf: (row: ConnectionRow) => row.id, load });
    },

    /** Queues a verification: the API tier itself never calls AWS. */
    async verify(scope: TenantScope, id: string): Promise<ConnectionRow> {
      const { tx, tenantId, actor } = scope;
      const row = await requireConnection(scope, id);
      await enqueue(tx, { kind: 'verify', tenantId, connectionId: id });
      await audit(tx, { tenantId, cell, now: clock.now(), actor, action: 'connection.verify', resource: id });
      return row;
    },

    /** Ends the connection: no further call to the account, open jobs are aborted, recovery points stay. */
    async remove(scope: TenantScope, id: string): Promise<void> {
      const { tx, tenantId, actor } = scope;
      await requireConnection(scope, id, 'update');
      const now = clock.now();
      const [known] = await tx
        .select({ count: count() })
        .from(instances)
        .where(and(eq(instances.tenantId, tenantId), eq(instances.connectionId, id)));
      await tx
        .update(connections)
        .set({ state: 'DISCONNECTED', stateDetail: 'Disconnected on request.', deletedAt: now })
        .where(and(eq(connections.tenantId, tenantId), eq(connections.id, id)));
      await forget(tx, tenantId, id);
      const abortedJobs = await abortJobsOf({ tx, tenantId, enqueue }, id, now);
      const details = { instances: known?.count ?? 0, abortedJobs };
      await audit(tx, { tenantId, cell, now, actor, action: 'connection.delete', resource: id, details });
    },
  };
}

export type Connections = ReturnType<typeof createConnections>;
