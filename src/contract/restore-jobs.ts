import { createRoute, z } from '@hono/zod-openapi';
import {
  awsInstanceId,
  awsRegion,
  awsTags,
  awsVolumeId,
  body,
  idempotencyHeader,
  idParam,
  idReference,
  idSchema,
  json,
  kmsKeyArn,
  listQuery,
  pageOf,
  problemResponse,
  security,
} from './common.ts';
import { eventRequest, eventStream, jobBase, jobFilters } from './jobs.ts';

export const restoreTarget = z.strictObject({
  connectionId: idReference('connection'),
  awsRegion,
  availabilityZone: z
    .string()
    .max(64)
    .optional()
    .openapi({ description: "For volumes; the source's zone when it lies in the target region" }),
  kmsKeyArn: kmsKeyArn.optional().openapi({ description: "The source's key when the region is the same" }),
});

/** Where a restored volume differs from its source. What is left out is as it was. */
export const volumeOptions = z.strictObject({
  sourceVolumeId: awsVolumeId,
  volumeType: z.enum(['gp3', 'gp2', 'io2', 'io1', 'st1', 'sc1', 'standard']).optional(),
  sizeGiB: z.number().int().min(1).max(65_536).optional().openapi({ description: 'Never less than the source' }),
  iops: z.number().int().min(100).max(256_000).optional(),
  throughput: z.number().int().min(125).max(2_000).optional().openapi({ description: 'MiB/s, gp3 only' }),
  kmsKeyArn: kmsKeyArn.optional(),
  attach: z
    .strictObject({ instanceId: awsInstanceId, deviceName: z.string().regex(/^(\/dev\/)?[a-z0-9]{2,16}$/) })
    .optional()
    .openapi({ description: 'Attach the new volume to an instance that carries the tag of the connection' }),
});

/** Where a restored instance differs from its source. Null means: without; left out means: as it was. */
export const instanceOptions = z.strictObject({
  instanceType: z
    .string()
    .regex(/^[a-z0-9-]+\.[a-z0-9-]+$/)
    .optional()
    .openapi({ example: 't3.medium' }),
  subnetId: z
    .string()
    .regex(/^subnet-[0-9a-f]{8,17}$/)
    .optional()
    .openapi({ description: "Required outside the source's region or account" }),
  securityGroupIds: z
    .array(z.string().regex(/^sg-[0-9a-f]{8,17}$/))
    .max(16)
    .optional()
    .openapi({ description: "Outside the source's region or account: the VPC's default group when absent" }),
  privateIpAddress: z.ipv4().nullable().optional().openapi({
    description: "Absent: the source's address if it is free, else any. A named one must be free.",
  }),
  keyName: z.string().min(1).max(255).nullable().optional(),
  tags: awsTags.optional().openapi({ description: "Instead of the source's tags" }),
  userData: z.base64().max(21_848).nullable().optional().openapi({ description: 'Base64, at most 16 KiB of data' }),
  requireImdsV2: z.boolean().optional(),
  bootMode: z.enum(['legacy-bios', 'uefi', 'uefi-preferred']).optional(),
  vendorImageId: z
    .string()
    .regex(/^ami-[0-9a-f]{8,17}$/)
    .optional()
    .openapi({
      description:
        'For Windows, RHEL, SUSE and Marketplace: launch from this image, whose licence comes with it, then replace its root volume',
    }),
});

export const restoreType = z.enum(['snapshot', 'volume', 'instance']);
export const restoreMode = z.enum(['new', 'inPlace']);

export const restoreJobCreate = z
  .strictObject({
    recoveryPointId: idReference('recoveryPoint'),
    type: restoreType,
    mode: restoreMode.default('new').openapi({
      description:
        '`inPlace` puts the restored volumes on the source instance and keeps the ones taken off; the instance is restarted',
    }),
    volumeIds: z
      .array(awsVolumeId)
      .min(1)
      .max(128)
      .optional()
      .openapi({ description: 'Which volumes of the point; all when absent' }),
    target: restoreTarget,
    volumes: z.array(volumeOptions).max(128).optional(),
    instance: instanceOptions.optional(),
    dryRun: z.boolean().default(false).openapi({ description: 'Only check; nothing is created' }),
  })
  .openapi('RestoreJobCreate');

