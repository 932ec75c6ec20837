import {
  PutObjectCommand,
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { EBSClient } from '@aws-sdk/client-ebs';
import { DescribeInstancesCommand, DescribeSnapshotsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { ListKeysCommand, KMSClient } from '@aws-sdk/client-kms';
import { ListRolesCommand, IAMClient } from '@aws-sdk/client-iam';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { describe, expect, test } from 'vitest';
import { get, list, start, written } from './ebs-calls.ts';
import { type Aws, ACCOUNT, failureOf, openAws, REGION, sha256 } from './world.ts';

const Bucket = 'vault-eu';

/** An account whose clients try once only, and the control API. */
async function faulty() {
  const aws = await openAws();
  const config = { endpoint: aws.endpoint, region: REGION, credentials: { ...aws.owner }, maxAttempts: 1 };
  const once = {
    ec2: new EC2Client(config),
    ebs: new EBSClient(config),
    s3: new S3Client({ ...config, forcePathStyle: true }),
    kms: new KMSClient(config),
    iam: new IAMClient(config),
    sts: new STSClient(config),
  };
  return { ...aws, ...once, ...controlOf(aws) };
}

function controlOf({ endpoint, sandbox }: Aws) {
  const call = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${endpoint}/_sandbox/${path}`, {
      method,
      headers: { authorization: `Bearer ${sandbox.adminToken}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as Record<string, unknown>) };
  };
  const fault = async (rule: object): Promise<string> => {
    const { status, body } = await call('POST', 'faults', rule);
    expect(status).toBe(201);
    return String(body?.['id']);
  };
  return { call, fault };
}

const outcomeOf = async (call: Promise<unknown>) => {
  try {
    await call;
    return 'ok';
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return `${name} ${$metadata?.httpStatusCode ?? '-'}`;
  }
};

