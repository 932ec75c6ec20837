import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectRetentionCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { agrees, type Case, refuses } from '../case.ts';
import { type Lab, sha256 } from '../lab.ts';

const PUT = 'S3 API reference, PutObject';
const CONDITIONAL = 'S3 guide, "Conditional writes"';
const LOCK = 'S3 guide, "Locking objects with Object Lock"';
const MULTIPART = 'S3 guide, "Multipart upload"';
const PART_BYTES = 5 * 2 ** 20;
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000);

const put = async (lab: Lab, Key: string, more: Partial<PutObjectCommandInput> = {}) =>
  lab.s3.send(new PutObjectCommand({ Bucket: await lab.sharedBucket(), Key, Body: `body of ${Key}`, ...more }));
/** An object that is there, by its name. */
const there = (lab: Lab, Key: string) => lab.once(`object ${Key}`, () => put(lab, Key));
const get = async (lab: Lab, Key: string, Range?: string) => {
  const { Body } = await lab.s3.send(
    new GetObjectCommand({ Bucket: await lab.sharedBucket(), Key, ...(Range ? { Range } : {}) }),
  );
  return Body?.transformToString();
};
/** A version under lock, and its name. */
const locked = async (lab: Lab, Key: string, Mode: 'GOVERNANCE' | 'COMPLIANCE', minutes = 5) => {
  const Bucket = await lab.lockedBucket();
  const { VersionId } = await lab.s3.send(
    new PutObjectCommand({
      Bucket,
      Key,
      Body: Key,
      ObjectLockMode: Mode,
      ObjectLockRetainUntilDate: inMinutes(minutes),
      ChecksumAlgorithm: 'SHA256',
    }),
  );
  return { Bucket, Key, VersionId };
};
const retain = async (lab: Lab, Key: string, minutes: number) => {
  const place = await locked(lab, Key, 'COMPLIANCE');
  const Retention = { Mode: 'COMPLIANCE' as const, RetainUntilDate: inMinutes(minutes) };
  await lab.s3.send(new PutObjectRetentionCommand({ ...place, Retention }));
  return lab.s3.send(new GetObjectRetentionCommand(place));
};
async function upload(lab: Lab, Key: string, sizes: readonly number[], etagOf = (etag: string | undefined) => etag) {
  const Bucket = await lab.sharedBucket();
  const { UploadId } = await lab.s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  lab.onEnd(() => lab.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => {}));
  const Parts = [];
  for (const [n, size] of sizes.entries()) {
    const PartNumber = n + 1;
    const { ETag } = await lab.s3.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: Buffer.alloc(size, PartNumber) }),
    );
    Parts.push({ PartNumber, ETag: etagOf(ETag) });
  }
  await lab.s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  return lab.s3.send(new HeadObjectCommand({ Bucket, Key }));
}
const versioned = (lab: Lab) =>
  lab.once('versioned', async () => {
    const Bucket = await lab.bucket();
    await lab.s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
    const first = await lab.s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'first' }));
    await lab.s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'second' }));
    await lab.s3.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    return { Bucket, Key: 'k', VersionId: first.VersionId };
  });

