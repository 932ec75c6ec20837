import { createRoute, z } from '@hono/zod-openapi';
import { idSchema, json, listQuery, pageOf, problemResponse, security, timestamp } from './common.ts';

export const auditEventSchema = z
  .object({
    id: idSchema('auditEvent'),
    time: timestamp,
    actor: z.object({ type: z.enum(['api_key', 'operator', 'system']), id: z.string() }),
    action: z.string().openapi({ example: 'connection.create' }),
    resource: z.string().openapi({ description: 'Id of what was changed' }),
    requestId: z.string().nullable(),
    details: z.record(z.string(), z.unknown()),
  })
  .openapi('AuditEvent');

export const listAuditEvents = createRoute({
  method: 'get',
  path: '/v1/audit-events',
  operationId: 'listAuditEvents',
  tags: ['Audit'],
  summary: 'Every change, newest first',
  security,
  request: { query: z.strictObject({ ...listQuery, resource: z.string().optional(), action: z.string().optional() }) },
  responses: { 200: json(pageOf(auditEventSchema), 'A page of events'), ...problemResponse },
});

export const regionSchema = z
  .object({ cell: z.string(), jurisdiction: z.string(), awsRegions: z.array(z.string()), url: z.string() })
  .openapi('Region');

export const listRegions = createRoute({
  method: 'get',
  path: '/v1/regions',
  operationId: 'listRegions',
  tags: ['System'],
  summary: 'Cells, their jurisdictions and addresses',
  responses: { 200: json(z.object({ items: z.array(regionSchema) }), 'The regions'), ...problemResponse },
});

const health = z.object({
  status: z.enum(['ok', 'degraded', 'unavailable']),
  checks: z.record(z.string(), z.string()).optional(),
});

export const getHealth = createRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'getHealth',
  tags: ['System'],
  summary: 'Is the process alive?',
  responses: { 200: json(health, 'Alive') },
});

export const getReadiness = createRoute({
  method: 'get',
  path: '/readyz',
  operationId: 'getReadiness',
  tags: ['System'],
  summary: 'Can the cell do its work?',
  responses: { 200: json(health, 'Ready'), 503: json(health, 'Not ready; `checks` says why') },
});

export const certificateSchema = z
  .object({
    subject: z.string(),
    serialNumber: z.string(),
    sha256: z.string(),
    notBefore: timestamp,
    notAfter: timestamp,
  })
  .openapi('Certificate');

export const getCertificate = createRoute({
  method: 'get',
  path: '/v1/operator/certificate',
  operationId: 'getCertificate',
  tags: ['Operator'],
  summary: "The listener's certificate (operator key)",
  security,
  responses: { 200: json(certificateSchema, 'The certificate in use'), ...problemResponse },
});

export const rotateCertificate = createRoute({
  method: 'post',
  path: '/v1/operator/certificate/rotate',
  operationId: 'rotateCertificate',
  tags: ['Operator'],
  summary: 'Issue a new certificate and swap it in without dropping a connection (operator key)',
  security,
  responses: { 200: json(certificateSchema, 'The certificate now in use'), ...problemResponse },
});
