import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cell, startCell, type Tenant } from './harness.ts';
import { connected, connectionBody, discovered, INSTANCE, KEY } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const audited = async (of: Tenant, action: string) =>
  (await of.call('GET', `/v1/audit-events?action=${action}`)).json.items;

test('a connection comes with an External ID of ours and everything that the role needs', async () => {
  const body = connectionBody({ restore: true, kmsKeyArns: [KEY('eu-central-1')] });
  const { status, json } = await tenant.call('POST', '/v1/connections', { body });
  expect(status).toBe(201);
  expect(json.state).toBe('PENDING');
  expect(json.externalId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(json.roleArn).toBe(`arn:aws:iam::222222222222:role/${json.roleName}`);
  expect(JSON.stringify(json.trustPolicy)).toContain(json.externalId);
  expect(JSON.stringify(json.backupPolicy)).toContain('ec2:CreateSnapshots');
  expect(JSON.stringify(json.restorePolicy)).toContain('ebs:StartSnapshot');
  expect(json.quickCreateUrl).toContain(encodeURIComponent(json.templateUrl));
  const again = await tenant.call('GET', `/v1/connections/${json.id}`);
  expect(again.json).toEqual(json);
  const other = await tenant.call('POST', '/v1/connections', { body });
  expect(other.json.externalId).not.toBe(json.externalId);
  expect(await audited(tenant, 'connection.create')).toHaveLength(2);
});

test('without restore no restore policy is asked for', async () => {
  const { json } = await tenant.call('POST', '/v1/connections', { body: connectionBody() });
  expect(json.restore).toBe(false);
  expect(json).not.toHaveProperty('restorePolicy');
});

test('where recovery points lie is an explicit choice', async () => {
  const { storage: _, ...without } = connectionBody();
  const { status, json } = await tenant.call('POST', '/v1/connections', { body: without });
  expect([status, json.errors[0].pointer]).toEqual([400, '/storage']);
  const account = await tenant.call('POST', '/v1/connections', {
    body: connectionBody({ storage: 'account', restore: true }),
  });
  expect(account.status).toBe(201);
  expect(JSON.stringify([account.json.backupPolicy, account.json.restorePolicy])).not.toMatch(/"ebs:[A-Z]/);
});

test('restoring in place and cleaning up need restore', async () => {
  const body = connectionBody({ restoreInPlace: true, cleanUp: true });
  const { status, json } = await tenant.call('POST', '/v1/connections', { body });
  expect(status).toBe(400);
  expect(json.errors.map((error: { pointer: string }) => error.pointer)).toEqual(['/restoreInPlace', '/cleanUp']);
  const { json: whole } = await tenant.call('POST', '/v1/connections', { body: { ...body, restore: true } });
  expect(whole.cleanUpRoleName).toBe(`${whole.roleName}-cleanup`);
  expect(JSON.stringify(whole.cleanUpPolicy)).toContain('ec2:TerminateInstances');
});

test('policies that IAM would not take are refused before a role is made', async () => {
  const kmsKeyArns = Array.from({ length: 64 }, (_, n) => `${KEY('eu-central-1').slice(0, -3)}${100 + n}`);
  const { status, json } = await tenant.call('POST', '/v1/connections', {
    body: connectionBody({ restore: true, kmsKeyArns }),
  });
  expect(status).toBe(400);
  expect(json).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/kmsKeyArns' }] });
});

test('an External ID from a client is refused', async () => {
  const body = connectionBody({ externalId: '3f0f7a3e-3c0b-4a53-9d31-2f4a8a9e1c11' });
  const { status, json } = await tenant.call('POST', '/v1/connections', { body });
  expect(status).toBe(400);
  expect(json.errors).toEqual([{ pointer: '/externalId', detail: 'unknown field' }]);
});

test('every region outside the jurisdiction is named, and nothing is written or enqueued', async () => {
  const fresh = await cell.newTenant();
  const body = connectionBody({ awsRegions: ['eu-central-1', 'eu-west-2', 'us-east-1', 'eu-central-2'] });
  const before = cell.enqueued.length;
  const { status, json } = await fresh.call('POST', '/v1/connections', { body });
  expect(status).toBe(422);
  expect(json.code).toBe('residency_violation');
  expect(json.errors.map((error: { pointer: string }) => error.pointer)).toEqual([
    '/awsRegions/1',
    '/awsRegions/2',
    '/awsRegions/3',
  ]);
  expect(json.facts.awsRegions).toEqual(['eu-west-2', 'us-east-1', 'eu-central-2']);
  expect((await fresh.call('GET', '/v1/connections')).json.items).toEqual([]);
  expect(await audited(fresh, 'connection.create')).toEqual([]);
  expect(cell.enqueued).toHaveLength(before);
});

test('a KMS key outside the jurisdiction or the regions of the connection is refused', async () => {
  const outside = connectionBody({ kmsKeyArns: [KEY('us-east-1')] });
  expect((await tenant.call('POST', '/v1/connections', { body: outside })).json.code).toBe('residency_violation');
  const elsewhere = connectionBody({ kmsKeyArns: [KEY('eu-west-1')] });
  const { json } = await tenant.call('POST', '/v1/connections', { body: elsewhere });
  expect(json).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/kmsKeyArns/0' }] });
});

test('verifying only queues work for the tier that may call AWS', async () => {
  const { json } = await tenant.call('POST', '/v1/connections', { body: connectionBody() });
  const { status } = await tenant.call('POST', `/v1/connections/${json.id}/verify`);
  expect(status).toBe(202);
  expect(cell.enqueued.at(-1)).toEqual({ kind: 'verify', tenantId: tenant.tenantId, connectionId: json.id });
});

test('a disconnected connection is gone, with its selections, inventory and open jobs', async () => {
  const mine = await cell.newTenant();
  const id = await connected(cell, mine);
  const instance = await discovered(cell, mine, id);
  expect((await mine.call('GET', `/v1/instances/${instance}`)).json).toMatchObject({ instanceId: INSTANCE });
  const rules = [{ name: 'r', cron: '0 3 * * *', timeZone: 'UTC', retention: { keepLast: 3 } }];
  const plan = await mine.call('POST', '/v1/backup-plans', {
    body: { name: 'p', rules, selections: [{ connectionId: id }] },
  });
  const job = await mine.call('POST', '/v1/backup-jobs', { body: { connectionId: id, instanceId: INSTANCE } });
  expect(job.status).toBe(202);
  expect((await mine.call('DELETE', `/v1/connections/${id}`)).status).toBe(204);
  expect((await mine.call('GET', `/v1/connections/${id}`)).status).toBe(404);
  expect((await mine.call('GET', '/v1/connections')).json.items).toEqual([]);
  expect((await mine.call('GET', '/v1/instances')).json.items).toEqual([]);
  expect((await mine.call('GET', `/v1/backup-plans/${plan.json.id}`)).json.selections).toEqual([]);
  expect((await mine.call('GET', `/v1/backup-jobs/${job.json.id}`)).json.state).toBe('ABORTED');
  expect((await mine.call('DELETE', `/v1/connections/${id}`)).status).toBe(404);
  expect(await audited(mine, 'connection.delete')).toHaveLength(1);
});

test("an instance's view holds nothing that only restores need", async () => {
  const mine = await cell.newTenant();
  const id = await connected(cell, mine);
  await discovered(cell, mine, id);
  const all = await mine.call('GET', '/v1/instances?awsRegion=eu-central-1');
  expect(all.json.items).toHaveLength(1);
  expect(all.text).not.toContain('not for the API');
  expect((await mine.call('GET', '/v1/instances?awsRegion=eu-west-1')).json.items).toEqual([]);
});
