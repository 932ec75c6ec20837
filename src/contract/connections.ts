import { createRoute, z } from '@hono/zod-openapi';
import {
  awsRegion,
  awsTag,
  body,
  idempotencyHeader,
  idParam,
  idSchema,
  json,
  kmsKeyArn,
  listQuery,
  pageOf,
  problemResponse,
  security,
  timestamp,
} from './common.ts';

export const connectionState = z.enum(['PENDING', 'CONNECTED', 'INSUFFICIENT_PERMISSIONS', 'INSECURE', 'DISCONNECTED']);

/** Where recovery points lie. */
export const storage = z.enum(['vault', 'account']).openapi({
  description:
    '`vault`: blocks are copied into the cell. `account`: recovery points stay EBS snapshots of the account, and its role has no right to read a block.',
});

/** Among which volumes equal blocks are stored once. */
export const dedup = z.enum(['volume', 'tenant']).openapi({
  description:
    '`volume`: a volume names blocks of its own only, and its keys can be destroyed by themselves. `tenant`: it may also name blocks of other volumes of connections with `tenant`: less is stored, and destroying the keys of one volume destroys those blocks of the others too.',
});

/** A policy document as JSON, ready for IAM. */
export const policyDocument = z
  .record(z.string(), z.unknown())
  .openapi({ type: 'object', description: 'An IAM policy document' });

export const connectionCreate = z
  .strictObject({
    awsAccountId: z
      .string()
      .regex(/^\d{12}$/, 'must be the 12 digits of an AWS account id')
      .openapi({ example: '123456789012' }),
    awsRegions: z
      .array(awsRegion)
      .min(1)
      .max(32)
      .refine((list) => new Set(list).size === list.length, 'must not repeat a region'),
    tag: awsTag.openapi({ description: 'Only instances with this tag are ever touched' }),
    vpcIds: z
      .array(z.string().regex(/^vpc-[0-9a-f]{8,17}$/, 'must be a VPC id such as vpc-0abc…'))
      .max(64)
      .optional(),
    kmsKeyArns: z.array(kmsKeyArn).max(64).optional(),
    storage,
    dedup: dedup.default('volume'),
    restore: z.boolean().default(false).openapi({ description: 'Also ask for the rights that restores need' }),
    restoreInPlace: z
      .boolean()
      .default(false)
      .openapi({ description: 'Also ask for stopping tagged instances and swapping their volumes; needs `restore`' }),
    cleanUp: z.boolean().default(false).openapi({
      description:
        'Also ask for a role that deletes what restore jobs made and no longer need. Without it a job lists what is left.',
    }),
  })
  .superRefine(({ storage: where, dedup: among, restore, restoreInPlace, cleanUp }, context) => {
    if (among === 'tenant' && where !== 'vault')
      context.addIssue({ code: 'custom', path: ['dedup'], message: 'needs storage: vault' });
    const needy = { restoreInPlace, cleanUp };
    for (const [name, wanted] of Object.entries(needy))
      if (wanted && !restore) context.addIssue({ code: 'custom', path: [name], message: 'needs restore: true' });
  })
  .openapi('ConnectionCreate');

export const connectionSchema = z
  .object({
    id: idSchema('connection'),
    state: connectionState,
    stateDetail: z.string().nullable().openapi({ description: 'Why the state is what it is, and what to do next' }),
    awsAccountId: z.string(),
    awsRegions: z.array(z.string()),
    tag: awsTag,
    vpcIds: z.array(z.string()),
    kmsKeyArns: z.array(z.string()),
    storage,
    dedup,
    restore: z.boolean(),
    restoreInPlace: z.boolean(),
    cleanUp: z.boolean(),
    externalId: z.uuid().openapi({ description: 'Made by us, unique, never changes' }),
    roleName: z.string(),
    roleArn: z.string(),
    templateUrl: z.string(),
    quickCreateUrl: z.string(),
    trustPolicy: policyDocument,
    backupPolicy: policyDocument,
    restorePolicy: policyDocument.optional(),
    cleanUpRoleName: z.string().optional(),
    cleanUpPolicy: policyDocument.optional(),
    missing: z
      .array(z.object({ action: z.string(), awsRegion: z.string(), detail: z.string() }))
      .openapi({ description: 'What the role cannot do; what that rules out' }),
    lastVerifiedAt: timestamp.nullable(),
    createdAt: timestamp,
  })
  .openapi('Connection');

