import { sql } from 'drizzle-orm';
import { bigserial, boolean, index, integer, jsonb, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { tenantPolicy } from './policies.ts';
import { instant } from './tenants.ts';
import type { Retention } from './plans.ts';

export const JOB_STATES = [
  'CREATED',
  'PENDING',
  'RUNNING',
  'COMPLETED',
  'PARTIAL',
  'FAILED',
  'ABORTING',
  'ABORTED',
  'EXPIRED',
] as const;
export type JobState = (typeof JOB_STATES)[number];
export type Blocked = { reason: 'role' | 'key' | 'store' | 'quota'; detail: string; since: string };
export type JobProgress = {
  blocksDone: number;
  blocksTotal: number | null;
  bytesStored: number;
  percent: number | null;
  step: string;
};
export type JobProblem = {
  code: string;
  title: string;
  detail: string;
  retry: 'never' | 'now' | 'later';
  facts?: Record<string, unknown>;
};
export type VolumeResult = {
  volumeId: string;
  kind: 'full' | 'incremental';
  reason: string | null;
  volumeBytes: number;
  blocksRead: number;
  blocksStored: number;
  bytesStored: number;
};

/**
 * What backup and restore jobs share. `fence` is the number of the claim that may act: each claim increments it, and
 * every effect of a worker checks it in its own transaction, so that a worker that was given up for dead changes nothing.
 */
const jobColumns = {
  tenantId: text('tenant_id').notNull(),
  id: text('id').notNull(),
  connectionId: text('connection_id').notNull(),
  awsRegion: text('aws_region').notNull(),
  state: text('state', { enum: JOB_STATES }).notNull(),
  fence: integer('fence').notNull().default(0),
  attempts: integer('attempts').notNull().default(0),
  progress: jsonb('progress').$type<JobProgress>().notNull(),
  blocked: jsonb('blocked').$type<Blocked>(),
  problem: jsonb('problem').$type<JobProblem>(),
  createdAt: instant('created_at').notNull(),
  startedAt: instant('started_at'),
  completedAt: instant('completed_at'),
};

export const backupJobs = pgTable(
  'backup_jobs',
  {
    ...jobColumns,
    instanceId: text('instance_id').notNull(),
    planId: text('plan_id'),
    ruleId: text('rule_id'),
    scheduledFor: instant('scheduled_for'),
    /** A job that has not started by then is EXPIRED; null for jobs on demand. */
    startBefore: instant('start_before'),
    retention: jsonb('retention').$type<Retention>(),
    excludeVolumeIds: jsonb('exclude_volume_ids').$type<string[]>().notNull(),
    recoveryPointId: text('recovery_point_id'),
    volumes: jsonb('volumes').$type<VolumeResult[]>().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    index('backup_jobs_created').on(table.tenantId, table.createdAt),
    // Two schedulers make one job for a slot.
    uniqueIndex('backup_jobs_slot')
      .on(table.tenantId, table.ruleId, table.instanceId, table.scheduledFor)
      .where(sql`rule_id is not null`),
    tenantPolicy('backup_jobs'),
  ],
);

export type RestoreTarget = {
  connectionId: string;
  awsRegion: string;
  availabilityZone?: string | undefined;
  kmsKeyArn?: string | undefined;
};
export type RestoredVolume = {
  sourceVolumeId: string;
  volumeBytes: number;
  snapshotId: string | null;
  volumeId: string | null;
  encrypted: boolean;
  kmsKeyArn: string | null;
  blocksWritten: number;
};

export const restoreJobs = pgTable(
  'restore_jobs',
  {
    ...jobColumns,
    recoveryPointId: text('recovery_point_id').notNull(),
    type: text('type', { enum: ['volume', 'snapshot'] }).notNull(),
    volumeIds: jsonb('volume_ids').$type<string[]>(),
    target: jsonb('target').$type<RestoreTarget>().notNull(),
    dryRun: boolean('dry_run').notNull(),
    volumes: jsonb('volumes').$type<RestoredVolume[]>().notNull(),
    checks: jsonb('checks').$type<{ check: string; ok: boolean; detail: string }[]>().notNull(),
    leftovers: jsonb('leftovers').$type<string[]>().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    index('restore_jobs_created').on(table.tenantId, table.createdAt),
    tenantPolicy('restore_jobs'),
  ],
);

/** What the event streams of jobs send; `seq` is the event id that Last-Event-ID names. */
export const jobEvents = pgTable(
  'job_events',
  {
    tenantId: text('tenant_id').notNull(),
    seq: bigserial('seq', { mode: 'number' }).notNull(),
    jobId: text('job_id').notNull(),
    type: text('type', { enum: ['progress', 'state'] }).notNull(),
    data: jsonb('data').$type<Record<string, unknown>>().notNull(),
    time: instant('time').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.seq] }),
    index('job_events_job').on(table.tenantId, table.jobId, table.seq),
    tenantPolicy('job_events'),
  ],
);
