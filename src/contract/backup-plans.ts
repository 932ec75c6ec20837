import { createRoute, z } from '@hono/zod-openapi';
import {
  body,
  displayName,
  idempotencyHeader,
  idParam,
  idSchema,
  json,
  listQuery,
  pageOf,
  problemResponse,
  security,
  timestamp,
} from './common.ts';
import { selectionInput, selectionSchema } from './selections.ts';

const lock = z
  .strictObject({
    mode: z.enum(['governance', 'compliance']),
    days: z.number().int().min(1).max(36_500),
    coolOffHours: z.number().int().min(1).max(72).optional().openapi({
      description:
        'With `account` storage and compliance only: for so long it can still be lifted. Absent: it holds at once, for good',
    }),
  })
  .refine(({ mode, coolOffHours }) => mode === 'compliance' || coolOffHours === undefined, {
    path: ['coolOffHours'],
    error: 'is for mode compliance',
  })
  .openapi({
    description:
      'Nobody deletes the point for so many days: with `account` storage EBS refuses, counted from the backup’s end; with `vault` storage S3 does, counted from `pointInTime`, in mode compliance',
  });

export const retention = z
  .strictObject({
    keepLast: z.number().int().min(1).max(100_000).optional(),
    deleteAfterDays: z.number().int().min(1).max(36_500).optional(),
    lock: lock.optional(),
  })
  .refine(
    (value) => value.keepLast !== undefined || value.deleteAfterDays !== undefined,
    'needs keepLast, deleteAfterDays or both',
  )
  .openapi('Retention', {
    example: { keepLast: 7, deleteAfterDays: 30 },
    description:
      'A point is kept while either rule keeps it: it is one of the newest `keepLast` of its instance and rule, or younger than `deleteAfterDays`.',
  });

export const ruleInput = z.strictObject({
  name: displayName,
  cron: z
    .string()
    .min(1)
    .max(200)
    .openapi({ description: 'Five fields: minute hour day month weekday', example: '0 3 * * *' }),
  timeZone: z.string().min(1).max(64).openapi({ description: 'IANA time zone', example: 'Europe/Berlin' }),
  startWindowMinutes: z
    .number()
    .int()
    .min(1)
    .max(1440)
    .default(60)
    .openapi({ description: 'A job that has not started by then is EXPIRED' }),
  retention,
});

export const ruleSchema = ruleInput.extend({ id: idSchema('rule'), nextRunAt: timestamp.nullable() }).openapi('Rule');

export const planCreate = z
  .strictObject({
    name: displayName,
    rules: z.array(ruleInput).min(1).max(20),
    selections: z.array(selectionInput).max(50).optional(),
  })
  .openapi('BackupPlanCreate');

export const planUpdate = z
  .strictObject({
    name: displayName,
    rules: z
      .array(ruleInput.extend({ id: z.string().optional() }))
      .min(1)
      .max(20),
    paused: z.boolean().default(false),
  })
  .openapi('BackupPlanUpdate');

export const planSchema = z
  .object({
    id: idSchema('backupPlan'),
    name: z.string(),
    paused: z.boolean(),
    rules: z.array(ruleSchema),
    selections: z.array(selectionSchema),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('BackupPlan');

const params = { params: idParam };
const tags = ['Backup plans'];

export const createBackupPlan = createRoute({
  method: 'post',
  path: '/v1/backup-plans',
  operationId: 'createBackupPlan',
  tags,
  summary: 'Create a backup plan',
  security,
  request: { headers: idempotencyHeader, body: body(planCreate) },
  responses: { 201: json(planSchema, 'Created'), ...problemResponse },
});

export const listBackupPlans = createRoute({
  method: 'get',
  path: '/v1/backup-plans',
  operationId: 'listBackupPlans',
  tags,
  summary: 'List backup plans',
  security,
  request: { query: z.strictObject(listQuery) },
  responses: { 200: json(pageOf(planSchema), 'A page of plans'), ...problemResponse },
});

export const getBackupPlan = createRoute({
  method: 'get',
  path: '/v1/backup-plans/{id}',
  operationId: 'getBackupPlan',
  tags,
  summary: 'One backup plan',
  security,
  request: params,
  responses: { 200: json(planSchema, 'The plan'), ...problemResponse },
});

export const updateBackupPlan = createRoute({
  method: 'put',
  path: '/v1/backup-plans/{id}',
  operationId: 'updateBackupPlan',
  tags,
  summary: 'Replace name, rules and paused; rules keep their id when it is given',
  security,
  request: { ...params, body: body(planUpdate) },
  responses: { 200: json(planSchema, 'The plan as it is now'), ...problemResponse },
});

export const deleteBackupPlan = createRoute({
  method: 'delete',
  path: '/v1/backup-plans/{id}',
  operationId: 'deleteBackupPlan',
  tags,
  summary: 'Delete a plan; its recovery points stay until they are deleted by hand',
  security,
  request: params,
  responses: { 204: { description: 'Deleted' }, ...problemResponse },
});

export const createSelection = createRoute({
  method: 'post',
  path: '/v1/backup-plans/{id}/selections',
  operationId: 'createSelection',
  tags,
  summary: 'Add a selection to a plan',
  security,
  request: { ...params, headers: idempotencyHeader, body: body(selectionInput) },
  responses: { 201: json(selectionSchema, 'Created'), ...problemResponse },
});

export const listSelections = createRoute({
  method: 'get',
  path: '/v1/backup-plans/{id}/selections',
  operationId: 'listSelections',
  tags,
  summary: 'Selections of a plan',
  security,
  request: { ...params, query: z.strictObject(listQuery) },
  responses: { 200: json(pageOf(selectionSchema), 'A page of selections'), ...problemResponse },
});

export const deleteSelection = createRoute({
  method: 'delete',
  path: '/v1/backup-plans/{id}/selections/{selectionId}',
  operationId: 'deleteSelection',
  tags,
  summary: 'Remove a selection',
  security,
  request: { params: z.strictObject({ id: z.string().max(128), selectionId: z.string().max(128) }) },
  responses: { 204: { description: 'Removed' }, ...problemResponse },
});
