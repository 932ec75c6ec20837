import {
  CopyObjectCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectAttributesCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  CreateMultipartUploadCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { Bucket, callsOf, openBucket } from './s3-bucket.ts';
import { errorOf } from './support.ts';
import { allow } from './world.ts';

const DAY_MS = 86_400_000;

describe('a bucket with versions', () => {
  test('keeps what is overwritten, and gives it back by its id', async () => {
    const { put, get, versions } = await openBucket({ versions: true });
    const first = await put('a', 'one');
    const second = await put('a', 'two');
    expect(first.VersionId).not.toBe(second.VersionId);
    expect(await get('a')).toBe('two');
    expect(await get('a', first.VersionId)).toBe('one');
    expect(await errorOf(get('a', 'none'))).toBe('NoSuchVersion');
    const listed = await versions();
    expect(listed.versions.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [second.VersionId, true],
      [first.VersionId, false],
    ]);
  });

  test('hides what is deleted behind a marker, and shows it again without the marker', async () => {
    const { s3, put, get, remove, versions } = await openBucket({ versions: true });
    const { VersionId } = await put('a', 'one');
    const deleted = await remove('a');
    expect(deleted).toMatchObject({ DeleteMarker: true });
    expect(await errorOf(get('a'))).toBe('NoSuchKey');
    expect(await get('a', VersionId)).toBe('one');
    await expect(get('a', deleted.VersionId)).rejects.toMatchObject({ $metadata: { httpStatusCode: 405 } });
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    expect(await errorOf(s3.send(new DeleteBucketCommand({ Bucket })))).toBe('BucketNotEmpty');
    expect((await versions()).markers).toMatchObject([{ Key: 'a', IsLatest: true, VersionId: deleted.VersionId }]);
    expect(await remove('a', deleted.VersionId)).toMatchObject({ DeleteMarker: true });
    expect(await get('a')).toBe('one');
    await remove('a', VersionId);
    await s3.send(new DeleteBucketCommand({ Bucket }));
  });

  test('takes a delete marker for "does not exist" in conditional writes', async () => {
    const { put, remove } = await openBucket({ versions: true });
    await put('a', 'one', { IfNoneMatch: '*' });
    expect(await errorOf(put('a', 'two', { IfNoneMatch: '*' }))).toBe('PreconditionFailed');
    await remove('a');
    expect(await errorOf(put('a', 'x', { IfMatch: '*' }))).toBe('NoSuchKey');
    expect(await errorOf(put('a', 'two', { IfNoneMatch: '*' }))).toBeNull();
  });

  test('takes rights of their own to read and delete a version', async () => {
    const { put, as } = await openBucket({ versions: true });
    const { VersionId } = await put('a', 'one');
    const arn = `arn:aws:s3:::${Bucket}/*`;
    const plain = callsOf((await as(allow(['s3:GetObject', 's3:DeleteObject'], arn))).s3);
    expect(await plain.get('a')).toBe('one');
    expect(await errorOf(plain.get('a', VersionId))).toBe('AccessDenied');
    expect(await errorOf(plain.remove('a', VersionId))).toBe('AccessDenied');
    const named = callsOf(
      (await as(allow('s3:GetObjectVersion', arn, { StringEquals: { 's3:VersionId': VersionId } }))).s3,
    );
    expect(await named.get('a', VersionId)).toBe('one');
    expect(await errorOf(named.get('a'))).toBe('AccessDenied');
  });

  test('that is suspended overwrites its null version only', async () => {
    const { s3, put, get, versions } = await openBucket({ versions: true });
    const { VersionId } = await put('a', 'one');
    await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } }));
    expect((await put('a', 'two')).VersionId).toBe('null');
    await put('a', 'three');
    expect(await get('a')).toBe('three');
    expect(await get('a', VersionId)).toBe('one');
    expect((await versions()).versions.map((it) => it.VersionId)).toEqual(['null', VersionId]);
  });

  test('lists versions in pages, each once', async () => {
    const { s3, put } = await openBucket({ versions: true });
    for (const key of ['a', 'b', 'a', 'c', 'a']) await put(key, 'x');
    const seen: string[] = [];
    let [KeyMarker, VersionIdMarker]: (string | undefined)[] = [];
    do {
      const page: ListObjectVersionsCommandOutput = await s3.send(
        new ListObjectVersionsCommand({ Bucket, MaxKeys: 2, KeyMarker, VersionIdMarker }),
      );
      seen.push(...(page.Versions ?? []).map((it) => `${it.Key}${it.VersionId}`));
      [KeyMarker, VersionIdMarker] = [page.NextKeyMarker, page.NextVersionIdMarker];
    } while (KeyMarker !== undefined);
    expect(new Set(seen).size).toBe(5);
    expect(seen.map((it) => it[0])).toEqual(['a', 'a', 'a', 'b', 'c']);
  });

  test('deletes many versions at once, each with its own answer', async () => {
    const { s3, put, versions } = await openBucket({ versions: true });
    const first = await put('a', 'one');
    await put('b', 'two');
    const { Deleted } = await s3.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: { Objects: [{ Key: 'a', VersionId: first.VersionId }, { Key: 'b' }] },
      }),
    );
    expect(Deleted).toMatchObject([
      { Key: 'a', VersionId: first.VersionId },
      { Key: 'b', DeleteMarker: true },
    ]);
    expect((await versions()).versions.map((it) => it.Key)).toEqual(['b']);
  });
});

