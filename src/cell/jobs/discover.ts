import { and, eq, notInArray } from 'drizzle-orm';
import { type DiscoveredInstance, listInstances } from '../../aws/instances.ts';
import { describeStep } from '../../aws/policies/session.ts';
import { isFault } from '../../core/faults.ts';
import { newId } from '../../core/ids.ts';
import type { Tx } from '../db/client.ts';
import { connections, instances } from '../db/schema/connections.ts';
import { inTenant } from '../db/tenancy.ts';
import { GONE } from '../selection/obstacles.ts';
import { loadConnection } from './verify.ts';
import { type ConnectionRow, inAccount, stepOf, type Worker } from './worker.ts';

type Found = { awsRegion: string; instances: DiscoveredInstance[] };

/** Regions where the role may not look are left as they were: what cannot be seen is not gone. */
async function lookIn(worker: Worker, connection: ConnectionRow, awsRegion: string): Promise<Found | null> {
  const policy = describeStep(stepOf(worker, connection, awsRegion));
  const limits = { tag: connection.tag, vpcIds: connection.vpcIds };
  try {
    const found = await inAccount(worker, connection, { awsRegion, jobId: 'discovery', policy }, ({ ec2 }) =>
      listInstances(ec2, awsRegion, limits),
    );
    return { awsRegion, instances: found };
  } catch (error) {
    if (isFault(error, 'missing_permission')) return null;
    throw error;
  }
}

async function store(tx: Tx, worker: Worker, connection: ConnectionRow, found: Found): Promise<void> {
  const { tenantId, id: connectionId } = connection;
  const now = worker.clock.now();
  const known = await tx
    .select({ id: instances.id, instanceId: instances.instanceId })
    .from(instances)
    .where(
      and(
        eq(instances.tenantId, tenantId),
        eq(instances.connectionId, connectionId),
        eq(instances.awsRegion, found.awsRegion),
      ),
    );
  for (const instance of found.instances) {
    const values = { ...instance, discoveredAt: now };
    const row = known.find((candidate) => candidate.instanceId === instance.instanceId);
    if (row)
      await tx
        .update(instances)
        .set(values)
        .where(and(eq(instances.tenantId, tenantId), eq(instances.id, row.id)));
    else
      await tx
        .insert(instances)
        .values({ tenantId, connectionId, id: newId('instance', worker.region.cell, now), ...values });
  }
  // EC2 tells of a terminated instance for an hour: one that goes without that has left the limits, as when it loses its tag.
  const seen = found.instances.map((instance) => instance.instanceId);
  const gone = and(
    eq(instances.tenantId, tenantId),
    eq(instances.connectionId, connectionId),
    eq(instances.awsRegion, found.awsRegion),
    notInArray(instances.state, ['terminated', GONE]),
    seen.length > 0 ? notInArray(instances.instanceId, seen) : undefined,
  );
  await tx.update(instances).set({ state: GONE, discoveredAt: now }).where(gone);
}

/** Brings the inventory of a connection up to date. Not a mutation by anyone: it is not audited. */
export async function discoverInstances(
  worker: Worker,
  job: { tenantId: string; connectionId: string },
): Promise<void> {
  const connection = await loadConnection(worker, job.tenantId, job.connectionId);
  if (!connection || connection.deletedAt !== null || connection.state !== 'CONNECTED') return;
  const found = await Promise.all(connection.awsRegions.map((awsRegion) => lookIn(worker, connection, awsRegion)));
  const now = worker.clock.now();
  await inTenant(worker.db, job.tenantId, async (tx) => {
    for (const one of found) if (one) await store(tx, worker, connection, one);
    const row = and(eq(connections.tenantId, job.tenantId), eq(connections.id, job.connectionId));
    await tx.update(connections).set({ discoveredAt: now }).where(row);
  });
}
