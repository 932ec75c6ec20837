import {
  CancelKeyDeletionCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createAwsClients } from '../../src/aws/clients.ts';
import { backupKind } from '../../src/cell/jobs/backup.ts';
import { whileKeyIsEnabled } from '../../src/cell/jobs/key-watch.ts';
import { runJob } from '../../src/cell/jobs/runner.ts';
import type { Json } from '../cell/harness.ts';
import { openWorld, type World } from './world.ts';

let world: World;
let kms: KMSClient;
beforeAll(async () => {
  world = await openWorld();
  const credentials = await world.control.account('111111111112');
  kms = new KMSClient({ endpoint: world.sandbox.url, region: 'eu-central-1', credentials });
});
afterEach(() => enable());
afterAll(async () => {
  kms.destroy();
  await world.close();
});

const key = () => ({ KeyId: world.resources.dataKeyArn });
const disable = () => kms.send(new DisableKeyCommand(key()));
const enable = () => kms.send(new EnableKeyCommand(key()));

/** A worker for whom a minute is over at once, and that says how often it has looked. */
function impatient() {
  const looks = { count: 0 };
  const clock = {
    ...world.worker.clock,
    async sleep(ms: number) {
      expect(ms).toBe(60_000);
      looks.count += 1;
    },
  };
  return { worker: { ...world.worker, clock }, looks };
}

/** Work that goes on until it is stopped, or has seen enough; then what a run does: it throws the signal's reason. */
const workUntil = (enough: () => boolean) => async (signal: AbortSignal) => {
  while (!signal.aborted && !enough()) await new Promise((resolve) => setImmediate(resolve));
  signal.throwIfAborted();
  return 'done';
};

test('with the data key disabled, backups and restores wait as blocked by the key, and go on by themselves when it is enabled', async () => {
  const who = await world.customer('222222222281');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const again = async (kind: 'backup' | 'restore', job: Json) => {
    await world.run({ kind, tenantId: tenant.tenantId, jobId: job.id });
    return (await tenant.call('GET', `/v1/${kind}-jobs/${job.id}`)).json;
  };
  await disable();
  const backup = await world.backUp(tenant, connection.id, who.instanceId);
  expect(backup).toMatchObject({ state: 'PENDING', blocked: { reason: 'key' }, problem: null });
  await enable();
  const done = await again('backup', backup);
  expect(done).toMatchObject({ state: 'COMPLETED', blocked: null });
  await disable();
  const target = { connectionId: connection.id, awsRegion: 'eu-central-1' };
  const restore = await world.restore(tenant, done.recoveryPointId, target);
  expect(restore).toMatchObject({ state: 'PENDING', blocked: { reason: 'key' }, problem: null });
  await enable();
  expect(await again('restore', restore)).toMatchObject({ state: 'COMPLETED', blocked: null });
});

test('a job whose key is disabled in the middle of it stops at the next look, with the keys that it has', async () => {
  const who = await world.customer('222222222282');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const slow = { kind: 'slow', match: { operation: 'GetSnapshotBlock' }, ms: 6_000 };
  const headers = { authorization: `Bearer ${world.sandbox.adminToken}`, 'content-type': 'application/json' };
  const faults = `${world.sandbox.url}/_sandbox/faults`;
  expect((await fetch(faults, { method: 'POST', headers, body: JSON.stringify(slow) })).ok).toBe(true);
  const keysMade = async () =>
    (await world.control.callSummary())
      .filter(({ operation, status }) => operation === 'GenerateDataKey' && status === 200)
      .reduce((sum, { count }) => sum + count, 0);
  const before = await keysMade();
  const clock = {
    ...world.worker.clock,
    async sleep(ms: number, signal?: AbortSignal) {
      if (ms !== 60_000) return world.worker.clock.sleep(ms, signal);
      while ((await keysMade()) < before + who.volumeIds.length) await world.worker.clock.sleep(20);
      await disable();
    },
  };
  const body = { connectionId: connection.id, instanceId: who.instanceId };
  const { json } = await tenant.call('POST', '/v1/backup-jobs', { body });
  await runJob({ ...world.worker, clock }, backupKind, { tenantId: tenant.tenantId, jobId: json.id });
  const job = (await tenant.call('GET', `/v1/backup-jobs/${json.id}`)).json;
  expect(job).toMatchObject({
    state: 'PENDING',
    blocked: { reason: 'key', detail: expect.stringContaining('is Disabled') },
  });
  await fetch(faults, { method: 'DELETE', headers });
});

test('work that has its keys already is stopped at the next look, within a minute, when the key is disabled', async () => {
  const { worker, looks } = impatient();
  const signal = new AbortController().signal;
  expect(
    await whileKeyIsEnabled(
      worker,
      signal,
      workUntil(() => looks.count > 3),
    ),
  ).toBe('done');
  await disable();
  const stopped = whileKeyIsEnabled(
    worker,
    signal,
    workUntil(() => false),
  );
  await expect(stopped).rejects.toMatchObject({
    code: 'key_unavailable',
    message: expect.stringContaining('Disabled'),
  });
  await enable();
});

test('a key service that cannot be reached stops nothing', async () => {
  const { worker, looks } = impatient();
  const endpoints = { ...worker.endpoints, kms: 'http://127.0.0.1:9' };
  const credentials = async () => ({ accessKeyId: 'AKIA', secretAccessKey: 'x' });
  const aws = createAwsClients({ region: worker.region, credentials, endpoints });
  const work = workUntil(() => looks.count > 3);
  expect(await whileKeyIsEnabled({ ...worker, aws }, new AbortController().signal, work)).toBe('done');
  aws.destroy();
});

test('a key that is to be deleted stops work too', async () => {
  const { worker } = impatient();
  await kms.send(new ScheduleKeyDeletionCommand(key()));
  const stopped = whileKeyIsEnabled(
    worker,
    new AbortController().signal,
    workUntil(() => false),
  );
  await expect(stopped).rejects.toMatchObject({ message: expect.stringContaining('PendingDeletion') });
  await kms.send(new CancelKeyDeletionCommand(key()));
});
