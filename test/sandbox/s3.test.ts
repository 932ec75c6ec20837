import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CreateKeyCommand, DisableKeyCommand } from '@aws-sdk/client-kms';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, clientsOf, openAws, policyOf, REGION } from './world.ts';

const Bucket = 'vault-eu';

/** A bucket, and the plain calls on it. */
async function vault() {
  const aws = await openAws();
  const { s3 } = aws;
  await s3.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint: REGION } }));
  const put = (Key: string, Body: string | Buffer | Readable, more: Partial<PutObjectCommandInput> = {}) =>
    s3.send(new PutObjectCommand({ ...more, Bucket, Key, Body }));
  const get = async (Key: string, more: Partial<GetObjectCommandInput> = {}) => {
    const answer = await s3.send(new GetObjectCommand({ ...more, Bucket, Key }));
    return (await answer.Body?.transformToString()) ?? '';
  };
  const keys = async (more: { Prefix?: string; Delimiter?: string } = {}) => {
    const answer = await s3.send(new ListObjectsV2Command({ Bucket, ...more }));
    return {
      keys: (answer.Contents ?? []).map((it) => it.Key),
      prefixes: (answer.CommonPrefixes ?? []).map((it) => it.Prefix),
    };
  };
  return { ...aws, put, get, keys };
}

describe('a conditional write', () => {
  test('creates once and never overwrites', async () => {
    const { put, get } = await vault();
    await put('pack', 'first', { IfNoneMatch: '*' });
    await expect(put('pack', 'second', { IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    expect(await get('pack')).toBe('first');
  });

  test('succeeds for one only of many at the same time', async () => {
    const { put, get } = await vault();
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, i) => errorOf(put('pack', `body ${i}`, { IfNoneMatch: '*' }))),
    );
    expect(outcomes.filter((it) => it === null)).toHaveLength(1);
    expect(await get('pack')).toBe(`body ${outcomes.indexOf(null)}`);
  });

  test('replaces only the version that it names', async () => {
    const { put, get } = await vault();
    expect(await errorOf(put('head', 'x', { IfMatch: '"none"' }))).toBe('NoSuchKey');
    const { ETag } = await put('head', 'first');
    await put('head', 'second', { IfMatch: ETag });
    expect(await errorOf(put('head', 'third', { IfMatch: ETag }))).toBe('PreconditionFailed');
    expect(await get('head')).toBe('second');
  });
});

describe('a checksum', () => {
  test('that does not match is refused and stores nothing', async () => {
    const { put, keys } = await vault();
    const wrong = createHash('sha256').update('other').digest('base64');
    await expect(put('a', 'body', { ChecksumSHA256: wrong })).rejects.toMatchObject({
      name: 'BadDigest',
      $metadata: { httpStatusCode: 400 },
    });
    const md5 = createHash('md5').update('other').digest('base64');
    expect(await errorOf(put('a', 'body', { ContentMD5: md5 }))).toBe('BadDigest');
    expect(await errorOf(put('a', 'body', { ChecksumCRC32: 'AAAAAA==' }))).toBe('BadDigest');
    expect(await keys()).toEqual({ keys: [], prefixes: [] });
  });

  test('comes with the object, and a streamed object is stored as what it holds', async () => {
    const { s3, put } = await vault();
    const body = Buffer.alloc(300_000, 'streamed');
    await put('stream', Readable.from([body.subarray(0, 100_000), body.subarray(100_000)]), {
      ContentLength: body.length,
    });
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key: 'stream', ChecksumMode: 'ENABLED' }));
    expect(body.equals(Buffer.from((await answer.Body?.transformToByteArray()) ?? []))).toBe(true);
    expect(answer.ContentEncoding).toBeUndefined();
    expect(answer.ChecksumSHA256).toBe(createHash('sha256').update(body).digest('base64'));
  });
});

