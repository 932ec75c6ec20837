import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hashSnapshot, hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { Json } from '../cell/harness.ts';
import { openWorld, type World } from './world.ts';

/** Trouble that AWS makes on an ordinary day. Whatever it is, the same bytes come back or the job says what is wrong. */
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const admin = (path: string, init: RequestInit = {}) =>
  fetch(`${world.sandbox.url}/_sandbox/${path}`, {
    ...init,
    headers: { authorization: `Bearer ${world.sandbox.adminToken}`, 'content-type': 'application/json' },
  });
async function fault(rule: object): Promise<string> {
  const response = await admin('faults', { method: 'POST', body: JSON.stringify(rule) });
  const body = (await response.json()) as { id: string };
  expect(response.status, JSON.stringify(body)).toBeLessThan(300);
  return body.id;
}
const settings = (change: object) => admin('settings', { method: 'PUT', body: JSON.stringify(change) });
/** How often the rule has met a call: a fault that never happened proves nothing. */
async function met(id: string): Promise<number> {
  const { items } = (await (await admin('faults')).json()) as { items: Json[] };
  const rule = items.find((one) => one.id === id);
  return Number(rule?.met ?? 0);
}
afterEach(async () => {
  await admin('faults', { method: 'DELETE' });
  await settings({ snapshotVisibleAfterMs: 0 });
});

