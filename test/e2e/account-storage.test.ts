import {
  DeleteSnapshotCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyRetention } from '../../src/cell/jobs/retention.ts';
import { hashSnapshot, hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { Json } from '../cell/harness.ts';
import { openWorld, type World } from './world.ts';

const REGION = 'eu-central-1';
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

let accounts = 60;
/** A customer whose data never leaves the account. */
async function keeper(more: object = {}) {
  const who = await world.customer(`2222222223${(accounts += 1)}`);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who, undefined, { storage: 'account', ...more });
  expect(connection).toMatchObject({ state: 'CONNECTED', missing: [], storage: 'account' });
  const ec2 = new EC2Client({ endpoint: world.sandbox.url, region: REGION, credentials: who.access.credentials });
  const backUp = async (retention?: object) => {
    const job = await world.backUp(tenant, connection.id, who.instanceId, retention);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    return (await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json;
  };
  const restore = (point: Json, more: object, target: object = {}) =>
    world.restore(tenant, point.id, { connectionId: connection.id, awsRegion: REGION, ...target }, more);
  const snapshots = async (): Promise<string[]> => {
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    return (Snapshots ?? []).map(({ SnapshotId }) => SnapshotId ?? '').toSorted();
  };
  return { ...who, tenant, connection, ec2, backUp, restore, snapshots };
}
/** A customer whose blocks are copied into the vault. */
async function keeperOfVault() {
  const who = await world.customer(`2222222223${(accounts += 1)}`);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  return { ...who, tenant, connection };
}

const idsOf = (point: Json): string[] => point.volumes.map((volume: Json) => volume.snapshotId).toSorted();

async function objects(): Promise<number> {
  const root = await world.control.account('111111111112');
  const s3 = new S3Client({
    endpoint: world.sandbox.url,
    region: REGION,
    credentials: root,
    forcePathStyle: true,
  });
  return (await s3.send(new ListObjectsV2Command({ Bucket: world.resources.bucket }))).KeyCount ?? 0;
}

test('recovery points are EBS snapshots of the account; the bucket stays empty and no block is read', async () => {
  const { backUp, snapshots, access, account } = await keeper();
  const first = await backUp();
  const second = await backUp();
  expect(first).toMatchObject({ storage: 'account', lockedUntil: null });
  expect(await snapshots()).toEqual([...idsOf(first), ...idsOf(second)].toSorted());
  expect(await objects()).toBe(0);
  const calls = await world.control.callSummary();
  const ofTheirs = calls.filter((call) => call.accountId === account.awsAccountId);
  expect(ofTheirs.filter((call) => call.service === 'ebs')).toEqual([]);
  // The customer can read its own: it is a whole point of its instance.
  expect((await hashSnapshot(access, idsOf(first)[0] ?? '')).bytes).toBeGreaterThan(0);
});

test('the role has no right to a block, whatever our worker would ask', async () => {
  const { connection } = await keeper();
  const documents = JSON.stringify([connection.backupPolicy, connection.restorePolicy]);
  expect(documents.match(/"ebs:[A-Z]\w+"/g)).toBeNull();
});

describe('a restore', () => {
  test('to volumes and to an instance gives the same bytes, and leaves the point as it is', async () => {
    const { backUp, restore, snapshots, ec2, access, volumeIds, write } = await keeper();
    const point = await backUp();
    const before = new Map<string, string>();
    for (const volume of point.volumes)
      before.set(volume.volumeId, (await hashSnapshot(access, volume.snapshotId)).sha256);
    for (const volumeId of volumeIds) await write(volumeId, 0, 900_000);
    const job = await restore(point, { type: 'volume' });
    expect(job).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    for (const { volumeId, sourceVolumeId } of job.volumes)
      expect((await hashVolume(access, volumeId)).sha256).toBe(before.get(sourceVolumeId));
    const whole = await restore(point, { type: 'instance' });
    expect(whole).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [whole.instance.instanceId] }));
    expect(Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings).toHaveLength(2);
    for (const { volumeId, sourceVolumeId } of whole.volumes)
      expect((await hashVolume(access, volumeId)).sha256).toBe(before.get(sourceVolumeId));
    expect(await snapshots()).toEqual(idsOf(point));
  });

  test('to snapshots, and to another region, makes encrypted copies', async () => {
    const { backUp, restore, volumeIds, access } = await keeper({ awsRegions: [REGION, 'eu-west-1'] });
    const point = await backUp();
    const [plain] = volumeIds;
    const here = await restore(point, { type: 'snapshot', volumeIds: [plain] });
    expect(here).toMatchObject({ state: 'COMPLETED', volumes: [{ sourceVolumeId: plain }] });
    expect(idsOf(point)).not.toContain(here.volumes[0].snapshotId);
    const target = { awsRegion: 'eu-west-1', availabilityZone: 'eu-west-1b' };
    const there = await restore(point, { type: 'volume', volumeIds: [plain] }, target);
    expect(there).toMatchObject({ state: 'COMPLETED', volumes: [{ encrypted: true }], leftovers: [] });
    const source = point.volumes.find((volume: Json) => volume.volumeId === plain);
    expect((await hashVolume({ ...access, awsRegion: 'eu-west-1' }, there.volumes[0].volumeId)).sha256).toBe(
      (await hashSnapshot(access, source.snapshotId)).sha256,
    );
  });

  test('into another account is refused: the snapshots stay where they are', async () => {
    const from = await keeper();
    const other = await world.customer(`2222222223${(accounts += 1)}`);
    const target = await world.connect(from.tenant, other);
    const point = await from.backUp();
    expect(await from.restore(point, { type: 'volume' }, { connectionId: target.id })).toMatchObject({
      code: 'invalid_request',
      errors: [{ pointer: '/target/connectionId' }],
    });
  });
});