describe('a fault', () => {
  test('of throttling is told in the words and with the status of each service', async () => {
    const { fault, ec2, ebs, s3, kms, sts, iam } = await faulty();
    await fault({ kind: 'throttle', reason: 'RESOURCE_LEVEL_THROTTLE' });
    expect(await failureOf(start(ebs))).toBe('RequestThrottledException RESOURCE_LEVEL_THROTTLE');
    expect(await outcomeOf(start(ebs))).toBe('RequestThrottledException 400');
    expect(await outcomeOf(ec2.send(new DescribeInstancesCommand({})))).toBe('RequestLimitExceeded 503');
    expect(await outcomeOf(kms.send(new ListKeysCommand({})))).toBe('ThrottlingException 400');
    expect(await outcomeOf(s3.send(new ListObjectsV2Command({ Bucket })))).toBe('SlowDown 503');
    expect(await outcomeOf(sts.send(new GetCallerIdentityCommand({})))).toBe('Throttling 400');
    expect(await outcomeOf(iam.send(new ListRolesCommand({})))).toBe('Throttling 400');
  });

  test('of a revoked role, an expired session or a failing AWS is told in their words too', async () => {
    const { call, fault, ec2, ebs, s3, kms } = await faulty();
    const outcomes = async (kind: string) => {
      await call('DELETE', 'faults');
      await fault({ kind });
      return [
        await outcomeOf(start(ebs)),
        await outcomeOf(ec2.send(new DescribeSnapshotsCommand({}))),
        await outcomeOf(kms.send(new ListKeysCommand({}))),
        await outcomeOf(s3.send(new GetObjectCommand({ Bucket, Key: 'a' }))),
      ];
    };
    expect(await outcomes('denied')).toEqual([
      'AccessDeniedException 403',
      'UnauthorizedOperation 403',
      'AccessDeniedException 400',
      'AccessDenied 403',
    ]);
    expect(await outcomes('expiredToken')).toEqual([
      'ExpiredTokenException 403',
      'RequestExpired 403',
      'ExpiredTokenException 400',
      'ExpiredToken 400',
    ]);
    expect(await outcomes('notFound')).toEqual([
      'ResourceNotFoundException 404',
      'InvalidSnapshot.NotFound 400',
      'NotFoundException 400',
      'NoSuchKey 404',
    ]);
    expect(await outcomes('http500')).toEqual([
      'InternalServerException 500',
      'InternalError 500',
      'KMSInternalException 500',
      'InternalError 500',
    ]);
    expect(await outcomes('http504')).toEqual(Array(4).fill('GatewayTimeout 504'));
  });

  test('meets the operation, account, region and resource that it names, and nothing else', async () => {
    const aws = await faulty();
    const { fault, ebs, call } = aws;
    const [one, other] = [await start(ebs), await start(ebs)];
    const failing = (id: string) => failureOf(list(ebs, id));
    await fault({ kind: 'denied', match: { operation: 'ListSnapshotBlocks', resource: one } });
    expect(await failing(one)).toBe('AccessDeniedException UNAUTHORIZED_ACCOUNT');
    expect(await failing(other)).toBe('ValidationException INVALID_SNAPSHOT_ID');
    await call('DELETE', 'faults');
    await fault({ kind: 'denied', match: { accountId: '333333333333' } });
    await fault({ kind: 'denied', match: { awsRegion: 'us-east-1' } });
    await fault({ kind: 'denied', match: { service: 's3' } });
    expect(await failing(one)).toBe('ValidationException INVALID_SNAPSHOT_ID');
    await fault({ kind: 'denied', match: { service: 'ebs', accountId: ACCOUNT, awsRegion: REGION } });
    expect(await failing(one)).toBe('AccessDeniedException UNAUTHORIZED_ACCOUNT');
  });

  test('meets the n-th calls, or a share of them that its seed repeats', async () => {
    const { fault, call, sts } = await faulty();
    const run = async (count: number) => {
      const outcomes: string[] = [];
      for (let i = 0; i < count; i += 1)
        outcomes.push((await outcomeOf(sts.send(new GetCallerIdentityCommand({})))) === 'ok' ? '.' : 'x');
      return outcomes.join('');
    };
    await fault({ kind: 'http503', skip: 2, times: 2 });
    expect(await run(6)).toBe('..xx..');
    const seeded = async (seed: string) => {
      await call('DELETE', 'faults');
      await fault({ kind: 'http503', probability: 0.5, seed });
      return run(24);
    };
    const first = await seeded('a');
    expect(first).toMatch(/x/);
    expect(first).toMatch(/\./);
    expect(await seeded('a')).toBe(first);
    expect(await seeded('b')).not.toBe(first);
  });

  test('is listed with how often it fitted and met, and gone when removed', async () => {
    const { fault, call, sts } = await faulty();
    const id = await fault({ kind: 'error', status: 409, code: 'ConditionalRequestConflict', skip: 1 });
    expect(await outcomeOf(sts.send(new GetCallerIdentityCommand({})))).toBe('ok');
    expect(await outcomeOf(sts.send(new GetCallerIdentityCommand({})))).toBe('ConditionalRequestConflict 409');
    expect((await call('GET', 'faults')).body).toMatchObject({ items: [{ id, matched: 2, met: 1 }] });
    expect((await call('DELETE', `faults/${id}`)).status).toBe(204);
    expect((await call('DELETE', `faults/${id}`)).status).toBe(404);
    expect(await outcomeOf(sts.send(new GetCallerIdentityCommand({})))).toBe('ok');
  });

  test('that is described wrongly is refused with every mistake named', async () => {
    const { call } = await faulty();
    const wrong = { kind: 'melt', match: { planet: 'x', service: '' }, times: 0, probability: 2, colour: 'red' };
    const { status, body } = await call('POST', 'faults', wrong);
    expect(status).toBe(400);
    expect((Object(body?.['violations']) as { pointer: string }[]).map(({ pointer }) => pointer).toSorted()).toEqual([
      '/colour',
      '/kind',
      '/match/planet',
      '/match/service',
      '/probability',
      '/times',
    ]);
    const lacking = await call('POST', 'faults', { kind: 'slow', afterWork: true });
    expect(lacking.body).toMatchObject({ violations: [{ pointer: '/ms' }, { pointer: '/afterWork' }] });
    expect((await call('GET', 'faults')).body).toEqual({ items: [] });
  });
});