let accounts = 10;
async function onboarded() {
  const who = await world.customer(`2222222223${(accounts += 1)}`);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const target = { connectionId: connection.id, awsRegion: 'eu-central-1' };
  /** Runs a job, and again as the queue would, while it is only waiting to be tried again. */
  const untilOver = async (kind: 'backup' | 'restore', job: Json): Promise<Json> => {
    let now = job;
    for (let tries = 0; tries < 8 && now.state === 'PENDING' && now.blocked === null; tries += 1) {
      await world.run({ kind, tenantId: tenant.tenantId, jobId: job.id });
      now = (await tenant.call('GET', `/v1/${kind}-jobs/${job.id}`)).json;
    }
    return now;
  };
  const backUp = async () => untilOver('backup', await world.backUp(tenant, connection.id, who.instanceId));
  const restore = async (pointId: string, more: object = {}) =>
    untilOver('restore', await world.restore(tenant, pointId, target, more));
  const sources = async (job: Json) => {
    const point = (await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json;
    const hashes = new Map<string, string>();
    for (const { volumeId, snapshotId } of point.volumes)
      hashes.set(volumeId, (await hashSnapshot(who.access, snapshotId)).sha256);
    return hashes;
  };
  const expectEqual = async (job: Json, hashes: ReadonlyMap<string, string>) => {
    for (const { volumeId, sourceVolumeId } of job.volumes)
      expect((await hashVolume(who.access, volumeId)).sha256).toBe(hashes.get(sourceVolumeId));
  };
  return { ...who, tenant, connection, backUp, restore, sources, expectEqual };
}

describe('a backup goes through', () => {
  test.each([
    ['throttled reads', { kind: 'throttle', match: { operation: 'GetSnapshotBlock' }, probability: 0.2, seed: '1' }],
    [
      'reads that fail inside AWS',
      { kind: 'http500', match: { operation: 'GetSnapshotBlock' }, probability: 0.2, seed: '2' },
    ],
    ['reads that are cut off', { kind: 'cutBody', match: { operation: 'GetSnapshotBlock' }, times: 2 }],
    ['reads with a flipped bit', { kind: 'corruptBody', match: { operation: 'GetSnapshotBlock' }, times: 2 }],
    ['a wrong checksum', { kind: 'wrongChecksum', match: { operation: 'GetSnapshotBlock' }, times: 1 }],
    ['connections that are reset', { kind: 'reset', match: { operation: 'GetSnapshotBlock' }, times: 3 }],
    ['a put whose answer is lost', { kind: 'reset', match: { operation: 'PutObject' }, afterWork: true, times: 2 }],
    ['a store that asks to slow down', { kind: 'throttle', match: { operation: 'PutObject' }, times: 3 }],
    ['a key service that asks to slow down', { kind: 'throttle', match: { operation: 'GenerateDataKey' }, times: 2 }],
    [
      'snapshots whose answer is lost',
      { kind: 'reset', match: { operation: 'CreateSnapshots' }, afterWork: true, times: 1 },
    ],
    [
      'snapshots that are not seen at once',
      { kind: 'notFound', match: { operation: 'DescribeSnapshots', resource: 'SnapshotId.1' }, times: 1 },
    ],
  ])('%s', async (_, rule) => {
    const { backUp, restore, sources, expectEqual } = await onboarded();
    const id = await fault(rule);
    const job = await backUp();
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    expect(await met(id)).toBeGreaterThan(0);
    await admin('faults', { method: 'DELETE' });
    const hashes = await sources(job);
    const restored = await restore(job.recoveryPointId);
    expect(restored).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    await expectEqual(restored, hashes);
  });
});

describe('a restore goes through', () => {
  test.each([
    ['throttled writes', { kind: 'throttle', match: { operation: 'PutSnapshotBlock' }, probability: 0.2, seed: '3' }],
    [
      'writes whose answer is lost',
      { kind: 'reset', match: { operation: 'PutSnapshotBlock' }, afterWork: true, times: 2 },
    ],
    [
      'a start whose answer is lost',
      { kind: 'reset', match: { operation: 'StartSnapshot' }, afterWork: true, times: 1 },
    ],
    [
      'an end whose answer is lost',
      { kind: 'reset', match: { operation: 'CompleteSnapshot' }, afterWork: true, times: 1 },
    ],
    [
      'a volume whose answer is lost',
      { kind: 'reset', match: { operation: 'CreateVolume' }, afterWork: true, times: 1 },
    ],
    ['objects that are cut off', { kind: 'cutBody', match: { operation: 'GetObject' }, times: 2 }],
    [
      'a start that fails inside AWS',
      {
        kind: 'error',
        match: { operation: 'StartSnapshot' },
        status: 503,
        code: 'InternalServerException',
        message: 'x',
        times: 2,
      },
    ],
  ])('%s', async (_, rule) => {
    const { backUp, restore, sources, expectEqual } = await onboarded();
    const job = await backUp();
    const hashes = await sources(job);
    const id = await fault(rule);
    const restored = await restore(job.recoveryPointId);
    expect(await met(id)).toBeGreaterThan(0);
    await admin('faults', { method: 'DELETE' });
    expect(restored).toMatchObject({ state: 'COMPLETED', problem: null, leftovers: [] });
    await expectEqual(restored, hashes);
  });

  test('snapshots that AWS does not find for seconds after it started them', async () => {
    const { backUp, restore, sources, expectEqual } = await onboarded();
    const job = await backUp();
    const hashes = await sources(job);
    await settings({ snapshotVisibleAfterMs: 1_500 });
    const restored = await restore(job.recoveryPointId);
    expect(restored).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    await expectEqual(restored, hashes);
  });

  test('a launch whose answer is lost makes one instance', async () => {
    const { backUp, restore } = await onboarded();
    const job = await backUp();
    const id = await fault({ kind: 'reset', match: { operation: 'RunInstances' }, afterWork: true, times: 1 });
    const restored = await restore(job.recoveryPointId, { type: 'instance' });
    expect(await met(id)).toBe(1);
    expect(restored).toMatchObject({ state: 'COMPLETED', leftovers: [] });
  });
});

describe('never wrong data', () => {
  test('a block whose checksum never fits is not stored: the job ends and names it', async () => {
    const { backUp } = await onboarded();
    await fault({ kind: 'wrongChecksum', match: { operation: 'GetSnapshotBlock' } });
    const job = await backUp();
    expect(job).toMatchObject({ state: 'FAILED', problem: { code: 'block_checksum_mismatch' } });
    expect(job.recoveryPointId).toBeNull();
  });

  test('an object that is damaged in the store fails the restore, and nothing is left in the account', async () => {
    const { backUp, restore } = await onboarded();
    const job = await backUp();
    await fault({ kind: 'corruptBody', match: { operation: 'GetObject', resource: '/packs/' } });
    const restored = await restore(job.recoveryPointId);
    expect(restored).toMatchObject({ state: 'FAILED', problem: { code: 'object_corrupt' }, leftovers: [] });
    expect(restored.volumes).toEqual([]);
  });

  test('a role that is revoked in the middle blocks the job, which goes on when it is back', async () => {
    const { backUp, tenant } = await onboarded();
    await fault({ kind: 'denied', match: { operation: 'GetSnapshotBlock' }, skip: 3 });
    const job = await backUp();
    expect(job).toMatchObject({ state: 'PENDING', blocked: { reason: 'role' } });
    await admin('faults', { method: 'DELETE' });
    await world.run({ kind: 'backup', tenantId: tenant.tenantId, jobId: job.id });
    const after = (await tenant.call('GET', `/v1/backup-jobs/${job.id}`)).json;
    expect(after).toMatchObject({ state: 'COMPLETED', blocked: null });
  });
});
