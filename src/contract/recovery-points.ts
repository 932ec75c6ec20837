import { createRoute, z } from '@hono/zod-openapi';
import { awsTags, idParam, idSchema, json, listQuery, pageOf, problemResponse, security, timestamp } from './common.ts';
import { volumeResult } from './jobs.ts';
import { excludedVolume } from './selections.ts';

export const recoveryPointState = z.enum(['COMPLETED', 'PARTIAL', 'DELETING']);

export const recoveryPointVolume = volumeResult
  .extend({
    deviceName: z.string(),
    encrypted: z.boolean(),
    kmsKeyArn: z.string().nullable(),
    snapshotId: z
      .string()
      .nullable()
      .openapi({ description: 'EBS snapshot it was read from, while it still exists as the base of the next backup' }),
    tags: awsTags,
  })
  .openapi('RecoveryPointVolume');

export const recoveryPointSchema = z
  .object({
    id: idSchema('recoveryPoint'),
    state: recoveryPointState,
    kind: z.enum(['full', 'incremental']).openapi({ description: 'full when any of its volumes was read in full' }),
    connectionId: idSchema('connection'),
    instanceId: z.string(),
    awsRegion: z.string(),
    planId: idSchema('backupPlan').nullable(),
    ruleId: idSchema('rule').nullable(),
    backupJobId: idSchema('backupJob'),
    pointInTime: timestamp.openapi({ description: 'The instant that the data is of' }),
    createdTime: timestamp.openapi({ description: 'When the point became restorable' }),
    expiresAt: timestamp.nullable(),
    storage: z
      .enum(['vault', 'account'])
      .openapi({ description: 'In the vault of the cell, or as EBS snapshots that never left the account' }),
    lockedUntil: timestamp.nullable().openapi({
      description: 'Until then nobody can delete it: EBS refuses for its snapshots, S3 for its objects in the vault',
    }),
    instance: z
      .object({ name: z.string().nullable(), instanceType: z.string(), availabilityZone: z.string(), tags: awsTags })
      .openapi({ description: 'The instance as it was' }),
    volumes: z.array(recoveryPointVolume),
    excludedVolumes: z
      .array(excludedVolume)
      .openapi({ description: 'Volumes that the instance had then and that this point does not have' }),
  })
  .openapi('RecoveryPoint');

const pointDamage = z
  .object({
    volumeId: z.string(),
    class: z.enum(['object_missing', 'wrong_key', 'object_corrupt', 'unsupported_format']),
    object: z.string().openapi({ description: 'Name of the damaged object below the tenant in the bucket' }),
    foundAt: timestamp,
    blocks: z
      .number()
      .int()
      .nullable()
      .openapi({ description: 'Blocks of the volume that cannot be restored; 0: all can, null: none can' }),
    firstBlock: z
      .number()
      .int()
      .nullable()
      .openapi({ description: 'Index of the first of them, as far as it is known' }),
  })
  .openapi('RecoveryPointDamage');

const pointVerification = z
  .object({
    lastExistence: timestamp.nullable().openapi({
      description: 'When everything that it needs was last seen to be there, and its manifests and keys were opened',
    }),
    lastBytes: timestamp
      .nullable()
      .openapi({ description: 'Every byte of it was read and proved after this; null: not every byte was, yet' }),
    damage: z
      .array(pointDamage)
      .openapi({ description: 'What was found, and was still so when it was last looked at' }),
  })
  .openapi('RecoveryPointVerification');

export const recoveryPointDetail = recoveryPointSchema
  .extend({
    verification: pointVerification.nullable().openapi({
      description: 'What verification found; null: it was not looked at yet, or nothing of it lies in the vault',
    }),
  })
  .openapi('RecoveryPointDetail');

export const deletionRequestSchema = z
  .object({
    id: idSchema('deletionRequest'),
    state: z.enum(['WAITING_APPROVAL', 'SCHEDULED', 'CANCELLED', 'DONE']),
    recoveryPointId: idSchema('recoveryPoint'),
    notBefore: timestamp.openapi({ description: 'Nothing is deleted before this' }),
    createdAt: timestamp,
  })
  .openapi('DeletionRequest');

const params = { params: idParam };

export const listRecoveryPoints = createRoute({
  method: 'get',
  path: '/v1/recovery-points',
  operationId: 'listRecoveryPoints',
  tags: ['Recovery points'],
  summary: 'Recovery points, newest first',
  security,
  request: {
    query: z.strictObject({
      ...listQuery,
      connectionId: z.string().optional(),
      instanceId: z.string().optional(),
      planId: z.string().optional(),
    }),
  },
  responses: { 200: json(pageOf(recoveryPointSchema), 'A page of recovery points'), ...problemResponse },
});

export const getRecoveryPoint = createRoute({
  method: 'get',
  path: '/v1/recovery-points/{id}',
  operationId: 'getRecoveryPoint',
  tags: ['Recovery points'],
  summary: 'One recovery point',
  security,
  request: params,
  responses: { 200: json(recoveryPointDetail, 'The recovery point'), ...problemResponse },
});

export const deleteRecoveryPoint = createRoute({
  method: 'delete',
  path: '/v1/recovery-points/{id}',
  operationId: 'deleteRecoveryPoint',
  tags: ['Recovery points'],
  summary: 'Ask for a recovery point to be deleted, after a delay',
  security,
  request: params,
  responses: { 202: json(deletionRequestSchema, 'Scheduled; it can be cancelled until then'), ...problemResponse },
});

export const listDeletionRequests = createRoute({
  method: 'get',
  path: '/v1/deletion-requests',
  operationId: 'listDeletionRequests',
  tags: ['Recovery points'],
  summary: 'Deletion requests, newest first',
  security,
  request: { query: z.strictObject(listQuery) },
  responses: { 200: json(pageOf(deletionRequestSchema), 'A page of requests'), ...problemResponse },
});

export const cancelDeletionRequest = createRoute({
  method: 'post',
  path: '/v1/deletion-requests/{id}/cancel',
  operationId: 'cancelDeletionRequest',
  tags: ['Recovery points'],
  summary: 'Cancel a deletion that has not happened yet',
  security,
  request: params,
  responses: { 200: json(deletionRequestSchema, 'Cancelled'), ...problemResponse },
});
