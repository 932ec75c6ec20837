import { z } from 'zod';
import type { PointInstance } from '../db/schema/recovery-points.ts';
import type { PointAbout } from '../jobs/point-about.ts';

/** Whatever an old version put into a configuration is kept as it is. */
const instanceSchema = z.custom<PointInstance>(
  (value) =>
    z
      .looseObject({
        name: z.string().nullable(),
        instanceType: z.string(),
        availabilityZone: z.string(),
        tags: z.record(z.string(), z.string()),
        configuration: z.looseObject({}),
      })
      .safeParse(value).success,
);

/** What a root says of its point, version 1. Roots are read for as long as they are kept: a later version is one more schema. */
const aboutSchema = z.object({
  version: z.literal(1),
  recoveryPointId: z.string(),
  backupJobId: z.string(),
  connectionId: z.string(),
  instanceId: z.string(),
  awsRegion: z.string(),
  planId: z.string().nullable(),
  ruleId: z.string().nullable(),
  pointInTime: z.iso.datetime(),
  expiresAt: z.iso.datetime().nullable(),
  instance: instanceSchema,
  excludedVolumes: z.array(
    z.object({
      volumeId: z.string(),
      deviceName: z.string(),
      selectionId: z.string(),
      pointer: z.string(),
      detail: z.string(),
    }),
  ),
  volumeIds: z.array(z.string()),
  volume: z.object({
    deviceName: z.string(),
    encrypted: z.boolean(),
    kmsKeyArn: z.string().nullable(),
    volumeType: z.string().nullable(),
    iops: z.number().nullable(),
    throughput: z.number().nullable(),
    tags: z.record(z.string(), z.string()),
  }),
});

/** What a root says of its point; null when it says nothing, or nothing that this program understands. */
export function readAbout(about: unknown): PointAbout | null {
  const parsed = aboutSchema.safeParse(about);
  return parsed.success ? parsed.data : null;
}
