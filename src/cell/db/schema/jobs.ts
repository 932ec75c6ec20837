import { sql } from 'drizzle-orm';
import { bigserial, boolean, index, integer, jsonb, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { ExcludedVolume, Exclusion } from '../../selection/volumes.ts';
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
    /** What the plan's selections leave out, and, once the worker has looked at the instance, which volumes those are. */
    exclusions: jsonb('exclusions').$type<Exclusion[]>().notNull().default([]),
    excludedVolumes: jsonb('excluded_volumes').$type<ExcludedVolume[]>(),
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
  attachedTo: { instanceId: string; deviceName: string } | null;
  previousVolumeId: string | null;
};

/** Where a restored volume is to differ from its source. */
export type VolumeOptions = {
  sourceVolumeId: string;
  volumeType?: string | undefined;
  sizeGiB?: number | undefined;
  iops?: number | undefined;
  throughput?: number | undefined;
  kmsKeyArn?: string | undefined;
  attach?: { instanceId: string; deviceName: string } | undefined;
};

/** Where a restored instance is to differ from its source; null: without. */
export type InstanceOptions = {
  instanceType?: string | undefined;
  subnetId?: string | undefined;
  securityGroupIds?: string[] | undefined;
  privateIpAddress?: string | null | undefined;
  keyName?: string | null | undefined;
  tags?: Record<string, string> | undefined;
  userData?: string | null | undefined;
  requireImdsV2?: boolean | undefined;
  bootMode?: 'legacy-bios' | 'uefi' | 'uefi-preferred' | undefined;
  vendorImageId?: string | undefined;
};

export type RestoredInstance = {
  instanceId: string;
  instanceType: string;
  privateIpAddress: string | null;
  subnetId: string | null;
};
export type Check = { check: string; ok: boolean; detail: string };
export type RestoreCost = { currency: 'USD'; once: number; perMonth: number; basis: string };

/**
 * Something that a restore made in the account, by the step that made it: a job that is tried again goes on from these,
 * and whatever is not part of its result is left over. `result` may be set later, when the thing has become part of it.
 */
export type Made = {
  step: string;
  kind: 'snapshot' | 'volume' | 'image' | 'instance';
  id: string;
  done: boolean;
  result: boolean;
  blocksWritten?: number;
};

export const restoreJobs = pgTable(
  'restore_jobs',
  {
    ...jobColumns,
    recoveryPointId: text('recovery_point_id').notNull(),
    type: text('type', { enum: ['snapshot', 'volume', 'instance'] }).notNull(),
    mode: text('mode', { enum: ['new', 'inPlace'] })
      .notNull()
      .default('new'),
    volumeIds: jsonb('volume_ids').$type<string[]>(),
    target: jsonb('target').$type<RestoreTarget>().notNull(),
    volumeOptions: jsonb('volume_options').$type<VolumeOptions[]>().notNull().default([]),
    instanceOptions: jsonb('instance_options').$type<InstanceOptions>().notNull().default({}),
    dryRun: boolean('dry_run').notNull(),
    made: jsonb('made').$type<Made[]>().notNull().default([]),
    volumes: jsonb('volumes').$type<RestoredVolume[]>().notNull(),
    instance: jsonb('instance').$type<RestoredInstance>(),
    checks: jsonb('checks').$type<Check[]>().notNull(),
    cost: jsonb('cost').$type<RestoreCost>(),
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
