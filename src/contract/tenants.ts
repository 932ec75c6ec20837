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

export const tier = z.enum(['standard', 'enterprise']).openapi({ description: 'Price plan' });

export const tenantSchema = z
  .object({
    tenantId: idSchema('tenant'),
    name: z.string(),
    tier,
    cell: z.string(),
    jurisdiction: z.string(),
    createdAt: timestamp,
  })
  .openapi('Tenant');

export const tenantCreate = z
  .strictObject({ name: displayName, tier: tier.default('standard') })
  .openapi('TenantCreate');

/** The only answer that ever shows the key. */
export const tenantCreated = tenantSchema.extend({ apiKey: z.string() }).openapi('TenantCreated');

export const createTenant = createRoute({
  method: 'post',
  path: '/v1/tenants',
  operationId: 'createTenant',
  tags: ['Tenants'],
  summary: 'Create a tenant (operator key)',
  description: 'Answers with the tenant and its first API key, which is shown once.',
  security,
  request: { headers: idempotencyHeader, body: body(tenantCreate) },
  responses: { 201: json(tenantCreated, 'Created'), ...problemResponse },
});

export const listTenants = createRoute({
  method: 'get',
  path: '/v1/tenants',
  operationId: 'listTenants',
  tags: ['Tenants'],
  summary: 'List the tenants of this cell (operator key)',
  security,
  request: { query: z.strictObject(listQuery) },
  responses: { 200: json(pageOf(tenantSchema), 'A page of tenants'), ...problemResponse },
});

export const getTenant = createRoute({
  method: 'get',
  path: '/v1/tenant',
  operationId: 'getTenant',
  tags: ['Tenants'],
  summary: 'The tenant that the key belongs to',
  security,
  responses: { 200: json(tenantSchema, 'The tenant'), ...problemResponse },
});

export const apiKeySchema = z
  .object({
    id: idSchema('apiKey'),
    name: z.string(),
    prefix: z.string(),
    createdAt: timestamp,
    lastUsedAt: timestamp.nullable(),
    revokedAt: timestamp.nullable(),
  })
  .openapi('ApiKey');

export const createApiKey = createRoute({
  method: 'post',
  path: '/v1/api-keys',
  operationId: 'createApiKey',
  tags: ['API keys'],
  summary: 'Make another API key',
  security,
  request: { headers: idempotencyHeader, body: body(z.strictObject({ name: displayName }).openapi('ApiKeyCreate')) },
  responses: {
    201: json(apiKeySchema.extend({ apiKey: z.string() }).openapi('ApiKeyCreated'), 'Created; the key is shown once'),
    ...problemResponse,
  },
});

export const listApiKeys = createRoute({
  method: 'get',
  path: '/v1/api-keys',
  operationId: 'listApiKeys',
  tags: ['API keys'],
  summary: 'List API keys',
  security,
  request: { query: z.strictObject(listQuery) },
  responses: { 200: json(pageOf(apiKeySchema), 'A page of keys, without their secrets'), ...problemResponse },
});

export const revokeApiKey = createRoute({
  method: 'delete',
  path: '/v1/api-keys/{id}',
  operationId: 'revokeApiKey',
  tags: ['API keys'],
  summary: 'Revoke an API key, now',
  security,
  request: { params: idParam },
  responses: { 204: { description: 'Revoked' }, ...problemResponse },
});