describe('a bucket', () => {
  test('of another owner than expected is refused', async () => {
    const { put, get } = await vault();
    await put('a', 'body', { ExpectedBucketOwner: ACCOUNT });
    await expect(put('b', 'body', { ExpectedBucketOwner: '333333333333' })).rejects.toMatchObject({
      name: 'AccessDenied',
      $metadata: { httpStatusCode: 403 },
    });
    expect(await errorOf(get('a', { ExpectedBucketOwner: '333333333333' }))).toBe('AccessDenied');
  });

  test('of another region is not served', async () => {
    const { endpoint, owner, s3 } = await vault();
    const elsewhere = clientsOf(endpoint, owner, 'us-east-1').s3;
    expect(await errorOf(elsewhere.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x' })))).toBe(
      'AuthorizationHeaderMalformed',
    );
    const here = { LocationConstraint: REGION } as const;
    expect(
      await errorOf(elsewhere.send(new CreateBucketCommand({ Bucket: 'other', CreateBucketConfiguration: here }))),
    ).toBe('IllegalLocationConstraintException');
    expect(await s3.send(new GetBucketLocationCommand({ Bucket }))).toMatchObject(here);
  });

  test('has one owner, is found by its owner, and goes only when empty', async () => {
    const { endpoint, control, s3, put } = await vault();
    const configuration = { CreateBucketConfiguration: { LocationConstraint: REGION } } as const;
    const stranger = clientsOf(endpoint, await control.account('333333333333')).s3;
    expect(await errorOf(stranger.send(new CreateBucketCommand({ Bucket, ...configuration })))).toBe(
      'BucketAlreadyExists',
    );
    expect(await errorOf(stranger.send(new GetObjectCommand({ Bucket, Key: 'a' })))).toBe('AccessDenied');
    expect((await stranger.send(new ListBucketsCommand({}))).Buckets).toEqual([]);
    expect((await s3.send(new ListBucketsCommand({}))).Buckets?.map((it) => it.Name)).toEqual([Bucket]);
    await put('a', 'x');
    expect(await errorOf(s3.send(new DeleteBucketCommand({ Bucket })))).toBe('BucketNotEmpty');
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }));
    await s3.send(new DeleteBucketCommand({ Bucket }));
    expect(await errorOf(s3.send(new ListObjectsV2Command({ Bucket })))).toBe('NoSuchBucket');
  });

  test('with a policy that denies writes without If-None-Match takes create-only writes alone, from its owner too', async () => {
    const { s3, put } = await vault();
    const Policy = policyOf({
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:PutObject',
      Resource: `arn:aws:s3:::${Bucket}/*`,
      Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
    });
    await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    expect(await errorOf(put('a', 'x'))).toBe('AccessDenied');
    expect(await errorOf(put('a', 'x', { IfNoneMatch: '*' }))).toBeNull();
    expect(await errorOf(s3.send(new PutBucketPolicyCommand({ Bucket, Policy: '{' })))).toBe('MalformedPolicy');
  });

  test('opens to another account only when its policy and that account both say so', async () => {
    const { s3, put, control, endpoint } = await vault();
    await put('shared/a', 'x');
    await put('own/a', 'x');
    const Policy = policyOf({
      Effect: 'Allow',
      Principal: { AWS: 'arn:aws:iam::333333333333:root' },
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${Bucket}/shared/*`,
    });
    await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    const stranger = clientsOf(endpoint, await control.account('333333333333')).s3;
    expect(await errorOf(stranger.send(new GetObjectCommand({ Bucket, Key: 'shared/a' })))).toBeNull();
    expect(await errorOf(stranger.send(new GetObjectCommand({ Bucket, Key: 'own/a' })))).toBe('AccessDenied');
    expect(await errorOf(stranger.send(new PutObjectCommand({ Bucket, Key: 'shared/b', Body: 'x' })))).toBe(
      'AccessDenied',
    );
  });

  test('gives a role what its policy names and no more', async () => {
    const { as, put } = await vault();
    await put('ten_1/a', 'x');
    await put('ten_2/a', 'x');
    await put('ten_1/../ten_2/b', 'a key is no path');
    const role = await as(allow('s3:GetObject', `arn:aws:s3:::${Bucket}/ten_1/*`));
    const read = (Key: string) => errorOf(role.s3.send(new GetObjectCommand({ Bucket, Key })));
    expect(await read('ten_1/a')).toBeNull();
    expect(await read('ten_2/a')).toBe('AccessDenied');
    expect(await read('ten_1/../ten_2/b')).toBeNull();
    expect(await errorOf(role.s3.send(new ListObjectsV2Command({ Bucket })))).toBe('AccessDenied');
  });

  test('tells that a key is not there only to who may list all of it', async () => {
    const { as, s3 } = await vault();
    const reading = allow('s3:*Object*', `arn:aws:s3:::${Bucket}/*`);
    const listing = allow('s3:ListBucket', `arn:aws:s3:::${Bucket}`);
    const told = async (...statements: object[]) => {
      const role = await as(...statements);
      const copy = new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/none` });
      return [
        await errorOf(role.s3.send(new GetObjectCommand({ Bucket, Key: 'none' }))),
        await errorOf(role.s3.send(new HeadObjectCommand({ Bucket, Key: 'none' }))),
        await errorOf(role.s3.send(copy)),
      ];
    };
    const refused = ['AccessDenied', 'Unknown', 'AccessDenied']; // HEAD has no body to say more than 403.
    expect(await told(reading)).toEqual(refused);
    expect(await told(reading, { ...listing, Condition: { StringLike: { 's3:prefix': 'n*' } } })).toEqual(refused);
    expect(await told(reading, listing)).toEqual(['NoSuchKey', 'NotFound', 'NoSuchKey']);
    expect(await errorOf(s3.send(new GetObjectCommand({ Bucket, Key: 'none' })))).toBe('NoSuchKey');
  });

  test('lists to a role only the prefix that its policy names', async () => {
    const { as, put } = await vault();
    await put('ten_1/a', 'x');
    const within = { StringLike: { 's3:prefix': 'ten_1/*' } };
    const role = await as({
      ...allow(['s3:ListBucket', 's3:ListBucketVersions'], `arn:aws:s3:::${Bucket}`),
      Condition: within,
    });
    const list = (Prefix?: string) => errorOf(role.s3.send(new ListObjectsV2Command({ Bucket, Prefix })));
    expect(await list('ten_1/')).toBeNull();
    for (const prefix of ['ten_2/', 'ten_1', '', undefined]) expect(await list(prefix)).toBe('AccessDenied');
    const versions = (Prefix: string) => errorOf(role.s3.send(new ListObjectVersionsCommand({ Bucket, Prefix })));
    expect(await versions('ten_1/')).toBeNull();
    expect(await versions('ten_2/')).toBe('AccessDenied');
  });
});

describe('an object', () => {
  test('is read whole, by range, by its end, and not beyond it', async () => {
    const { s3, put, get } = await vault();
    await put('a', '0123456789');
    expect(await get('a', { Range: 'bytes=2-4' })).toBe('234');
    expect(await get('a', { Range: 'bytes=8-99' })).toBe('89');
    expect(await get('a', { Range: 'bytes=-3' })).toBe('789');
    expect(await get('a', { Range: 'bytes=7-' })).toBe('789');
    expect(await errorOf(get('a', { Range: 'bytes=10-' }))).toBe('InvalidRange');
    const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'a', Range: 'bytes=2-4' }));
    expect(part).toMatchObject({ ContentRange: 'bytes 2-4/10', ContentLength: 3, $metadata: { httpStatusCode: 206 } });
  });

  test('may be empty, and has the metadata that it was put with', async () => {
    const { s3, put, get } = await vault();
    await put('empty', '', { Metadata: { cell: 'eu' }, ContentType: 'application/x-pack' });
    expect(await get('empty')).toBe('');
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: 'empty' }))).toMatchObject({
      ContentLength: 0,
      ContentType: 'application/x-pack',
      Metadata: { cell: 'eu' },
    });
    expect(await errorOf(s3.send(new HeadObjectCommand({ Bucket, Key: 'none' })))).toBe('NotFound');
  });

  test('keeps its key whatever that holds', async () => {
    const { put, get, keys, s3 } = await vault();
    const odd = [
      'a b+c',
      'ünï/çødé/日本',
      '../../escape',
      'a/../b',
      'per%20cent',
      'q\'u"o&t<e>s',
      'a//b',
      '😀',
      '/lead',
    ];
    for (const key of odd) await put(key, `of ${key}`);
    for (const key of odd) expect(await get(key)).toBe(`of ${key}`);
    expect((await keys()).keys.toSorted((a = '', b = '') => (a < b ? -1 : 1))).toEqual(odd.toSorted());
    const Objects = odd.map((Key) => ({ Key }));
    const { Deleted } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(Deleted).toHaveLength(odd.length);
    expect((await keys()).keys).toEqual([]);
  });

  test('under a KMS key takes the key’s consent to write and to read', async () => {
    const { put, get, kms } = await vault();
    const SSEKMSKeyId = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
    const sse = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId } as const;
    await put('a', 'x', sse);
    expect(await get('a')).toBe('x');
    await kms.send(new DisableKeyCommand({ KeyId: SSEKMSKeyId }));
    expect(await errorOf(get('a'))).toBe('DisabledException');
    expect(await errorOf(put('b', 'x', sse))).toBe('DisabledException');
  });

  test('is not touched by an operation that the sandbox does not offer', async () => {
    const { s3, put, get } = await vault();
    await put('a', 'kept');
    const tagging = new PutObjectTaggingCommand({ Bucket, Key: 'a', Tagging: { TagSet: [{ Key: 'a', Value: 'b' }] } });
    expect(await errorOf(s3.send(tagging))).toBe('NotImplemented');
    expect(await errorOf(put('a', 'x', { Tagging: 'a=b' }))).toBe('NotImplemented');
    expect(await errorOf(put('a', 'x', { StorageClass: 'GLACIER' }))).toBe('NotImplemented');
    expect(await errorOf(put('a', 'x', { ACL: 'public-read' }))).toBe('NotImplemented');
    expect(await errorOf(get('a', { PartNumber: 1 }))).toBe('NotImplemented');
    expect(await get('a')).toBe('kept');
  });
});

describe('a listing', () => {
  test('comes in pages, in order, each key once', async () => {
    const { s3, put } = await vault();
    const wanted = Array.from({ length: 25 }, (_, i) => `k/${String(i).padStart(2, '0')}`);
    for (const key of wanted.toReversed()) await put(key, 'x');
    const pages: (string | undefined)[][] = [];
    for await (const page of paginateListObjectsV2({ client: s3, pageSize: 10 }, { Bucket, Prefix: 'k/' }))
      pages.push((page.Contents ?? []).map((it) => it.Key));
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
    expect(pages.flat()).toEqual(wanted);
  });

  test('groups by delimiter below a prefix', async () => {
    const { put, keys } = await vault();
    for (const key of ['a', 'p/1', 'p/q/1', 'p/q/2', 'p/r/1', 'z/1']) await put(key, 'x');
    expect(await keys({ Delimiter: '/' })).toEqual({ keys: ['a'], prefixes: ['p/', 'z/'] });
    expect(await keys({ Prefix: 'p/', Delimiter: '/' })).toEqual({ keys: ['p/1'], prefixes: ['p/q/', 'p/r/'] });
    expect(await keys({ Prefix: 'p/q' })).toEqual({ keys: ['p/q/1', 'p/q/2'], prefixes: [] });
  });

  test('carries any key when asked to encode them', async () => {
    const { s3, put } = await vault();
    await put('tab\tand &\u0001', 'x');
    const page = await s3.send(new ListObjectsV2Command({ Bucket, EncodingType: 'url' }));
    expect(decodeURIComponent(page.Contents?.[0]?.Key ?? '')).toBe('tab\tand &\u0001');
  });
});