const params = { params: idParam };

export const createConnection = createRoute({
  method: 'post',
  path: '/v1/connections',
  operationId: 'createConnection',
  tags: ['Connections'],
  summary: 'Connect an AWS account',
  description: 'Makes the External ID and the policies of the role. Create the role with them, then verify.',
  security,
  request: { headers: idempotencyHeader, body: body(connectionCreate) },
  responses: { 201: json(connectionSchema, 'Created, in state PENDING'), ...problemResponse },
});

export const listConnections = createRoute({
  method: 'get',
  path: '/v1/connections',
  operationId: 'listConnections',
  tags: ['Connections'],
  summary: 'List connections',
  security,
  request: { query: z.strictObject(listQuery) },
  responses: { 200: json(pageOf(connectionSchema), 'A page of connections'), ...problemResponse },
});

export const getConnection = createRoute({
  method: 'get',
  path: '/v1/connections/{id}',
  operationId: 'getConnection',
  tags: ['Connections'],
  summary: 'One connection',
  security,
  request: params,
  responses: { 200: json(connectionSchema, 'The connection'), ...problemResponse },
});

export const verifyConnection = createRoute({
  method: 'post',
  path: '/v1/connections/{id}/verify',
  operationId: 'verifyConnection',
  tags: ['Connections'],
  summary: 'Verify the role now',
  description:
    'A worker assumes the role with our External ID, without one, and with a wrong one. Poll the connection until `lastVerifiedAt` moves; its instances are discovered next.',
  security,
  request: params,
  responses: { 202: json(connectionSchema, 'Verification has been queued'), ...problemResponse },
});

export const deleteConnection = createRoute({
  method: 'delete',
  path: '/v1/connections/{id}',
  operationId: 'deleteConnection',
  tags: ['Connections'],
  summary: 'Disconnect: no further call to the account; recovery points stay',
  security,
  request: params,
  responses: { 204: { description: 'Disconnected' }, ...problemResponse },
});

export const instanceVolume = z.object({
  volumeId: z.string(),
  deviceName: z.string(),
  volumeBytes: z.number().int(),
  encrypted: z.boolean(),
  kmsKeyArn: z.string().nullable(),
});

export const instanceSchema = z
  .object({
    id: idSchema('instance'),
    instanceId: z.string(),
    connectionId: idSchema('connection'),
    awsRegion: z.string(),
    availabilityZone: z.string(),
    vpcId: z.string().nullable(),
    name: z.string().nullable(),
    state: z.string().openapi({ description: 'As EC2 last told: running, stopped, terminated, …' }),
    instanceType: z.string(),
    tags: z.record(z.string(), z.string()),
    volumes: z.array(instanceVolume),
    discoveredAt: timestamp,
  })
  .openapi('Instance');

export const listInstances = createRoute({
  method: 'get',
  path: '/v1/instances',
  operationId: 'listInstances',
  tags: ['Instances'],
  summary: 'Instances discovered within the limits of the connections',
  security,
  request: {
    query: z.strictObject({
      ...listQuery,
      connectionId: z.string().optional(),
      awsRegion: awsRegion.optional(),
      instanceId: z.string().optional(),
    }),
  },
  responses: { 200: json(pageOf(instanceSchema), 'A page of instances'), ...problemResponse },
});

export const getInstance = createRoute({
  method: 'get',
  path: '/v1/instances/{id}',
  operationId: 'getInstance',
  tags: ['Instances'],
  summary: 'One instance, by our id',
  security,
  request: params,
  responses: { 200: json(instanceSchema, 'The instance'), ...problemResponse },
});
