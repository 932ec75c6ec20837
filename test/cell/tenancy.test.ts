import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATIONS } from '../../src/contract/openapi.ts';
import { type Answer, type Cell, startCell, type Tenant } from './harness.ts';
import { connected, discovered, INSTANCE, pointOf } from './fixtures.ts';

let cell: Cell;
let owner: Tenant;
let stranger: Tenant;
const ids: Record<string, string> = {};
let selectionId: string;

const rules = [{ name: 'r', cron: '0 3 * * *', timeZone: 'UTC', startWindowMinutes: 60, retention: { keepLast: 3 } }];
const withId = OPERATIONS.filter((operation) => operation.path.includes('{id}'));

beforeAll(async () => {
  cell = await startCell();
  owner = await cell.newTenant('owner');
  stranger = await cell.newTenant('stranger');
  const connectionId = await connected(cell, owner, { restore: true });
  const strangers = await connected(cell, stranger, { restore: true });
  const point = await pointOf(cell, owner, connectionId);
  const make = async (path: string, body: unknown) => (await owner.call('POST', path, { body })).json.id as string;
  Object.assign(ids, {
    'api-keys': await make('/v1/api-keys', { name: 'k' }),
    connections: connectionId,
    instances: await discovered(cell, owner, connectionId),
    'backup-plans': await make('/v1/backup-plans', { name: 'p', rules }),
    'backup-jobs': await make('/v1/backup-jobs', { connectionId, instanceId: INSTANCE }),
    'recovery-points': point,
    'restore-jobs': await make('/v1/restore-jobs', {
      recoveryPointId: point,
      type: 'snapshot',
      target: { connectionId, awsRegion: 'eu-central-1' },
    }),
    'deletion-requests': (await owner.call('DELETE', `/v1/recovery-points/${point}`)).json.id,
    strangers,
  });
  selectionId = await make(`/v1/backup-plans/${ids['backup-plans']}/selections`, { connectionId });
});
afterAll(() => cell.close());

const collectionOf = (path: string) => path.split('/')[2] ?? '';

/** Bodies that would be accepted for the owner. */
function bodyFor(operationId: string): unknown {
  if (operationId === 'updateBackupPlan') return { name: 'taken over', rules };
  return operationId === 'createSelection' ? { connectionId: ids['strangers'] } : undefined;
}

function withoutIdentity({ headers, text, status }: Answer) {
  const rest = Object.fromEntries([...headers].filter(([name]) => name !== 'x-request-id' && name !== 'date'));
  return { status, headers: rest, text: text.replace(/urn:request:req_eu_\w+/, 'urn:request:…') };
}

test('there is an object behind every route with an id', () => {
  expect(withId.length).toBeGreaterThan(15);
  for (const { path } of withId) expect(ids[collectionOf(path)], path).toBeTypeOf('string');
});

test.each(withId.map((operation) => [operation.operationId, operation] as const))(
  "%s: another tenant's id, a missing one and a malformed one give the same answer, to the byte",
  async (operationId, { method, path }) => {
    const foreign = ids[collectionOf(path)] ?? '';
    const missing = `${foreign.slice(0, -26)}${'0'.repeat(26)}`;
    const ask = async (id: string) => {
      const at = path.replace('{id}', id).replace('{selectionId}', selectionId);
      const body = bodyFor(operationId);
      return withoutIdentity(await stranger.call(method.toUpperCase(), at, body === undefined ? {} : { body }));
    };
    const answer = await ask(foreign);
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.text).code).toBe('not_found');
    expect(answer.text).not.toContain(foreign);
    for (const id of [missing, 'nonsense', `${foreign}x`, 'x'.repeat(300), '%00', `${foreign}%00`, '..%2f..', "'--"])
      expect(await ask(id)).toEqual(answer);
  },
);

test("an id of another kind or cell is no id here, and a plan's selection is not another plan's", async () => {
  expect((await owner.call('GET', `/v1/connections/${ids['backup-plans']}`)).status).toBe(404);
  expect((await owner.call('GET', `/v1/connections/${ids['connections']?.replace('_eu_', '_us_')}`)).status).toBe(404);
  const plan = await owner.call('POST', '/v1/backup-plans', { body: { name: 'other', rules } });
  expect((await owner.call('DELETE', `/v1/backup-plans/${plan.json.id}/selections/${selectionId}`)).status).toBe(404);
});

test("another tenant's ids in a body are missing too", async () => {
  const jobOf = (connectionId: string | undefined) =>
    stranger.call('POST', '/v1/backup-jobs', { body: { connectionId, instanceId: INSTANCE } });
  expect(withoutIdentity(await jobOf(ids['connections']))).toEqual(withoutIdentity(await jobOf('con_eu_nope')));
  const restoreOf = (recoveryPointId: string | undefined, connectionId: string | undefined) =>
    stranger.call('POST', '/v1/restore-jobs', {
      body: { recoveryPointId, type: 'snapshot', target: { connectionId, awsRegion: 'eu-central-1' } },
    });
  const foreignPoint = withoutIdentity(await restoreOf(ids['recovery-points'], ids['strangers']));
  expect(foreignPoint).toEqual(withoutIdentity(await restoreOf('rp_eu_nope', ids['strangers'])));
  expect(foreignPoint.status).toBe(404);
  const own = await pointOf(cell, stranger, ids['strangers'] ?? '');
  const foreignTarget = withoutIdentity(await restoreOf(own, ids['connections']));
  expect(foreignTarget).toEqual(withoutIdentity(await restoreOf(own, 'con_eu_nope')));
  expect(foreignTarget.status).toBe(404);
});

test('lists and their filters show nothing of another tenant, and nothing was changed by asking', async () => {
  for (const name of [
    'instances',
    'instances/unprotected',
    'backup-plans',
    'backup-jobs',
    'restore-jobs',
    'deletion-requests',
  ])
    expect((await stranger.call('GET', `/v1/${name}`)).json.items, name).toEqual([]);
  const filtered = await stranger.call('GET', `/v1/instances?connectionId=${ids['connections']}`);
  expect(filtered.json.items).toEqual([]);
  const audit = await stranger.call('GET', `/v1/audit-events?resource=${ids['connections']}`);
  expect(audit.json.items).toEqual([]);
  expect((await owner.call('GET', `/v1/backup-plans/${ids['backup-plans']}`)).json.name).toBe('p');
  expect((await owner.call('GET', `/v1/connections/${ids['connections']}`)).json.state).toBe('CONNECTED');
  expect((await owner.call('GET', '/v1/connections')).json.items).toHaveLength(1);
});

test.each(
  OPERATIONS.filter((operation) => 'security' in operation).map(
    (operation) => [operation.operationId, operation] as const,
  ),
)('%s needs a key', async (_, { method, path }) => {
  const answer = await cell.anonymous(method.toUpperCase(), path.replace(/\{\w+\}/g, 'x'));
  expect(answer.json).toMatchObject({ status: 401, code: 'unauthorized' });
});
