import {
  DeleteObjectsCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ObjectLockEnabled,
  ObjectLockLegalHoldStatus,
  ObjectLockRetentionMode,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { Bucket, callsOf, openBucket } from './s3-bucket.ts';
import { errorOf } from './support.ts';
import { allow, REGION } from './world.ts';

const DAY_MS = 86_400_000;
const { COMPLIANCE, GOVERNANCE } = ObjectLockRetentionMode;
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
const arn = `arn:aws:s3:::${Bucket}/*`;

async function locked() {
  const aws = await openBucket({ locks: true });
  const retain = (
    Key: string,
    Mode: ObjectLockRetentionMode,
    RetainUntilDate: Date,
    BypassGovernanceRetention?: boolean,
  ) =>
    aws.s3.send(
      new PutObjectRetentionCommand({ Bucket, Key, Retention: { Mode, RetainUntilDate }, BypassGovernanceRetention }),
    );
  const put = (Key: string, mode: ObjectLockRetentionMode, days: number) =>
    aws.put(Key, 'x', { ObjectLockMode: mode, ObjectLockRetainUntilDate: inDays(days) });
  return { ...aws, plainPut: aws.put, put, retain };
}

describe('a version under COMPLIANCE', () => {
  test('is deleted by nobody before its time, however it is asked for, and by anyone afterwards', async () => {
    const { s3, put, get, remove, tick } = await locked();
    const { VersionId } = await put('a', COMPLIANCE, 10);
    await expect(remove('a', VersionId)).rejects.toMatchObject({
      name: 'AccessDenied',
      $metadata: { httpStatusCode: 403 },
    });
    expect(await errorOf(remove('a', VersionId, true))).toBe('AccessDenied');
    const many = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a', VersionId }] } }));
    expect(many.Errors).toMatchObject([{ Key: 'a', VersionId, Code: 'AccessDenied' }]);
    // Without a version only a marker comes before it.
    await remove('a');
    expect(await get('a', VersionId)).toBe('x');
    tick(11 * DAY_MS);
    expect(await errorOf(remove('a', VersionId))).toBeNull();
  });

  test('is retained longer, never shorter and never in a weaker mode', async () => {
    const { s3, put, retain } = await locked();
    await put('a', COMPLIANCE, 10);
    expect(await errorOf(retain('a', COMPLIANCE, inDays(5), true))).toBe('AccessDenied');
    expect(await errorOf(retain('a', GOVERNANCE, inDays(20), true))).toBe('AccessDenied');
    await retain('a', COMPLIANCE, inDays(20));
    const { Retention } = await s3.send(new GetObjectRetentionCommand({ Bucket, Key: 'a' }));
    expect(Retention?.Mode).toBe(COMPLIANCE);
    expect(Retention?.RetainUntilDate?.getTime()).toBeGreaterThan(inDays(19).getTime());
  });

  test('is not removed by a lifecycle', async () => {
    const { s3, put, plainPut, get, tick } = await locked();
    const { VersionId } = await put('a', COMPLIANCE, 30);
    await plainPut('a', 'newer');
    await s3.send(
      new PutBucketLifecycleConfigurationCommand({
        Bucket,
        LifecycleConfiguration: {
          Rules: [
            { ID: 'r', Status: 'Enabled', Filter: { Prefix: '' }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
          ],
        },
      }),
    );
    tick(20 * DAY_MS);
    expect(await get('a', VersionId)).toBe('x');
    tick(20 * DAY_MS);
    expect(await errorOf(get('a', VersionId))).toBe('NoSuchVersion');
  });
});

describe('a version under GOVERNANCE', () => {
  test('is deleted early only with the right to bypass and the header that asks for it', async () => {
    const { put, remove, as, get } = await locked();
    const { VersionId } = await put('a', GOVERNANCE, 10);
    expect(await errorOf(remove('a', VersionId))).toBe('AccessDenied');
    const without = callsOf((await as(allow('s3:DeleteObjectVersion', arn))).s3);
    expect(await errorOf(without.remove('a', VersionId, true))).toBe('AccessDenied');
    expect(await get('a')).toBe('x');
    const may = callsOf((await as(allow(['s3:DeleteObjectVersion', 's3:BypassGovernanceRetention'], arn))).s3);
    expect(await errorOf(may.remove('a', VersionId))).toBe('AccessDenied');
    expect(await errorOf(may.remove('a', VersionId, true))).toBeNull();
  });

  test('is shortened only by bypass, and made stricter by anyone who may retain', async () => {
    const { put, retain } = await locked();
    await put('a', GOVERNANCE, 10);
    expect(await errorOf(retain('a', GOVERNANCE, inDays(5)))).toBe('AccessDenied');
    expect(await errorOf(retain('a', GOVERNANCE, inDays(5), true))).toBeNull();
    expect(await errorOf(retain('a', COMPLIANCE, inDays(6)))).toBeNull();
    expect(await errorOf(retain('a', GOVERNANCE, inDays(7), true))).toBe('AccessDenied');
  });
});

describe('a legal hold', () => {
  test('keeps a version without any date until it is taken off', async () => {
    const { s3, plainPut, remove } = await locked();
    const { VersionId } = await plainPut('a', 'x', { ObjectLockLegalHoldStatus: ObjectLockLegalHoldStatus.ON });
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: 'a' }))).toMatchObject({
      ObjectLockLegalHoldStatus: 'ON',
    });
    expect(await errorOf(remove('a', VersionId, true))).toBe('AccessDenied');
    await s3.send(new PutObjectLegalHoldCommand({ Bucket, Key: 'a', LegalHold: { Status: 'OFF' } }));
    expect(await errorOf(remove('a', VersionId))).toBeNull();
  });
});

