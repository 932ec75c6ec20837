import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATIONS } from '../../src/contract/openapi.ts';
import { type Call, type Cell, startCell, type Tenant } from './harness.ts';
import { connected, connectionBody, discovered, INSTANCE, pointOf } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

type Event = { action: string; resource: string; actor: { type: string; id: string }; requestId: string };
const events = async (): Promise<Event[]> => (await tenant.call('GET', '/v1/audit-events?limit=1000')).json.items;

const rules = [{ name: 'r', cron: '0 3 * * *', timeZone: 'UTC', startWindowMinutes: 60, retention: { keepLast: 3 } }];

test('every change has exactly one event, in its own name, and a refused change has none', async () => {
  const keys = await tenant.call('GET', '/v1/api-keys');
  const actor = { type: 'api_key', id: keys.json.items[0].id };
  const done = new Set<string>();
  const change = async (operationId: string, method: string, path: string, call: Call = {}) => {
    const before = await events();
    const answer = await tenant.call(method, path, call);
    expect(answer.status, `${operationId}: ${answer.text}`).toBeLessThan(300);
    const known = new Set(before.map((event) => JSON.stringify(event)));
    const fresh = (await events()).filter((event) => !known.has(JSON.stringify(event)));
    expect(fresh, operationId).toHaveLength(1);
    expect(fresh[0]).toMatchObject({ actor, requestId: answer.headers.get('x-request-id') });
    done.add(operationId);
    return answer.json;
  };
  const key = await change('createApiKey', 'POST', '/v1/api-keys', { body: { name: 'ci' } });
  const publicKey = generateKeyPairSync('rsa', { modulusLength: 3_072 }).publicKey.export({
    type: 'spki',
    format: 'pem',
  });
  await change('setRecoveryKey', 'PUT', '/v1/tenant/recovery-key', { body: { publicKey } });
  await change('removeRecoveryKey', 'DELETE', '/v1/tenant/recovery-key');
  await change('revokeApiKey', 'DELETE', `/v1/api-keys/${key.id}`);
  const gone = await change('createConnection', 'POST', '/v1/connections', { body: connectionBody() });
  await change('verifyConnection', 'POST', `/v1/connections/${gone.id}/verify`);
  await change('deleteConnection', 'DELETE', `/v1/connections/${gone.id}`);
  const connectionId = await connected(cell, tenant, { restore: true });
  await discovered(cell, tenant, connectionId);
  const plan = await change('createBackupPlan', 'POST', '/v1/backup-plans', {
    body: { name: 'p', rules, selections: [{ connectionId }, { connectionId }] },
  });
  await change('updateBackupPlan', 'PUT', `/v1/backup-plans/${plan.id}`, { body: { name: 'q', rules } });
  const selections = `/v1/backup-plans/${plan.id}/selections`;
  const selection = await change('createSelection', 'POST', selections, { body: { connectionId } });
  await change('deleteSelection', 'DELETE', `${selections}/${selection.id}`);
  await change('deleteBackupPlan', 'DELETE', `/v1/backup-plans/${plan.id}`);
  const backup = { connectionId, instanceId: INSTANCE };
  const backupJob = await change('createBackupJob', 'POST', '/v1/backup-jobs', { body: backup });
  await change('abortBackupJob', 'POST', `/v1/backup-jobs/${backupJob.id}/abort`);
  const recoveryPointId = await pointOf(cell, tenant, connectionId);
  const target = { connectionId, awsRegion: 'eu-central-1' };
  const restoreJob = await change('createRestoreJob', 'POST', '/v1/restore-jobs', {
    body: { recoveryPointId, type: 'snapshot', target },
  });
  await change('abortRestoreJob', 'POST', `/v1/restore-jobs/${restoreJob.id}/abort`);
  const deletion = await change('deleteRecoveryPoint', 'DELETE', `/v1/recovery-points/${recoveryPointId}`);
  await change('cancelDeletionRequest', 'POST', `/v1/deletion-requests/${deletion.id}/cancel`);

  const before = (await events()).length;
  for (const [method, path, body] of [
    ['POST', '/v1/connections', connectionBody({ awsRegions: ['us-east-1'] })],
    ['POST', '/v1/backup-jobs', { connectionId, instanceId: 'i-0fff0fff0fff0fff0' }],
    ['DELETE', `/v1/connections/${gone.id}`, undefined],
    ['POST', `/v1/backup-jobs/${backupJob.id}/abort`, undefined], // it has ended: nothing changes
  ] as const)
    await tenant.call(method, path, body === undefined ? {} : { body });
  expect(await events()).toHaveLength(before);

  const operators = ['createTenant', 'rotateCertificate']; // not in this tenant's power: see the tests beside
  const changing = OPERATIONS.filter(({ method }) => (method as string) !== 'get').map(
    ({ operationId }) => operationId,
  );
  expect([...done, ...operators].toSorted()).toEqual(changing.toSorted());
});

test("a tenant's log begins with its own making, by the operator", async () => {
  const fresh = await cell.newTenant();
  const { json } = await fresh.call('GET', '/v1/audit-events');
  expect(json.items).toMatchObject([
    { action: 'tenant.create', resource: fresh.tenantId, actor: { type: 'operator', id: expect.any(String) } },
  ]);
});

test('the log holds no secret and no name', async () => {
  const named = await cell.newTenant('A very recognisable name');
  await named.call('POST', '/v1/api-keys', { body: { name: 'Another recognisable name' } });
  const { text } = await named.call('GET', '/v1/audit-events');
  expect(text).not.toMatch(/recognisable|dk_eu_/);
});
