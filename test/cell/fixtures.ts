import { eq } from 'drizzle-orm';
import { newId } from '../../src/core/ids.ts';
import { connections, instances } from '../../src/cell/db/schema/connections.ts';
import { backupJobs, jobEvents, restoreJobs, type JobState } from '../../src/cell/db/schema/jobs.ts';
import { type PointVolume, recoveryPoints } from '../../src/cell/db/schema/recovery-points.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import type { Cell, Tenant } from './harness.ts';

export const ACCOUNT = '222222222222';
export const INSTANCE = 'i-0abc0abc0abc0abc0';
export const VOLUMES = ['vol-0aaaaaaaaaaaaaaa1', 'vol-0aaaaaaaaaaaaaaa2'] as const;
export const KEY = (awsRegion: string) =>
  `arn:aws:kms:${awsRegion}:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;

export const connectionBody = (change: Record<string, unknown> = {}) => ({
  awsAccountId: ACCOUNT,
  storage: 'vault',
  awsRegions: ['eu-central-1'],
  tag: { key: 'domicile:backup', value: 'true' },
  ...change,
});

/** A connection as the API makes it, and as the worker leaves it once it is verified and discovered. */
export async function connected(cell: Cell, tenant: Tenant, change: Record<string, unknown> = {}): Promise<string> {
  const { json } = await tenant.call('POST', '/v1/connections', { body: connectionBody(change) });
  await setConnection(cell, tenant, json.id, { state: 'CONNECTED', stateDetail: null });
  return json.id;
}

export function setConnection(
  cell: Cell,
  { tenantId }: Tenant,
  id: string,
  values: Partial<typeof connections.$inferInsert>,
) {
  return inTenant(cell.database.worker, tenantId, (tx) =>
    tx.update(connections).set(values).where(eq(connections.id, id)),
  );
}

export async function discovered(
  cell: Cell,
  { tenantId }: Tenant,
  connectionId: string,
  change: Partial<typeof instances.$inferInsert> = {},
): Promise<string> {
  const now = cell.clock.now();
  const id = newId('instance', 'eu', now);
  await inTenant(cell.database.worker, tenantId, (tx) =>
    tx.insert(instances).values({
      tenantId,
      id,
      connectionId,
      instanceId: INSTANCE,
      awsRegion: 'eu-central-1',
      availabilityZone: 'eu-central-1a',
      vpcId: 'vpc-0abc0abc',
      name: 'db-1',
      state: 'running',
      instanceType: 't3.small',
      tags: { Name: 'db-1' },
      volumes: [],
      configuration: { keyName: 'not for the API', rootDeviceName: '/dev/xvda', platformDetails: 'Linux/UNIX' },
      discoveredAt: now,
      ...change,
    }),
  );
  return id;
}

const volume = (volumeId: string, encrypted: boolean): PointVolume => ({
  volumeId,
  kind: 'full',
  reason: null,
  volumeBytes: 2 ** 30,
  blocksRead: 2048,
  blocksStored: 1000,
  bytesStored: 500_000_000,
  runId: 'run_eu_1',
  manifestKey: 'tenants/x/manifests/1',
  deviceName: '/dev/xvda',
  encrypted,
  kmsKeyArn: encrypted ? KEY('eu-central-1') : null,
  volumeType: 'gp3',
  iops: 3000,
  throughput: 125,
  snapshotId: null,
  tags: {},
});

export async function pointOf(
  cell: Cell,
  { tenantId }: Tenant,
  connectionId: string,
  change: Partial<typeof recoveryPoints.$inferInsert> = {},
): Promise<string> {
  const now = cell.clock.now();
  const id = newId('recoveryPoint', 'eu', now);
  await inTenant(cell.database.worker, tenantId, (tx) =>
    tx.insert(recoveryPoints).values({
      tenantId,
      id,
      state: 'COMPLETED',
      kind: 'full',
      connectionId,
      instanceId: INSTANCE,
      awsRegion: 'eu-central-1',
      backupJobId: newId('backupJob', 'eu', now),
      pointInTime: now,
      createdTime: now,
      instance: {
        name: 'db-1',
        instanceType: 't3.small',
        availabilityZone: 'eu-central-1a',
        tags: {},
        configuration: { keyName: 'not for the API', rootDeviceName: '/dev/xvda', platformDetails: 'Linux/UNIX' },
      },
      volumes: [volume(VOLUMES[0], false), volume(VOLUMES[1], true)],
      ...change,
    }),
  );
  return id;
}

/** What a worker does to a backup job: moves its state and tells the event stream. */
export function work(
  cell: Cell,
  { tenantId }: Tenant,
  jobId: string,
  step: { state?: JobState; startedAt?: Date; progress?: number; kind?: 'backup' | 'restore' },
) {
  const table = step.kind === 'restore' ? restoreJobs : backupJobs;
  const now = cell.clock.now();
  return inTenant(cell.database.worker, tenantId, async (tx) => {
    if (step.state) {
      await tx
        .update(table)
        .set({ state: step.state, ...(step.startedAt ? { startedAt: step.startedAt } : {}) })
        .where(eq(table.id, jobId));
      await tx.insert(jobEvents).values({ tenantId, jobId, type: 'state', data: { state: step.state }, time: now });
    }
    if (step.progress !== undefined)
      await tx
        .insert(jobEvents)
        .values({ tenantId, jobId, type: 'progress', data: { percent: step.progress, step: 'copy' }, time: now });
  });
}