describe('a lock that is put', () => {
  test('needs Object Lock, a date to come, both date and mode, and a checksum', async () => {
    const { plainPut, put, endpoint, owner } = await locked();
    expect(await errorOf(put('a', COMPLIANCE, -1))).toBe('InvalidArgument');
    expect(await errorOf(plainPut('a', 'x', { ObjectLockMode: COMPLIANCE }))).toBe('InvalidArgument');
    const bare = new S3Client({
      endpoint,
      region: REGION,
      credentials: { ...owner },
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    bare.middlewareStack.add(
      (next) => (args) => {
        const { headers } = args.request as { headers: Record<string, string> };
        for (const name of Object.keys(headers)) if (/^x-amz-(sdk-)?checksum/.test(name)) delete headers[name];
        return next(args);
      },
      { step: 'build', priority: 'low' },
    );
    const lock = { ObjectLockMode: COMPLIANCE, ObjectLockRetainUntilDate: inDays(1) };
    expect(await errorOf(callsOf(bare).put('a', 'x', lock))).toBe('InvalidRequest');
    const other = await openBucket();
    expect(await errorOf(other.put('a', 'x', lock))).toBe('InvalidRequest');
  });

  test('takes its own right, which a policy may cap in days', async () => {
    const { as } = await locked();
    const lock = (days: number) => ({ ObjectLockMode: GOVERNANCE, ObjectLockRetainUntilDate: inDays(days) });
    const plain = callsOf((await as(allow('s3:PutObject', arn))).s3);
    expect(await errorOf(plain.put('a', 'x', lock(5)))).toBe('AccessDenied');
    const cap = { NumericLessThanEquals: { 's3:object-lock-remaining-retention-days': '10' } };
    const capped = callsOf((await as(allow('s3:PutObject', arn), allow('s3:PutObjectRetention', arn, cap))).s3);
    expect(await errorOf(capped.put('a', 'x', lock(20)))).toBe('AccessDenied');
    expect(await errorOf(capped.put('a', 'x', lock(5)))).toBeNull();
  });
});

describe("a bucket's lock configuration", () => {
  const byDefault = (Days: number) =>
    new PutObjectLockConfigurationCommand({
      Bucket,
      ObjectLockConfiguration: {
        ObjectLockEnabled: ObjectLockEnabled.Enabled,
        Rule: { DefaultRetention: { Mode: COMPLIANCE, Days } },
      },
    });

  test('locks every new object by default', async () => {
    const { s3, plainPut, remove } = await locked();
    await s3.send(byDefault(7));
    const { VersionId } = await plainPut('a', 'x');
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a' }));
    expect(head.ObjectLockMode).toBe(COMPLIANCE);
    expect(Math.round(((head.ObjectLockRetainUntilDate?.getTime() ?? 0) - Date.now()) / DAY_MS)).toBe(7);
    expect(await errorOf(remove('a', VersionId, true))).toBe('AccessDenied');
    expect((await s3.send(new GetObjectLockConfigurationCommand({ Bucket }))).ObjectLockConfiguration).toMatchObject({
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: COMPLIANCE, Days: 7 } },
    });
  });

  test('takes versions, and keeps them from being suspended', async () => {
    const { s3 } = await openBucket();
    const versioning = (Status: 'Enabled' | 'Suspended') =>
      s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
    expect(await errorOf(s3.send(new GetObjectLockConfigurationCommand({ Bucket })))).toBe(
      'ObjectLockConfigurationNotFoundError',
    );
    expect(await errorOf(s3.send(byDefault(1)))).toBe('InvalidBucketState');
    await versioning('Enabled');
    await s3.send(byDefault(1));
    expect(await errorOf(versioning('Suspended'))).toBe('InvalidBucketState');
  });
});