describe('a copy', () => {
  test('has the bytes and metadata of the version it names, and is refused onto itself', async () => {
    const { s3, put, get } = await openBucket({ versions: true });
    const { VersionId } = await put('a', 'one', { Metadata: { cell: 'eu' } });
    await put('a', 'two');
    const copy = (Key: string, CopySource: string) => s3.send(new CopyObjectCommand({ Bucket, Key, CopySource }));
    await copy('b', `${Bucket}/a?versionId=${VersionId}`);
    expect(await get('b')).toBe('one');
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: 'b' }))).toMatchObject({ Metadata: { cell: 'eu' } });
    expect(await errorOf(copy('a', `${Bucket}/a`))).toBe('InvalidRequest');
    expect(await errorOf(copy('c', `${Bucket}/none`))).toBe('NoSuchKey');
    expect(
      await s3.send(
        new GetObjectAttributesCommand({ Bucket, Key: 'b', ObjectAttributes: ['ETag', 'ObjectSize', 'Checksum'] }),
      ),
    ).toMatchObject({ ObjectSize: 3, Checksum: { ChecksumCRC32: expect.any(String) } });
  });

  test('takes the right to read the source and to write the target', async () => {
    const { put, as } = await openBucket();
    await put('from/a', 'x');
    const arn = `arn:aws:s3:::${Bucket}`;
    const copy = async (...statements: object[]) => {
      const { s3 } = await as(...statements);
      return errorOf(s3.send(new CopyObjectCommand({ Bucket, Key: 'to/a', CopySource: `${Bucket}/from/a` })));
    };
    const [read, write] = [allow('s3:GetObject', `${arn}/from/*`), allow('s3:PutObject', `${arn}/to/*`)];
    expect(await copy(read)).toBe('AccessDenied');
    expect(await copy(write)).toBe('AccessDenied');
    expect(await copy(read, write)).toBeNull();
  });
});

describe('a lifecycle', () => {
  const lifecycle = (rule: object) =>
    new PutBucketLifecycleConfigurationCommand({
      Bucket,
      LifecycleConfiguration: { Rules: [{ ID: 'tidy', Status: 'Enabled', Filter: { Prefix: 'old/' }, ...rule }] },
    });

  test('expires versions so many days after a newer one came, below its prefix only', async () => {
    const { s3, put, get, tick, versions } = await openBucket({ versions: true });
    await s3.send(lifecycle({ NoncurrentVersionExpiration: { NoncurrentDays: 3 } }));
    for (const key of ['old/a', 'new/a']) for (const body of ['one', 'two']) await put(key, body);
    tick(2 * DAY_MS);
    expect((await versions()).versions).toHaveLength(4);
    tick(2 * DAY_MS);
    expect((await versions()).versions.map((it) => it.Key)).toEqual(['new/a', 'new/a', 'old/a']);
    expect(await get('old/a')).toBe('two');
    expect((await s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules).toMatchObject([
      { ID: 'tidy', NoncurrentVersionExpiration: { NoncurrentDays: 3 } },
    ]);
  });

  test('takes away delete markers that have nothing behind them, and no others', async () => {
    const { s3, put, remove, tick, versions } = await openBucket({ versions: true });
    const NoncurrentVersionExpiration = { NoncurrentDays: 3 };
    await s3.send(lifecycle({ NoncurrentVersionExpiration, Expiration: { ExpiredObjectDeleteMarker: true } }));
    for (const key of ['old/a', 'new/a']) {
      await put(key, 'one');
      await remove(key);
    }
    tick(2 * DAY_MS);
    expect((await versions()).markers).toHaveLength(2);
    tick(2 * DAY_MS);
    expect((await versions()).markers.map((it) => it.Key)).toEqual(['new/a']);
    const both = lifecycle({ Expiration: { Days: 1, ExpiredObjectDeleteMarker: true } });
    expect(await errorOf(s3.send(both))).toBe('MalformedXML');
  });

  test('aborts uploads that were left', async () => {
    const { s3, tick } = await openBucket();
    await s3.send(lifecycle({ AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }));
    for (const Key of ['old/a', 'new/a']) await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const uploads = async () =>
      ((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []).map((it) => it.Key);
    expect(await uploads()).toEqual(['new/a', 'old/a']);
    tick(2 * DAY_MS);
    expect(await uploads()).toEqual(['new/a']);
  });

  test('with an action that would not be acted on is refused', async () => {
    const { s3 } = await openBucket();
    const Transitions = [{ Days: 1, StorageClass: 'GLACIER' as const }];
    expect(await errorOf(s3.send(lifecycle({ Transitions })))).toBe('NotImplemented');
    expect(await errorOf(s3.send(lifecycle({})))).toBe('InvalidRequest');
    expect(await errorOf(s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket })))).toBe(
      'NoSuchLifecycleConfiguration',
    );
  });
});
