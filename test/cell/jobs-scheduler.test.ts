import { and, eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { regionOf } from '../../regions/index.ts';
import { createAwsClients } from '../../src/aws/clients.ts';
import { claimJob, withClaim, writeJob } from '../../src/cell/jobs/claim.ts';
import { startDueRules } from '../../src/cell/jobs/scheduler.ts';
import type { Worker } from '../../src/cell/jobs/worker.ts';
import { backupJobs } from '../../src/cell/db/schema/jobs.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import { silentLogger } from '../../src/core/log.ts';
import { connected, discovered, INSTANCE } from './fixtures.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';

const MINUTE_MS = 60_000;

let cell: Cell;
let worker: Worker;
beforeAll(async () => {
  cell = await startCell();
  const region = regionOf('eu');
  if (!region) throw new Error('no eu');
  worker = {
    region,
    db: cell.database.worker,
    clock: cell.clock,
    log: silentLogger,
    enqueue: async (_tx, job) => void cell.enqueued.push(job),
    aws: createAwsClients({ region, credentials: { accessKeyId: 'x', secretAccessKey: 'x' }, endpoints: {} }),
    endpoints: {},
    vault: { bucket: 'b', bucketOwner: '111111111111', dataKeyArn: 'arn:aws:kms:eu-central-1:111111111111:key/x' },
    lanes: null,
  };
});
afterAll(() => cell.close());

/** A tenant with one instance and a plan that is due every ten minutes. */
async function planned(change: object = {}): Promise<{ tenant: Tenant; connectionId: string; planId: string }> {
  const tenant = await cell.newTenant();
  const connectionId = await connected(cell, tenant);
  await discovered(cell, tenant, connectionId);
  const rule = {
    name: 'often',
    cron: '*/10 * * * *',
    timeZone: 'UTC',
    startWindowMinutes: 30,
    retention: { keepLast: 3 },
  };
  const { json } = await tenant.call('POST', '/v1/backup-plans', {
    body: { name: 'plan', rules: [rule], selections: [{ connectionId }], ...change },
  });
  return { tenant, connectionId, planId: json.id };
}

const jobsOf = async (tenant: Tenant) => (await tenant.call('GET', '/v1/backup-jobs')).json.items;
const due = (tenant: Tenant) => startDueRules(worker, tenant.tenantId);

test('a due slot gives one job for each instance, and none before it is due', async () => {
  const { tenant, planId } = await planned();
  expect(await due(tenant)).toBe(0);
  cell.clock.advance(10 * MINUTE_MS);
  expect(await due(tenant)).toBe(1);
  expect(await due(tenant)).toBe(0);
  const [job] = await jobsOf(tenant);
  expect(job).toMatchObject({ state: 'CREATED', planId });
  expect(cell.enqueued.at(-1)).toEqual({ kind: 'backup', tenantId: tenant.tenantId, jobId: job.id });
});

test('two schedulers at once make one job', async () => {
  const { tenant } = await planned();
  cell.clock.advance(10 * MINUTE_MS);
  await Promise.all([due(tenant), due(tenant), due(tenant)]);
  expect(await jobsOf(tenant)).toHaveLength(1);
});

test('slots that were missed are made up for once', async () => {
  const { tenant, planId } = await planned();
  cell.clock.advance(6 * 60 * MINUTE_MS);
  expect(await due(tenant)).toBe(1);
  expect(await due(tenant)).toBe(0);
  const { json } = await tenant.call('GET', `/v1/backup-plans/${planId}`);
  const wait = Date.parse(json.rules[0].nextRunAt) - cell.clock.now().getTime();
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThanOrEqual(10 * MINUTE_MS);
});

test('an instance whose last job of the rule is still open is not started again', async () => {
  const { tenant } = await planned();
  cell.clock.advance(10 * MINUTE_MS);
  await due(tenant);
  cell.clock.advance(10 * MINUTE_MS);
  expect(await due(tenant)).toBe(0);
  expect(await jobsOf(tenant)).toHaveLength(1);
});

test('a paused plan starts nothing', async () => {
  const { tenant, planId } = await planned();
  const { json } = await tenant.call('GET', `/v1/backup-plans/${planId}`);
  const [{ nextRunAt: _next, ...rule }] = json.rules;
  await tenant.call('PUT', `/v1/backup-plans/${planId}`, { body: { name: 'plan', rules: [rule], paused: true } });
  cell.clock.advance(10 * MINUTE_MS);
  expect(await due(tenant)).toBe(0);
});

/** A job of its own, ready to be claimed. */
async function waiting(): Promise<{ tenant: Tenant; ref: { table: 'backup'; tenantId: string; jobId: string } }> {
  const { tenant } = await planned();
  cell.clock.advance(10 * MINUTE_MS);
  await due(tenant);
  const [job] = await jobsOf(tenant);
  return { tenant, ref: { table: 'backup', tenantId: tenant.tenantId, jobId: job.id } };
}

async function claimed(ref: Awaited<ReturnType<typeof waiting>>['ref']) {
  const result = await claimJob(worker.db, ref, cell.clock.now());
  if (result.kind !== 'claimed') throw new Error(result.kind);
  return result.claim;
}

test("a worker that was given up for dead changes nothing: its claim's number is old", async () => {
  const { tenant, ref } = await waiting();
  const old = await claimed(ref);
  const current = await claimed(ref);
  expect(current.fence).toBe(old.fence + 1);
  const finish = (claim: typeof old) =>
    withClaim(worker.db, claim, (tx) =>
      writeJob(tx, claim, { state: 'COMPLETED', completedAt: cell.clock.now() }, cell.clock.now()),
    );
  await expect(finish(old)).rejects.toMatchObject({ code: 'stale_claim' });
  expect((await jobsOf(tenant))[0].state).toBe('RUNNING');
  await finish(current);
  expect((await jobsOf(tenant))[0].state).toBe('COMPLETED');
  expect((await claimJob(worker.db, ref, cell.clock.now())).kind).toBe('over');
});

test('a job that missed its start window is EXPIRED, one that has started is not', async () => {
  const { tenant, ref } = await waiting();
  cell.clock.advance(31 * MINUTE_MS);
  expect((await claimJob(worker.db, ref, cell.clock.now())).kind).toBe('over');
  expect((await jobsOf(tenant))[0]).toMatchObject({ state: 'EXPIRED', problem: { title: 'Not started in time' } });
  const other = await waiting();
  await claimed(other.ref);
  cell.clock.advance(31 * MINUTE_MS);
  expect((await claimJob(worker.db, other.ref, cell.clock.now())).kind).toBe('claimed');
});

test('a second backup of an instance waits while one runs', async () => {
  const { tenant, ref } = await waiting();
  await claimed(ref);
  const [first] = await jobsOf(tenant);
  const { json } = await tenant.call('POST', '/v1/backup-jobs', {
    body: { connectionId: first.connectionId, instanceId: first.instanceId },
  });
  const second = { ...ref, jobId: json.id as string };
  expect((await claimJob(worker.db, second, cell.clock.now())).kind).toBe('busy');
  await inTenant(worker.db, ref.tenantId, (tx) =>
    tx
      .update(backupJobs)
      .set({ state: 'COMPLETED' })
      .where(and(eq(backupJobs.tenantId, ref.tenantId), eq(backupJobs.id, ref.jobId))),
  );
  expect((await claimJob(worker.db, second, cell.clock.now())).kind).toBe('claimed');
});

test('a running job learns that it is to end at its next effect', async () => {
  const { tenant, ref } = await waiting();
  const claim = await claimed(ref);
  await tenant.call('POST', `/v1/backup-jobs/${ref.jobId}/abort`);
  await expect(withClaim(worker.db, claim, async () => {})).rejects.toMatchObject({ code: 'aborted' });
});

test('what a slot starts, and what is listed as unprotected, are the two halves of the inventory', async () => {
  const tags = [{ env: 'prod' }, { env: 'prod', skip: 'yes' }, { env: 'test' }, {}];
  const envIs = (value: string) => ({ tag: { key: 'env', value } });
  const selections: object[][] = [
    [{ match: envIs('prod') }],
    [{ match: { not: envIs('*') } }],
    [{ match: { and: [{ or: [envIs('p*'), envIs('test')] }, { not: { tag: { key: 'skip' } } }] } }],
    [{ match: envIs('*'), excludeInstanceIds: ['i-00000000'] }],
    [{ match: envIs('*'), excludeVolumes: [{ deviceName: '/dev/sd?' }, { root: true }] }],
    [],
  ];
  for (const chosen of selections) {
    const { tenant, connectionId } = await planned({ selections: chosen });
    for (const [n, own] of tags.entries())
      await discovered(cell, tenant, connectionId, { instanceId: `i-0000000${n}`, tags: own });
    const { json } = await tenant.call('GET', '/v1/instances/unprotected');
    cell.clock.advance(10 * MINUTE_MS);
    await due(tenant);
    const started = (await jobsOf(tenant)).map((job: { instanceId: string }) => job.instanceId);
    const open = json.items.map((item: { instanceId: string }) => item.instanceId);
    expect(started.length + open.length).toBe(1 + tags.length);
    expect(new Set([...started, ...open])).toEqual(new Set([INSTANCE, ...tags.map((_, n) => `i-0000000${n}`)]));
  }
});

test('a job carries what its plan leaves out as rules, for the worker to apply', async () => {
  const { tenant, connectionId } = await planned();
  const { json } = await tenant.call('POST', '/v1/backup-plans', {
    body: {
      name: 'p',
      rules: [{ name: 'r', cron: '*/10 * * * *', timeZone: 'UTC', retention: { keepLast: 1 } }],
      selections: [{ connectionId, excludeVolumeIds: ['vol-0aaaaaaaaaaaaaaa1'], excludeVolumes: [{ root: true }] }],
    },
  });
  cell.clock.advance(10 * MINUTE_MS);
  await due(tenant);
  const ofPlan = and(eq(backupJobs.tenantId, tenant.tenantId), eq(backupJobs.planId, json.id));
  const [job] = await inTenant(worker.db, tenant.tenantId, (tx) => tx.select().from(backupJobs).where(ofPlan));
  const selectionId = json.selections[0].id;
  expect(job?.exclusions).toEqual([
    { selectionId, pointer: '/excludeVolumeIds/0', rule: { volumeId: 'vol-0aaaaaaaaaaaaaaa1' } },
    { selectionId, pointer: '/excludeVolumes/0', rule: { root: true } },
  ]);
  expect(job?.excludedVolumes).toBeNull();
});
