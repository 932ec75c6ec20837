import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { openAws, REGION } from './world.ts';

export const Bucket = 'vault-eu';

/** The plain calls on the bucket. */
export const callsOf = (s3: S3Client) => ({
  put: (Key: string, Body: string | Buffer, more: Partial<PutObjectCommandInput> = {}) =>
    s3.send(new PutObjectCommand({ ...more, Bucket, Key, Body })),
  get: async (Key: string, VersionId?: string) => {
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }));
    return (await answer.Body?.transformToString()) ?? '';
  },
  remove: (Key: string, VersionId?: string, BypassGovernanceRetention?: boolean) =>
    s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention })),
  /** Every version and every delete marker. */
  versions: async () => {
    const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
    return { versions: Versions, markers: DeleteMarkers };
  },
});

/** A bucket with versions, or with Object Lock. */
export async function openBucket(options: { locks?: boolean; versions?: boolean } = {}) {
  const aws = await openAws();
  await aws.s3.send(
    new CreateBucketCommand({
      Bucket,
      CreateBucketConfiguration: { LocationConstraint: REGION },
      ObjectLockEnabledForBucket: options.locks === true,
    }),
  );
  if (options.versions === true)
    await aws.s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  return { ...aws, ...callsOf(aws.s3) };
}
