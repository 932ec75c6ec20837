import { z } from '@hono/zod-openapi';

/** One root of a vault: a volume at a point in time. `about` is what its writer wanted back, as JSON. */
const rootSchema = z.object({
  volumeId: z.string(),
  manifestKey: z.string(),
  snapshotId: z.string(),
  kind: z.enum(['full', 'incremental']),
  reason: z.string().nullable(),
  volumeBytes: z.number(),
  blocksRead: z.number(),
  blocksStored: z.number(),
  bytesStored: z.number(),
  createdTime: z.iso.datetime(),
  lockUntil: z.iso.datetime().nullable(),
  about: z.unknown(),
});

/**
 * Every point of a tenant's vault as its roots tell it: what `domicile vault recover` writes, and `cell/recover.ts` makes rows of.
 * Points are runs: one backup job, with a root for each volume.
 */
export const recoveredPointsSchema = z.object({
  format: z.literal('domicile-points/v1'),
  cell: z.string(),
  tenantId: z.string(),
  points: z.array(z.object({ runId: z.string(), roots: z.array(rootSchema) })),
  /** Roots that could not be read, each with the class of what is wrong. */
  unreadable: z.array(z.object({ volumeId: z.string(), runId: z.string(), problem: z.string() })),
});

export type RecoveredPoints = z.output<typeof recoveredPointsSchema>;
export type RecoveredRoot = z.output<typeof rootSchema>;
