import { CreateKeyCommand, DisableKeyCommand } from '@aws-sdk/client-kms';
import { DeleteObjectsCommand, GetBucketVersioningCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { openKeyService } from '../../src/aws/kms-keys.ts';
import { kmsRecipient } from '../../src/aws/kms-recipient.ts';
import { openKeyObjectStore } from '../../src/aws/s3-key-store.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { keysPrefix } from '../../src/vault/layout.ts';
import { createMemorySink, createMemorySource, createMemoryStore, type MemoryImage } from '../../src/vault/memory.ts';
import { RECIPIENT } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { executeRewrap } from '../../src/vault/rotate-execute.ts';
import { planRewrap } from '../../src/vault/rotate.ts';
import { executeShred, planShred, volumesWithKeys } from '../../src/vault/shred.ts';
import { Bucket, openBucket } from '../sandbox/s3-bucket.ts';
import { ACCOUNT, REGION } from '../sandbox/world.ts';
import { BLOCK, block, contentOf, SCOPE } from '../vault/fixture.ts';

const PREFIX = `t/${SCOPE.tenantId}/`;
const PLACE = { bucket: Bucket, expectedBucketOwner: ACCOUNT, prefix: PREFIX, awsRegion: REGION };
const text = (value: string) => new TextEncoder().encode(value);

/** A bucket with versions and one tenant's key objects in it, as S3 and KMS know them. */
async function openTenant() {
  const aws = await openBucket({ versions: true });
  const newKey = async () => {
    const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
    const keyArn = KeyMetadata?.Arn ?? '';
    const service = openKeyService(aws.kms, keyArn, REGION);
    const recipient = kmsRecipient(aws.kms, { kind: RECIPIENT.cell, keyArn, awsRegion: REGION });
    return { keyArn, service, to: { recipient, opener: service } };
  };
  const markers = async (keys: readonly string[]) => {
    const Objects = keys.map((key) => ({ Key: `${PREFIX}${key}` }));
    await aws.s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  };
  return { ...aws, newKey, markers, store: openKeyObjectStore(aws.s3, PLACE) };
}

describe('a key object in S3', () => {
  test('is replaced by who has read it as it is, by nobody else', async () => {
    const { store, put, get, remove, s3 } = await openTenant();
    expect((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
    await put(`${PREFIX}a`, 'one');
    const { bytes, version } = await store.get('a');
    expect(bytes).toEqual(text('one'));
    expect(await store.replace('a', text('two'), version)).toBe('replaced');
    expect(await store.replace('a', text('three'), version)).toBe('changed');
    expect(await get(`${PREFIX}a`)).toBe('two');
    const second = await store.get('a');
    await remove(`${PREFIX}a`);
    expect(await store.replace('a', text('four'), second.version)).toBe('changed');
    await expect(store.get('a')).rejects.toMatchObject({ code: 'object_missing' });
  });

  test('of somebody else’s bucket is not touched', async () => {
    const { s3, put } = await openTenant();
    await put(`${PREFIX}a`, 'one');
    const foreign = openKeyObjectStore(s3, { ...PLACE, expectedBucketOwner: '999999999999' });
    await expect(foreign.get('a')).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(foreign.replace('a', text('x'), '"etag"')).rejects.toMatchObject({ code: 'store_unavailable' });
    const versions = foreign.listVersions('')[Symbol.asyncIterator]();
    await expect(versions.next()).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  test('is listed and destroyed with every version and marker, thousands of them, and nothing beside it', async () => {
    const { store, put, markers, versions } = await openTenant();
    const names = Array.from({ length: 1_400 }, (_, n) => `v1/vol-1/keys/run-1/${String(n).padStart(5, '0')}`);
    for (const at of [0, 700]) await markers(names.slice(at, at + 700));
    for (const body of ['one', 'two', 'three']) await put(`${PREFIX}${names[0]}`, body);
    await put(`${PREFIX}v1/vol-10/keys/run-1/x`, 'stays');
    await put('t/other/v1/vol-1/keys/run-1/x', 'stays');
    const plan = await planShred(store, { tenantId: SCOPE.tenantId, volumeIds: ['vol-1'] });
    expect(plan).toMatchObject({ keyObjects: 1_400 });
    expect(plan.versions).toHaveLength(1_403);
    expect(await executeShred(store, plan)).toMatchObject({ keyObjects: 1_400, versions: 1_403 });
    expect(await volumesWithKeys(store)).toEqual(['vol-10']);
    const left = await versions();
    expect(left.markers).toEqual([]);
    expect(left.versions.map(({ Key }) => Key)).toEqual([
      't/other/v1/vol-1/keys/run-1/x',
      `${PREFIX}v1/vol-10/keys/run-1/x`,
    ]);
  });
});

test('keys of KMS are wrapped anew for another key of KMS: with the old one disabled, every point opens', async () => {
  const tenant = await openTenant();
  const [old, next] = [await tenant.newKey(), await tenant.newKey()];
  const image: MemoryImage = new Map(Array.from({ length: 8 }, (_, n) => [n, block(n)]));
  const memory = createMemoryStore();
  const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: 8 * BLOCK });
  const input = { ...SCOPE, runId: 'run-1', snapshotId: 'snap-1', source };
  const { manifestKey } = await backupVolume({ store: memory, keys: old.service }, input);
  for await (const { key } of memory.list(keysPrefix(SCOPE.volumeId)))
    await tenant.put(`${PREFIX}${key}`, Buffer.from(await memory.get(key)));

  const rewrap = { from: old.service, to: next.to };
  const plan = await planRewrap(tenant.store, SCOPE, rewrap);
  expect(plan.objects).toHaveLength(2);
  expect(await executeRewrap(tenant.store, plan, rewrap)).toEqual({ replaced: 2, done: 0, gone: 0 });
  expect(await planRewrap(tenant.store, SCOPE, rewrap)).toMatchObject({ objects: [], done: 2, left: [] });

  await tenant.kms.send(new DisableKeyCommand({ KeyId: old.keyArn }));
  const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: 8 * BLOCK });
  const reading = {
    ...memory,
    get: async (key: string, range?: { start: number; length: number }) =>
      key.startsWith(keysPrefix(SCOPE.volumeId)) ? (await tenant.store.get(key)).bytes : memory.get(key, range),
  };
  await restoreVolume({ store: reading, keys: next.service }, { ...SCOPE, manifestKey }, sink);
  expect(contentOf(sink.image)).toEqual(contentOf(image));
  const closed = restoreVolume({ store: memory, keys: old.service }, { ...SCOPE, manifestKey }, sink);
  await expect(closed).rejects.toMatchObject({ code: 'key_unavailable' });
});

test('while keys are wrapped anew, the key service opens what the former key has wrapped, and makes keys under the new one', async () => {
  const tenant = await openTenant();
  const [old, next, third] = [await tenant.newKey(), await tenant.newKey(), await tenant.newKey()];
  const context = { cell: 'eu', tenant: 't', volume: 'v', run: 'r', purpose: 'pack' } as const;
  const both = openKeyService(tenant.kms, next.keyArn, REGION, [old.keyArn]);
  const label = new Uint8Array();
  for (const { service, keyArn } of [old, next]) {
    const { key, wrapped } = await service.generate(context);
    expect(both.opens({ kind: RECIPIENT.cell, name: keyArn })).toBe(true);
    expect(await both.unwrap(wrapped, context, label, keyArn)).toEqual(key);
    expect(await both.unwrap(wrapped, context)).toEqual(key); // An instance's configuration does not say which key it was.
    await expect(both.unwrap(wrapped, { ...context, tenant: 'u' })).rejects.toMatchObject({ code: 'wrong_key' });
  }
  const made = await both.generate(context);
  expect(both.recipient.name).toBe(next.keyArn);
  expect(await next.service.unwrap(made.wrapped, context)).toEqual(made.key);
  const foreign = await third.service.generate(context);
  expect(both.opens({ kind: RECIPIENT.cell, name: third.keyArn })).toBe(false);
  for (const name of [third.keyArn, undefined])
    await expect(both.unwrap(foreign.wrapped, context, label, name)).rejects.toMatchObject({ code: 'wrong_key' });
});
