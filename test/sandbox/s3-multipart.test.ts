import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetBucketEncryptionCommand,
  GetBucketPolicyCommand,
  DeleteBucketPolicyCommand,
  GetPublicAccessBlockCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutPublicAccessBlockCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { Bucket, openBucket } from './s3-bucket.ts';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, policyOf } from './world.ts';

const Key = 'pack';
const BIG = 5 * 2 ** 20;

async function uploading() {
  const aws = await openBucket({ versions: true });
  const { s3 } = aws;
  const { UploadId = '' } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, Metadata: { cell: 'eu' } }));
  const part = async (PartNumber: number, Body: Buffer | string) => {
    const { ETag = '' } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    return { PartNumber, ETag };
  };
  const finish = (Parts: { PartNumber: number; ETag: string }[], more = {}) =>
    s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }));
  return { ...aws, UploadId, part, finish };
}

describe('an upload in parts', () => {
  test('is not there until it is completed, and then is its parts in order', async () => {
    const { s3, part, finish, get, UploadId } = await uploading();
    const last = await part(2, 'end');
    const first = await part(1, Buffer.alloc(BIG, 'a'));
    expect((await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }))).Parts).toMatchObject([
      { PartNumber: 1, Size: BIG },
      { PartNumber: 2, Size: 3 },
    ]);
    expect(await errorOf(get(Key))).toBe('NoSuchKey');
    const done = await finish([first, last]);
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-2"$/);
    expect(done.VersionId).toEqual(expect.any(String));
    expect((await get(Key)).slice(-5)).toBe('aaend');
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key }))).toMatchObject({
      ContentLength: BIG + 3,
      Metadata: { cell: 'eu' },
    });
    expect(await errorOf(finish([first, last]))).toBe('NoSuchUpload');
  });

  test('is refused out of order, with a wrong tag, a missing part or a short one, and can go on', async () => {
    const { part, finish, get } = await uploading();
    const first = await part(1, 'short');
    const last = await part(2, 'end');
    expect(await errorOf(finish([last, first]))).toBe('InvalidPartOrder');
    expect(await errorOf(finish([{ ...first, ETag: last.ETag }]))).toBe('InvalidPart');
    expect(await errorOf(finish([first, { PartNumber: 3, ETag: last.ETag }]))).toBe('InvalidPart');
    expect(await errorOf(finish([first, last]))).toBe('EntityTooSmall');
    expect(await errorOf(part(10_001, 'x'))).toBe('InvalidArgument');
    await finish([await part(1, 'replaced')]);
    expect(await get(Key)).toBe('replaced');
  });

  test('creates only when nobody did so meanwhile', async () => {
    const { part, finish, put, get } = await uploading();
    const only = await part(1, 'mine');
    await put(Key, 'theirs');
    expect(await errorOf(finish([only], { IfNoneMatch: '*' }))).toBe('PreconditionFailed');
    expect(await get(Key)).toBe('theirs');
  });

  test('is gone when aborted', async () => {
    const { s3, part, finish, UploadId } = await uploading();
    const only = await part(1, 'x');
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    expect(await errorOf(finish([only]))).toBe('NoSuchUpload');
    expect(await errorOf(part(2, 'x'))).toBe('NoSuchUpload');
  });
});

describe("a bucket's settings", () => {
  test('encrypt what names no key under the bucket’s, with the writer’s own rights on it', async () => {
    const { s3, kms, put, as } = await openBucket();
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    const KMSMasterKeyID = KeyMetadata?.Arn ?? '';
    const sse = async () =>
      (await s3.send(new GetBucketEncryptionCommand({ Bucket }))).ServerSideEncryptionConfiguration?.Rules?.[0]
        ?.ApplyServerSideEncryptionByDefault;
    expect(await sse()).toEqual({ SSEAlgorithm: 'AES256' });
    await s3.send(
      new PutBucketEncryptionCommand({
        Bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID } }],
        },
      }),
    );
    expect(await sse()).toEqual({ SSEAlgorithm: 'aws:kms', KMSMasterKeyID });
    expect(await put('a', 'x')).toMatchObject({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KMSMasterKeyID });
    const writes = allow('s3:PutObject', `arn:aws:s3:::${Bucket}/*`);
    const create = new CreateMultipartUploadCommand({ Bucket, Key: 'b' });
    expect(await errorOf((await as(writes)).s3.send(create))).toMatch(/AccessDenied/);
    // Whoever may only encrypt cannot upload in parts.
    const { s3: encrypts } = await as(writes, allow('kms:GenerateDataKey', KMSMasterKeyID));
    const { UploadId } = await encrypts.send(create);
    const part = new UploadPartCommand({ Bucket, Key: 'b', UploadId, PartNumber: 1, Body: 'x' });
    expect(await errorOf(encrypts.send(part))).toMatch(/AccessDenied/);
  });

  test('are given back, and gone when deleted', async () => {
    const { s3 } = await openBucket();
    const Policy = policyOf({
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${Bucket}/*`,
    });
    await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    expect((await s3.send(new GetBucketPolicyCommand({ Bucket }))).Policy).toBe(Policy);
    await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
    expect(await errorOf(s3.send(new GetBucketPolicyCommand({ Bucket })))).toBe('NoSuchBucketPolicy');
    const PublicAccessBlockConfiguration = { BlockPublicAcls: true, BlockPublicPolicy: true };
    expect(await errorOf(s3.send(new GetPublicAccessBlockCommand({ Bucket })))).toBe(
      'NoSuchPublicAccessBlockConfiguration',
    );
    await s3.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }));
    expect((await s3.send(new GetPublicAccessBlockCommand({ Bucket }))).PublicAccessBlockConfiguration).toEqual({
      ...PublicAccessBlockConfiguration,
      IgnorePublicAcls: false,
      RestrictPublicBuckets: false,
    });
  });
});
