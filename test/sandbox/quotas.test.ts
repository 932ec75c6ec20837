import {
  CreateSnapshotCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { EBSClient } from '@aws-sdk/client-ebs';
import { expect, test } from 'vitest';
import { list, start, stateOf, written } from './ebs-calls.ts';
import { ACCOUNT, blockOf, complete, failureOf, newVolume, openAws, put, REGION } from './world.ts';

/** An account whose clients try once only, with these settings. */
async function limited(settings: object) {
  const aws = await openAws();
  const config = { endpoint: aws.endpoint, region: REGION, credentials: { ...aws.owner }, maxAttempts: 1 };
  const change = async (values: object) => {
    const response = await fetch(`${aws.endpoint}/_sandbox/settings`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${aws.sandbox.adminToken}` },
      body: JSON.stringify(values),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  expect((await change(settings)).status).toBe(200);
  return { ...aws, ec2: new EC2Client(config), ebs: new EBSClient(config), change };
}

const failures = async (calls: Promise<unknown>[]) => {
  const outcomes = await Promise.all(calls.map((call) => failureOf(call)));
  return outcomes.filter((outcome) => outcome !== 'no failure');
};
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

test('rates are not limited unless asked for', async () => {
  const { ec2 } = await limited({});
  expect(await failures(times(60, () => ec2.send(new DescribeVolumesCommand({}))))).toEqual([]);
});

test('listings beyond fifty in a second are throttled, and taken again as time passes', async () => {
  const aws = await limited({});
  const { SnapshotId } = await written(aws, 1);
  const fixed = new Date();
  await aws.change({ quotas: true });
  const refused = await failures(times(120, () => list(aws.ebs, SnapshotId)));
  // Tokens come back while the calls run: at most one second's worth for each second.
  const seconds = (Date.now() - fixed.getTime()) / 1_000 + 1;
  expect(refused.length).toBeGreaterThanOrEqual(120 - 50 * (seconds + 1));
  expect(refused.length).toBeGreaterThan(0);
  expect(new Set(refused)).toEqual(new Set(['RequestThrottledException ACCOUNT_THROTTLED']));
  aws.tick(1_000);
  expect(await failures(times(40, () => list(aws.ebs, SnapshotId)))).toEqual([]);
});

test('a listing of everything spends a smaller bucket than one that is narrowed', async () => {
  const { ec2 } = await limited({ quotas: true });
  expect((await failures(times(80, () => ec2.send(new DescribeVolumesCommand({}))))).length).toBeGreaterThan(0);
  expect(await failures(times(80, () => ec2.send(new DescribeVolumesCommand({ MaxResults: 5 }))))).toEqual([]);
});

test('a started snapshot is not found until its time has come', async () => {
  const { ebs, ec2, tick } = await limited({ snapshotVisibleAfterMs: 5_000 });
  const id = await start(ebs);
  const bytes = blockOf('a');
  const notFound = 'ResourceNotFoundException SNAPSHOT_NOT_FOUND';
  expect(await failureOf(put(ebs, { id, index: 0 }, bytes))).toBe(notFound);
  expect(await failureOf(complete(ebs, id, []))).toBe(notFound);
  const described = () => ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
  expect(await failureOf(described())).toBe('InvalidSnapshot.NotFound');
  expect((await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots).toEqual([]);
  tick(6_000);
  await put(ebs, { id, index: 0 }, bytes);
  await complete(ebs, id, [bytes]);
  expect((await described()).Snapshots).toHaveLength(1);
});

test('a snapshot completes when the setting says so', async () => {
  const aws = await limited({ snapshotCompletesAfterMs: 240_000 });
  const id = await start(aws.ebs);
  await complete(aws.ebs, id, []);
  aws.tick(230_000);
  expect(await stateOf(aws, id)).toBe('pending');
  aws.tick(20_000);
  expect(await stateOf(aws, id)).toBe('completed');
});

test('an account has the limits that were set for it, and the others keep theirs', async () => {
  const { ebs, change } = await limited({ accounts: { [ACCOUNT]: { pendingSnapshots: 2 } } });
  await start(ebs);
  await start(ebs);
  expect(await failureOf(start(ebs))).toBe('ConcurrentLimitExceededException');
  await change({ accounts: { '333333333333': { pendingSnapshots: 2 } } });
  await start(ebs);
  await change({ accounts: { [ACCOUNT]: { snapshots: 3 } } });
  expect(await failureOf(start(ebs))).toBe('ServiceQuotaExceededException DEPENDENCY_SERVICE_QUOTA_EXCEEDED');
});

test('a volume takes so many snapshots at a time, an account so many in all', async () => {
  const { ec2, change, tick } = await limited({ snapshotCompletesAfterMs: 60_000 });
  const VolumeId = await newVolume(ec2);
  const take = () => failureOf(ec2.send(new CreateSnapshotCommand({ VolumeId })));
  const outcomes: string[] = [];
  for (let i = 0; i < 6; i += 1) outcomes.push(await take());
  expect(outcomes).toEqual([...Array<string>(5).fill('no failure'), 'ConcurrentSnapshotLimitExceeded']);
  tick(61_000);
  expect(await take()).toBe('no failure');
  await change({ accounts: { [ACCOUNT]: { snapshots: 6 } } });
  expect(await take()).toBe('SnapshotLimitExceeded');
});

test('settings that are wrong are refused, all mistakes named, and nothing is changed', async () => {
  const { change } = await limited({ quotas: true });
  const wrong = {
    quotas: false,
    snapshotVisibleAfterMs: -1,
    colour: 1,
    accounts: { x: {}, [ACCOUNT]: { vcpus: 'a' } },
  };
  const { status, body } = await change(wrong);
  expect(status).toBe(400);
  expect((body['violations'] as { pointer: string }[]).map(({ pointer }) => pointer)).toEqual([
    '/snapshotVisibleAfterMs',
    '/colour',
    '/accounts/x',
    `/accounts/${ACCOUNT}/vcpus`,
  ]);
  expect((await change({})).body).toMatchObject({ quotas: true, snapshotVisibleAfterMs: 0 });
});