describe('a fault on the way', () => {
  test('resets the connection before the work, or loses the answer after it', async () => {
    const { fault, call, ebs, ec2 } = await faulty();
    const count = async () => (await ec2.send(new DescribeSnapshotsCommand({}))).Snapshots?.length;
    await fault({ kind: 'reset', match: { operation: 'StartSnapshot' } });
    expect(await outcomeOf(start(ebs))).toMatch(/ -$/);
    expect(await count()).toBe(0);
    await call('DELETE', 'faults');
    await fault({ kind: 'reset', afterWork: true, match: { operation: 'StartSnapshot' } });
    expect(await outcomeOf(start(ebs))).toMatch(/ -$/);
    expect(await count()).toBe(1);
  });

  test('slows an answer, or never gives one until the client goes', async () => {
    const { fault, call, sts } = await faulty();
    await fault({ kind: 'slow', ms: 80 });
    const before = performance.now();
    expect(await outcomeOf(sts.send(new GetCallerIdentityCommand({})))).toBe('ok');
    expect(performance.now() - before).toBeGreaterThanOrEqual(75);
    await call('DELETE', 'faults');
    await fault({ kind: 'hang' });
    const abortSignal = AbortSignal.timeout(150);
    expect(await outcomeOf(sts.send(new GetCallerIdentityCommand({}), { abortSignal }))).toBe('AbortError -');
  });

  test('cuts a body, flips a bit of it, or sends a checksum that does not fit', async () => {
    const aws = await faulty();
    const { fault, call, ebs } = aws;
    const { SnapshotId } = await written(aws, 1);
    const { Blocks = [] } = await list(ebs, SnapshotId);
    const read = async () => {
      const answer = await get(ebs, SnapshotId, 0, Blocks[0]?.BlockToken);
      const bytes = Buffer.from((await answer.BlockData?.transformToByteArray()) ?? []);
      return { fits: sha256(bytes) === answer.Checksum, bytes, checksum: answer.Checksum };
    };
    const whole = await read();
    expect(whole.fits).toBe(true);
    await fault({ kind: 'cutBody', times: 1 });
    await expect(read()).rejects.toThrow();
    await call('DELETE', 'faults');
    await fault({ kind: 'corruptBody', match: { operation: 'GetSnapshotBlock' }, times: 1 });
    const flipped = await read();
    expect(flipped).toMatchObject({ fits: false, checksum: whole.checksum });
    expect(flipped.bytes).toHaveLength(whole.bytes.length);
    await fault({ kind: 'wrongChecksum', times: 1 });
    const vouched = await read();
    expect(vouched).toMatchObject({ fits: false });
    expect(vouched.bytes.equals(whole.bytes)).toBe(true);
    expect((await read()).fits).toBe(true);
  });

  test('reaches S3 by the names of its operations', async () => {
    const { fault, s3, control } = await faulty();
    await s3.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint: REGION } }));
    await fault({ kind: 'error', status: 409, code: 'ConditionalRequestConflict', match: { operation: 'PutObject' } });
    const put = () => s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x', IfNoneMatch: '*' }));
    expect(await outcomeOf(put())).toBe('ConditionalRequestConflict 409');
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    expect((await control.callSummary()).map(({ operation, status }) => `${operation} ${status}`)).toEqual([
      'CreateBucket 200',
      'PutObject 409',
      'ListObjectsV2 200',
    ]);
  });
});