export const S3_CASES: readonly Case[] = [
  refuses(
    's3-checksum-wrong',
    ['a SHA-256 that does not fit the body', PUT],
    ['BadDigest', 'XAmzContentChecksumMismatch'],
    (lab) => put(lab, 'bad', { ChecksumSHA256: sha256(Buffer.from('other')).toString('base64') }),
  ),
  refuses('s3-create-only', ['If-None-Match on a key that exists', CONDITIONAL], 'PreconditionFailed', async (lab) => {
    await there(lab, 'taken');
    return put(lab, 'taken', { IfNoneMatch: '*' });
  }),
  refuses('s3-if-match-wrong', ['If-Match with another ETag', CONDITIONAL], 'PreconditionFailed', async (lab) => {
    await there(lab, 'matched');
    return put(lab, 'matched', { IfMatch: '"00000000000000000000000000000000"' });
  }),
  refuses('s3-if-match-missing', ['If-Match on a key that is not there', CONDITIONAL], 'NoSuchKey', (lab) =>
    put(lab, 'never', { IfMatch: '"00000000000000000000000000000000"' }),
  ),
  refuses(
    's3-bucket-owner',
    ['another bucket owner than expected', 'S3 guide, "Verifying bucket ownership"'],
    ['AccessDenied', 'Forbidden', '403'],
    (lab) => put(lab, 'x', { ExpectedBucketOwner: '999999999999' }),
  ),
  refuses('s3-key-missing', ['reading a key that is not there', 'S3 API reference, GetObject'], 'NoSuchKey', (lab) =>
    get(lab, 'nothing'),
  ),
  refuses('s3-bucket-missing', ['a bucket that does not exist', 'S3 API reference, GetObject'], 'NoSuchBucket', (lab) =>
    lab.s3.send(new GetObjectCommand({ Bucket: lab.name('none'), Key: 'x' })),
  ),
  refuses('s3-range', ['a range behind the end', 'S3 API reference, GetObject'], 'InvalidRange', async (lab) => {
    await there(lab, 'short');
    return get(lab, 'short', 'bytes=1000-1001');
  }),
  refuses(
    's3-bucket-not-empty',
    ['deleting a bucket that has objects', 'S3 API reference, DeleteBucket'],
    'BucketNotEmpty',
    async (lab) => {
      await there(lab, 'guest');
      return lab.s3.send(new DeleteBucketCommand({ Bucket: await lab.sharedBucket() }));
    },
  ),
  refuses('s3-compliance-shortened', ['shortening a retention in compliance mode', LOCK], 'AccessDenied', (lab) =>
    retain(lab, 'shorter', 2),
  ),
  refuses('s3-compliance-delete', ['deleting a version in compliance mode', LOCK], 'AccessDenied', async (lab) =>
    lab.s3.send(new DeleteObjectCommand(await locked(lab, 'kept', 'COMPLIANCE'))),
  ),
  refuses('s3-compliance-bypass', ['bypassing compliance mode', LOCK], 'AccessDenied', async (lab) =>
    lab.s3.send(
      new DeleteObjectCommand({ ...(await locked(lab, 'kept too', 'COMPLIANCE')), BypassGovernanceRetention: true }),
    ),
  ),
  refuses('s3-governance-delete', ['deleting a version in governance mode', LOCK], 'AccessDenied', async (lab) =>
    lab.s3.send(new DeleteObjectCommand(await locked(lab, 'governed', 'GOVERNANCE'))),
  ),
  refuses('s3-lock-without', ['a lock in a bucket that has none', LOCK], 'InvalidRequest', (lab) =>
    put(lab, 'unlocked', { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: inMinutes(2) }),
  ),
  refuses('s3-lock-past', ['a retention that has ended already', LOCK], ['InvalidArgument', 'InvalidRequest'], (lab) =>
    locked(lab, 'past', 'GOVERNANCE', -5),
  ),
  refuses('s3-part-small', ['a part of less than 5 MiB before the last', MULTIPART], 'EntityTooSmall', (lab) =>
    upload(lab, 'small parts', [1_000, 1_000]),
  ),
  refuses('s3-part-etag', ['a part by another ETag', MULTIPART], 'InvalidPart', (lab) =>
    upload(lab, 'wrong part', [1_000], () => '"00000000000000000000000000000000"'),
  ),
  refuses('s3-upload-gone', ['completing an upload that is not there', MULTIPART], 'NoSuchUpload', async (lab) =>
    lab.s3.send(
      new CompleteMultipartUploadCommand({
        Bucket: await lab.sharedBucket(),
        Key: 'x',
        UploadId: 'nobody',
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag: '"0"' }] },
      }),
    ),
  ),
  refuses(
    's3-deleted-version',
    ['reading the current version behind a delete marker', 'S3 guide, "Working with delete markers"'],
    'NoSuchKey',
    async (lab) => {
      const { Bucket, Key } = await versioned(lab);
      return lab.s3.send(new GetObjectCommand({ Bucket, Key }));
    },
  ),
  agrees(
    's3-create-new',
    ['If-None-Match on a new key', CONDITIONAL],
    (lab) => put(lab, lab.name('new'), { IfNoneMatch: '*' }),
    (answer) => answer.ETag !== undefined,
  ),
  agrees(
    's3-if-match',
    ['If-Match with the right ETag', CONDITIONAL],
    async (lab) => {
      const { ETag } = await there(lab, 'replaced');
      return put(lab, 'replaced', { IfMatch: ETag });
    },
    (answer) => answer.ETag !== undefined,
  ),
  agrees(
    's3-checksum',
    ['a SHA-256 that fits is given back', PUT],
    (lab) => put(lab, 'sum', { Body: 'x', ChecksumSHA256: sha256(Buffer.from('x')).toString('base64') }),
    (answer) => answer.ChecksumSHA256 === sha256(Buffer.from('x')).toString('base64'),
  ),
  agrees(
    's3-read-back',
    ['an object comes back as it was put', 'S3 API reference, GetObject'],
    async (lab) => {
      await there(lab, 'whole');
      return get(lab, 'whole');
    },
    (text) => text === 'body of whole',
  ),
  agrees(
    's3-read-range',
    ['a range of an object', 'S3 API reference, GetObject'],
    async (lab) => {
      await there(lab, 'ranged');
      return get(lab, 'ranged', 'bytes=5-6');
    },
    (text) => text === 'of',
  ),
  agrees(
    's3-old-version',
    ['an old version behind a delete marker, by its id', 'S3 guide, versioning'],
    async (lab) => (await lab.s3.send(new GetObjectCommand(await versioned(lab)))).Body?.transformToString(),
    (text) => text === 'first',
  ),
  agrees(
    's3-listing-order',
    ['keys in the order of their bytes, all of a prefix', 'S3 API reference, ListObjectsV2'],
    async (lab) => {
      for (const Key of ['l/b', 'l/a', 'l/B', 'l/a/x']) await there(lab, Key);
      return lab.s3.send(new ListObjectsV2Command({ Bucket: await lab.sharedBucket(), Prefix: 'l/' }));
    },
    (answer) => answer.Contents?.map(({ Key }) => Key).join() === 'l/B,l/a,l/a/x,l/b',
  ),
  agrees(
    's3-delete-missing',
    ['deleting a key that is not there', 'S3 API reference, DeleteObject'],
    async (lab) => lab.s3.send(new DeleteObjectCommand({ Bucket: await lab.sharedBucket(), Key: 'nothing at all' })),
    (answer) => answer.$metadata.httpStatusCode === 204,
  ),
  agrees(
    's3-compliance-extended',
    ['extending a retention in compliance mode', LOCK],
    (lab) => retain(lab, 'longer', 9),
    (answer) => (answer.Retention?.RetainUntilDate?.getTime() ?? 0) > Date.now() + 8 * 60_000,
  ),
  agrees(
    's3-governance-bypass',
    ['deleting in governance mode with the right to bypass it', LOCK],
    async (lab) =>
      lab.s3.send(
        new DeleteObjectCommand({ ...(await locked(lab, 'bypassed', 'GOVERNANCE')), BypassGovernanceRetention: true }),
      ),
    (answer) => answer.$metadata.httpStatusCode === 204,
  ),
  agrees(
    's3-lock-marker',
    ['a delete marker over a locked version', LOCK],
    async (lab) => {
      const { Bucket, Key } = await locked(lab, 'marked', 'GOVERNANCE');
      return lab.s3.send(new DeleteObjectCommand({ Bucket, Key }));
    },
    (answer) => answer.DeleteMarker === true,
  ),
  agrees(
    's3-multipart',
    ['parts become one object', MULTIPART],
    (lab) => upload(lab, 'parts', [PART_BYTES, 10]),
    (answer) => answer.ContentLength === PART_BYTES + 10,
  ),
  agrees(
    's3-copy',
    ['a copy has the same bytes', 'S3 API reference, CopyObject'],
    async (lab) => {
      await there(lab, 'original');
      const Bucket = await lab.sharedBucket();
      await lab.s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/original` }));
      return get(lab, 'copy');
    },
    (text) => text === 'body of original',
  ),
];