export const restoredVolume = z.object({
  sourceVolumeId: z.string(),
  volumeBytes: z.number().int(),
  snapshotId: z.string().nullable(),
  volumeId: z.string().nullable(),
  encrypted: z.boolean(),
  kmsKeyArn: z.string().nullable(),
  blocksWritten: z.number().int(),
  attachedTo: z.object({ instanceId: z.string(), deviceName: z.string() }).nullable(),
  previousVolumeId: z
    .string()
    .nullable()
    .openapi({ description: 'In place: the volume that was taken off. It is kept, as it was' }),
});

/** What a dry run expects it to cost at AWS. */
export const restoreCost = z.object({
  currency: z.literal('USD'),
  once: z.number(),
  perMonth: z.number(),
  basis: z.string(),
});

export const restoreJobSchema = z
  .object({
    id: idSchema('restoreJob'),
    ...jobBase,
    recoveryPointId: idSchema('recoveryPoint'),
    type: restoreType,
    mode: restoreMode,
    target: restoreTarget,
    dryRun: z.boolean(),
    volumes: z.array(restoredVolume),
    instance: z
      .object({
        instanceId: z.string(),
        instanceType: z.string(),
        privateIpAddress: z.string().nullable(),
        subnetId: z.string().nullable(),
      })
      .nullable()
      .openapi({ description: 'The instance that was launched, or whose volumes were replaced' }),
    checks: z
      .array(z.object({ check: z.string(), ok: z.boolean(), detail: z.string() }))
      .openapi({ description: 'Findings of a dry run; after a restore, what is not as it was' }),
    cost: restoreCost.nullable(),
    leftovers: z
      .array(z.string())
      .openapi({ description: 'What we made in the account, no longer need and may not delete' }),
  })
  .openapi('RestoreJob');

const params = { params: idParam };

export const createRestoreJob = createRoute({
  method: 'post',
  path: '/v1/restore-jobs',
  operationId: 'createRestoreJob',
  tags: ['Restore jobs'],
  summary: 'Restore a recovery point',
  security,
  request: { headers: idempotencyHeader, body: body(restoreJobCreate) },
  responses: { 202: json(restoreJobSchema, 'The job'), ...problemResponse },
});

export const listRestoreJobs = createRoute({
  method: 'get',
  path: '/v1/restore-jobs',
  operationId: 'listRestoreJobs',
  tags: ['Restore jobs'],
  summary: 'Restore jobs, newest first',
  security,
  request: { query: z.strictObject({ ...listQuery, ...jobFilters, recoveryPointId: z.string().optional() }) },
  responses: { 200: json(pageOf(restoreJobSchema), 'A page of jobs'), ...problemResponse },
});

export const getRestoreJob = createRoute({
  method: 'get',
  path: '/v1/restore-jobs/{id}',
  operationId: 'getRestoreJob',
  tags: ['Restore jobs'],
  summary: 'One restore job',
  security,
  request: params,
  responses: { 200: json(restoreJobSchema, 'The job'), ...problemResponse },
});

export const abortRestoreJob = createRoute({
  method: 'post',
  path: '/v1/restore-jobs/{id}/abort',
  operationId: 'abortRestoreJob',
  tags: ['Restore jobs'],
  summary: 'Abort a restore',
  security,
  request: params,
  responses: { 202: json(restoreJobSchema, 'The job, ABORTING or already ended'), ...problemResponse },
});

export const restoreJobEvents = createRoute({
  method: 'get',
  path: '/v1/restore-jobs/{id}/events',
  operationId: 'restoreJobEvents',
  tags: ['Restore jobs'],
  summary: 'Follow a restore job',
  security,
  request: eventRequest,
  responses: eventStream,
});
