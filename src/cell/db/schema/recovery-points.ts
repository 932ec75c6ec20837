import { index, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { InstanceConfiguration } from '../../../aws/instances.ts';
import type { ExcludedVolume } from '../../selection/volumes.ts';
import type { VolumeResult } from './jobs.ts';
import { tenantPolicy } from './policies.ts';
import { instant } from './tenants.ts';

/** A child of a recovery point: one volume, where its manifest lies, and what it takes to make the volume again. */
export type PointVolume = VolumeResult & {
  runId: string;
  /** Null where the point is an EBS snapshot of the account: nothing of it lies in the vault. */
  manifestKey: string | null;
  deviceName: string;
  encrypted: boolean;
  kmsKeyArn: string | null;
  volumeType: string | null;
  iops: number | null;
  throughput: number | null;
  /** The EBS snapshot it was read from, null once that has been deleted; with `account` storage, the point itself. */
  snapshotId: string | null;
  tags: Record<string, string>;
  /** Of a locked point in the vault: everything that the volume's manifest refers to is known to be locked at least until then. */
  heldUntil?: string;
};

export type PointInstance = {
  name: string | null;
  instanceType: string;
  availabilityZone: string;
  tags: Record<string, string>;
  configuration: InstanceConfiguration;
};

/** Written last, in the transaction that completes the job: from then on the point is acknowledged and never lost. */
export const recoveryPoints = pgTable(
  'recovery_points',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    state: text('state', { enum: ['COMPLETED', 'PARTIAL', 'DELETING', 'DELETED'] }).notNull(),
    kind: text('kind', { enum: ['full', 'incremental'] }).notNull(),
    connectionId: text('connection_id').notNull(),
    instanceId: text('instance_id').notNull(),
    awsRegion: text('aws_region').notNull(),
    planId: text('plan_id'),
    ruleId: text('rule_id'),
    backupJobId: text('backup_job_id').notNull(),
    pointInTime: instant('point_in_time').notNull(),
    createdTime: instant('created_time').notNull(),
    /** Earliest instant at which retention may delete it; null: only by hand, or by `keepLast`. */
    expiresAt: instant('expires_at'),
    storage: text('storage', { enum: ['vault', 'account'] })
      .notNull()
      .default('vault'),
    /** Until when nobody can delete it: EBS refuses for its snapshots, S3 for its objects in the vault. */
    lockedUntil: instant('locked_until'),
    instance: jsonb('instance').$type<PointInstance>().notNull(),
    volumes: jsonb('volumes').$type<PointVolume[]>().notNull(),
    /** Volumes that the instance had and that were left out, each by the rule that said so. */
    excludedVolumes: jsonb('excluded_volumes').$type<ExcludedVolume[]>().notNull().default([]),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    index('recovery_points_instance').on(table.tenantId, table.connectionId, table.instanceId, table.pointInTime),
    tenantPolicy('recovery_points'),
  ],
);

/** The base of each volume's next incremental: the newest EBS snapshot of ours and the manifest made from it. */
export const volumeBases = pgTable(
  'volume_bases',
  {
    tenantId: text('tenant_id').notNull(),
    connectionId: text('connection_id').notNull(),
    volumeId: text('volume_id').notNull(),
    awsRegion: text('aws_region').notNull(),
    snapshotId: text('snapshot_id').notNull(),
    runId: text('run_id').notNull(),
    manifestKey: text('manifest_key').notNull(),
    recoveryPointId: text('recovery_point_id').notNull(),
    updatedAt: instant('updated_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.connectionId, table.volumeId] }),
    tenantPolicy('volume_bases'),
  ],
);

export const deletionRequests = pgTable(
  'deletion_requests',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    state: text('state', { enum: ['WAITING_APPROVAL', 'SCHEDULED', 'CANCELLED', 'DONE'] }).notNull(),
    recoveryPointId: text('recovery_point_id').notNull(),
    notBefore: instant('not_before').notNull(),
    createdAt: instant('created_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] }), tenantPolicy('deletion_requests')],
);
