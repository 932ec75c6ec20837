import { z } from '@hono/zod-openapi';
import { ID_PREFIXES, type IdKind, isId } from '../core/ids.ts';

/** The id of one kind of thing, `<prefix>_<cell>_<26 characters>`. */
export function idSchema(kind: IdKind) {
  const prefix = ID_PREFIXES[kind];
  return z
    .string()
    .refine((text) => isId(kind, text), `must be an id of the form ${prefix}_<cell>_…`)
    .openapi({ type: 'string', example: `${prefix}_eu_01k9wq3v7hr2m5c8d4x6z0abcd` });
}

/** An id in a body. Its form is not checked, as in a path; the example shows it. */
export function idReference(kind: IdKind) {
  return z
    .string()
    .max(128)
    .openapi({ example: `${ID_PREFIXES[kind]}_eu_01k9wq3v7hr2m5c8d4x6z0abcd` });
}

/** The `{id}` of a path. Its form is not checked: a malformed id names nothing, and is answered like a missing object. */
export const idParam = z.strictObject({ id: z.string().max(128) });

export const timestamp = z.iso
  .datetime()
  .openapi({ description: 'RFC 3339, UTC', example: '2026-11-23T03:00:00.000Z' });
export const awsRegion = z
  .string()
  .regex(/^[a-z]{2,}(-[a-z]+)+-\d$/, 'must be an AWS region such as eu-central-1')
  .openapi({ example: 'eu-central-1' });
export const awsInstanceId = z
  .string()
  .regex(/^i-[0-9a-f]{8,17}$/, 'must be an EC2 instance id such as i-0abc…')
  .openapi({ example: 'i-0123456789abcdef0' });
export const awsVolumeId = z
  .string()
  .regex(/^vol-[0-9a-f]{8,17}$/, 'must be an EBS volume id such as vol-0abc…')
  .openapi({ example: 'vol-0123456789abcdef0' });
export const kmsKeyArn = z
  .string()
  .regex(/^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]+$/, 'must be the ARN of a KMS key (not an alias)');
export const displayName = z.string().trim().min(1).max(200).openapi({ example: 'Nightly' });
export const awsTag = z.strictObject({
  key: z.string().min(1).max(128).openapi({ example: 'domicile:backup' }),
  value: z.string().max(256).openapi({ example: 'true' }),
});
export const awsTags = z.record(z.string(), z.string()).openapi({ example: { Name: 'db-1' } });

/** Query of every list. `cell` is accepted and ignored by a cell: the router may have used it to get there. */
export const listQuery = {
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: z.string().max(512).optional(),
  cell: z.string().optional(),
};

/** A page of a list. `nextCursor` is null on the last page; cursors are opaque and hold for the same filters only. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    retry: z.enum(['never', 'now', 'later']),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    facts: z.record(z.string(), z.unknown()).optional(),
  })
  .openapi('Problem', {
    description: 'RFC 9457 problem details. `type` is the page of `code`; `errors` names every violation.',
  });

/** What went wrong with a finished or blocked job, without the HTTP parts. */
export const jobProblem = z.object({
  code: z.string(),
  title: z.string(),
  detail: z.string(),
  retry: z.enum(['never', 'now', 'later']),
  facts: z.record(z.string(), z.unknown()).optional(),
});

/** A response body in JSON, with its description. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** A request body in JSON. */
export function body<T extends z.ZodType>(schema: T) {
  return { required: true, content: { 'application/json': { schema } } };
}

/** Every operation may answer with a problem; which codes, docs/problems says. */
export const problemResponse = {
  default: { description: 'A problem', content: { 'application/problem+json': { schema: problemSchema } } },
};

/** Header of every create. */
export const idempotencyHeader = z.object({
  'idempotency-key': z.string().min(1).max(255).optional().openapi({
    description: 'Kept 24 h. The same request again gives the first answer; another body is refused with 422.',
  }),
});

export const security = [{ apiKey: [] }];
