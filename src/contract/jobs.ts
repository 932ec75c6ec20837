import { createRoute, z } from '@hono/zod-openapi';
import {
  awsInstanceId,
  body,
  idempotencyHeader,
  idParam,
  idReference,
  idSchema,
  jobProblem,
  json,
  listQuery,
  pageOf,
  problemResponse,
  security,
  timestamp,
} from './common.ts';
import { retention } from './backup-plans.ts';

export const jobState = z.enum([
  'CREATED',
  'PENDING',
  'RUNNING',
  'COMPLETED',
  'PARTIAL',
  'FAILED',
  'ABORTING',
  'ABORTED',
  'EXPIRED',
]);

/** Why a PENDING job waits; it resumes by itself when the cause is gone. */
export const blocked = z.object({
  reason: z.enum(['role', 'key', 'store', 'quota']),
  detail: z.string(),
  since: timestamp,
});

export const progress = z.object({
  blocksDone: z.number().int(),
  blocksTotal: z.number().int().nullable(),
  bytesStored: z.number().int(),
  percent: z.number().nullable(),
  step: z.string().openapi({ description: 'What is being done now, such as snapshot, copy, manifest' }),
});

/** What backup and restore jobs have in common. */
export const jobBase = {
  state: jobState,
  connectionId: idSchema('connection'),
  awsRegion: z.string(),
  progress,
  blocked: blocked.nullable(),
  problem: jobProblem.nullable().openapi({ description: 'Set when the job FAILED, EXPIRED or was PARTIAL' }),
  attempts: z.number().int(),
  createdAt: timestamp,
  startedAt: timestamp.nullable(),
  completedAt: timestamp.nullable(),
};

/** What a backup did with one volume. */
export const volumeResult = z.object({
  volumeId: z.string(),
  kind: z.enum(['full', 'incremental']),
  reason: z.string().nullable().openapi({ description: 'Why it was full although a base was expected' }),
  volumeBytes: z.number().int(),
  blocksRead: z.number().int(),
  blocksStored: z.number().int(),
  bytesStored: z.number().int(),
});

export const backupJobSchema = z
  .object({
    id: idSchema('backupJob'),
    ...jobBase,
    instanceId: z.string(),
    planId: idSchema('backupPlan').nullable(),
    ruleId: idSchema('rule').nullable(),
    scheduledFor: timestamp.nullable(),
    recoveryPointId: idSchema('recoveryPoint').nullable(),
    volumes: z.array(volumeResult),
  })
  .openapi('BackupJob');

export const backupJobCreate = z
  .strictObject({
    connectionId: idReference('connection'),
    instanceId: awsInstanceId,
    retention: retention.optional().openapi({ description: 'Kept until deleted by hand when absent' }),
  })
  .openapi('BackupJobCreate');

const params = { params: idParam };
/** Filters of both lists of jobs. */
export const jobFilters = { connectionId: z.string().optional(), state: jobState.optional() };

export const createBackupJob = createRoute({
  method: 'post',
  path: '/v1/backup-jobs',
  operationId: 'createBackupJob',
  tags: ['Backup jobs'],
  summary: 'Back up an instance now',
  security,
  request: { headers: idempotencyHeader, body: body(backupJobCreate) },
  responses: { 202: json(backupJobSchema, 'The job'), ...problemResponse },
});

export const listBackupJobs = createRoute({
  method: 'get',
  path: '/v1/backup-jobs',
  operationId: 'listBackupJobs',
  tags: ['Backup jobs'],
  summary: 'Backup jobs, newest first',
  security,
  request: {
    query: z.strictObject({
      ...listQuery,
      ...jobFilters,
      instanceId: z.string().optional(),
      planId: z.string().optional(),
    }),
  },
  responses: { 200: json(pageOf(backupJobSchema), 'A page of jobs'), ...problemResponse },
});

export const getBackupJob = createRoute({
  method: 'get',
  path: '/v1/backup-jobs/{id}',
  operationId: 'getBackupJob',
  tags: ['Backup jobs'],
  summary: 'One backup job',
  security,
  request: params,
  responses: { 200: json(backupJobSchema, 'The job'), ...problemResponse },
});

export const abortBackupJob = createRoute({
  method: 'post',
  path: '/v1/backup-jobs/{id}/abort',
  operationId: 'abortBackupJob',
  tags: ['Backup jobs'],
  summary: 'Abort a job; what it made is removed',
  security,
  request: params,
  responses: { 202: json(backupJobSchema, 'The job, ABORTING or already ended'), ...problemResponse },
});

export const eventStream = {
  200: {
    description:
      "Server-sent events: `progress` (the job's progress) and `state` (the whole job). Ends after the final state.",
    content: { 'text/event-stream': { schema: z.string() } },
  },
  ...problemResponse,
};
export const eventRequest = { params: idParam, headers: z.object({ 'last-event-id': z.string().max(32).optional() }) };

export const backupJobEvents = createRoute({
  method: 'get',
  path: '/v1/backup-jobs/{id}/events',
  operationId: 'backupJobEvents',
  tags: ['Backup jobs'],
  summary: 'Follow a backup job',
  security,
  request: eventRequest,
  responses: eventStream,
});