describe('retention', () => {
  const later = (days: number) => ({ ...world.worker.clock, now: () => new Date(Date.now() + days * 86_400_000) });

  test('deletes the snapshots of points that no rule keeps', async () => {
    const { tenant, connection, instanceId, backUp, snapshots } = await keeper();
    await backUp({ deleteAfterDays: 1 });
    const long = await backUp({ deleteAfterDays: 30 });
    const worker = { ...world.worker, clock: later(2) };
    await applyRetention(worker, { tenantId: tenant.tenantId, connectionId: connection.id, instanceId });
    expect(await snapshots()).toEqual(idsOf(long));
    const { json } = await tenant.call('GET', '/v1/recovery-points');
    expect(json.items.map((point: Json) => point.id)).toEqual([long.id]);
  });

  test('cannot delete what is locked, and neither can the customer', async () => {
    const { tenant, connection, instanceId, backUp, snapshots, ec2 } = await keeper();
    const lock = { mode: 'compliance', days: 7, coolOffHours: 1 };
    const point = await backUp({ deleteAfterDays: 1, lock });
    expect(Date.parse(point.lockedUntil)).toBeGreaterThan(Date.now() + 6.9 * 86_400_000);
    const worker = { ...world.worker, clock: later(2) };
    await applyRetention(worker, { tenantId: tenant.tenantId, connectionId: connection.id, instanceId });
    expect(await snapshots()).toEqual(idsOf(point));
    const gone = tenant.call('DELETE', `/v1/recovery-points/${point.id}`);
    expect((await gone).json).toMatchObject({ code: 'recovery_point_locked', status: 409 });
    const [SnapshotId] = idsOf(point);
    await expect(ec2.send(new DeleteSnapshotCommand({ SnapshotId }))).rejects.toThrow();
  });

  test('a lock that could be lifted is refused for a vault connection', async () => {
    const { tenant, connection, instanceId } = await keeperOfVault();
    const { json } = await tenant.call('POST', '/v1/backup-jobs', {
      body: {
        connectionId: connection.id,
        instanceId,
        retention: { keepLast: 1, lock: { mode: 'governance', days: 1 } },
      },
    });
    expect(json).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/retention/lock/mode' }] });
  });
});
