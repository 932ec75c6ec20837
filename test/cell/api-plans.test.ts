import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cell, startCell, type Tenant } from './harness.ts';
import { connected } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
});
afterAll(() => cell.close());

const rule = (change: Record<string, unknown> = {}) => ({
  name: 'nightly',
  cron: '0 3 * * *',
  timeZone: 'Europe/Berlin',
  retention: { keepLast: 7 },
  ...change,
});
const create = (body: unknown, as = tenant) => as.call('POST', '/v1/backup-plans', { body });

test('a plan says when each of its rules runs next', async () => {
  const { status, json } = await create({
    name: 'Nightly',
    rules: [rule(), rule({ cron: '30 12 * * *', timeZone: 'UTC' })],
  });
  expect(status).toBe(201);
  expect(json.rules.map((one: { nextRunAt: string }) => one.nextRunAt)).toEqual([
    '2026-11-24T02:00:00.000Z', // 03:00 in Berlin, in winter
    '2026-11-23T12:30:00.000Z',
  ]);
  expect(json.rules[0].startWindowMinutes).toBe(60);
  expect((await tenant.call('GET', `/v1/backup-plans/${json.id}`)).json).toEqual(json);
});

test.each([
  ['schedule_never_fires', 422, [rule({ cron: '0 0 30 2 *' })], ['/rules/0/cron']],
  ['unknown_time_zone', 422, [rule(), rule({ timeZone: 'Mars/Olympus' })], ['/rules/1/timeZone']],
  ['invalid_request', 400, [rule({ cron: 'every day' })], ['/rules/0/cron']],
  ['invalid_request', 400, [rule({ cron: '0 0 3 * * *' })], ['/rules/0/cron']],
  [
    'invalid_request',
    400,
    [rule({ cron: '0 0 31 2 *' }), rule({ timeZone: 'X/Y', cron: '61 * * * *' })],
    ['/rules/0/cron', '/rules/1/timeZone', '/rules/1/cron'],
  ],
])('a plan that cannot run is refused with %s (%i), all violations at once', async (code, status, rules, pointers) => {
  const before = (await tenant.call('GET', '/v1/backup-plans')).json.items.length;
  const { json, status: actual } = await create({ name: 'x', rules });
  expect([actual, json.code]).toEqual([status, code]);
  expect(json.errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  expect((await tenant.call('GET', '/v1/backup-plans')).json.items).toHaveLength(before);
});

test('retention needs at least one rule', async () => {
  const { json } = await create({ name: 'x', rules: [rule({ retention: {} })] });
  expect(json.errors).toEqual([{ pointer: '/rules/0/retention', detail: 'needs keepLast, deleteAfterDays or both' }]);
});

test('an update keeps the rules that it names, and refuses ids of other plans', async () => {
  const { json: plan } = await create({ name: 'a', rules: [rule(), rule({ name: 'second' })] });
  const { json: other } = await create({ name: 'b', rules: [rule()] });
  const [first] = plan.rules;
  const put = (body: unknown) => tenant.call('PUT', `/v1/backup-plans/${plan.id}`, { body });
  cell.clock.advance(1000);
  const { status, json } = await put({
    name: 'renamed',
    rules: [rule({ name: 'new' }), rule({ id: first.id, name: 'kept' })],
  });
  expect(status).toBe(200);
  expect(json.rules.map((one: { name: string }) => one.name)).toEqual(['new', 'kept']);
  expect(json.rules[1].id).toBe(first.id);
  expect(json.rules[1].nextRunAt).toBe(first.nextRunAt);
  expect(json.updatedAt).toBe(cell.clock.now().toISOString());
  const stolen = await put({ name: 'x', rules: [rule({ id: other.rules[0].id })] });
  expect(stolen.json).toMatchObject({ status: 400, errors: [{ pointer: '/rules/0/id' }] });
  const twice = await put({ name: 'x', rules: [rule({ id: first.id }), rule({ id: first.id })] });
  expect(twice.json.errors).toEqual([{ pointer: '/rules/1/id', detail: 'is repeated' }]);
  const events = await tenant.call('GET', `/v1/audit-events?resource=${plan.id}&action=backup_plan.update`);
  expect(events.json.items).toHaveLength(1);
});

test('a paused plan waits for no slot, and does not catch up when it goes on', async () => {
  const { json: plan } = await create({ name: 'a', rules: [rule({ cron: '* * * * *' })] });
  const put = (paused: boolean) =>
    tenant.call('PUT', `/v1/backup-plans/${plan.id}`, {
      body: { name: 'a', paused, rules: [rule({ cron: '* * * * *', id: plan.rules[0].id })] },
    });
  expect((await put(true)).json.rules[0].nextRunAt).toBeNull();
  cell.clock.advance(3_600_000);
  const resumed = (await put(false)).json.rules[0].nextRunAt;
  expect(new Date(resumed).getTime()).toBeGreaterThan(cell.clock.now().getTime());
});

test("selections name the tenant's own connections, and come and go", async () => {
  const connectionId = await connected(cell, tenant);
  const { json: plan } = await create({ name: 'a', rules: [rule()], selections: [{ connectionId }] });
  expect(plan.selections).toMatchObject([{ connectionId, tags: [], instanceIds: [] }]);
  const path = `/v1/backup-plans/${plan.id}/selections`;
  const added = await tenant.call('POST', path, { body: { connectionId, tags: [{ key: 'env', value: 'prod' }] } });
  expect(added.status).toBe(201);
  expect((await tenant.call('GET', path)).json.items).toHaveLength(2);
  expect((await tenant.call('DELETE', `${path}/${added.json.id}`)).status).toBe(204);
  expect((await tenant.call('DELETE', `${path}/${added.json.id}`)).status).toBe(404);
  expect((await tenant.call('GET', path)).json.items).toHaveLength(1);

  const stranger = await cell.newTenant();
  const foreign = await create({ name: 'f', rules: [rule()], selections: [{ connectionId }] }, stranger);
  const missing = await create({ name: 'f', rules: [rule()], selections: [{ connectionId: 'con_eu_nope' }] }, stranger);
  expect(foreign.status).toBe(404);
  expect({ ...foreign.json, instance: '' }).toEqual({ ...missing.json, instance: '' });
  expect((await stranger.call('GET', '/v1/backup-plans')).json.items).toEqual([]);
});

test('a deleted plan is gone with its rules and selections', async () => {
  const { json: plan } = await create({ name: 'a', rules: [rule()] });
  expect((await tenant.call('DELETE', `/v1/backup-plans/${plan.id}`)).status).toBe(204);
  expect((await tenant.call('GET', `/v1/backup-plans/${plan.id}`)).status).toBe(404);
});
