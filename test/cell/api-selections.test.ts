import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { discovered, connected, INSTANCE, setConnection, VOLUMES } from './fixtures.ts';
import { type Cell, type Json, startCell, type Tenant } from './harness.ts';

let cell: Cell;
beforeAll(async () => {
  cell = await startCell();
});
afterAll(() => cell.close());

const rules = [{ name: 'nightly', cron: '0 3 * * *', timeZone: 'UTC', retention: { keepLast: 7 } }];
const tag = (key: string, value: string) => ({ tag: { key, value } });
const volume = (volumeId: string, deviceName: string, tags: Record<string, string> = {}) => ({
  volumeId,
  deviceName,
  volumeBytes: 2 ** 30,
  encrypted: true,
  kmsKeyArn: null,
  volumeType: 'gp3',
  iops: 3000,
  throughput: 125,
  tags,
});

/** A tenant with one instance of two volumes. */
async function onboarded(change: object = {}) {
  const tenant = await cell.newTenant();
  const connectionId = await connected(cell, tenant);
  const id = await discovered(cell, tenant, connectionId, {
    tags: { env: 'prod' },
    volumes: [volume(VOLUMES[0], '/dev/xvda'), volume(VOLUMES[1], '/dev/sdf', { purpose: 'scratch' })],
    configuration: { rootDeviceName: '/dev/xvda' },
    ...change,
  });
  return { tenant, connectionId, id };
}
const plan = async (tenant: Tenant, name: string, ...selections: object[]): Promise<Json> => {
  cell.clock.advance(1); // plans are in the order of their ids, which begin with the time
  return (await tenant.call('POST', '/v1/backup-plans', { body: { name, rules, selections } })).json;
};
const explain = async (tenant: Tenant, id: string) => (await tenant.call('GET', `/v1/instances/${id}/explain`)).json;
const unprotected = async (tenant: Tenant, query = ''): Promise<Json[]> =>
  (await tenant.call('GET', `/v1/instances/unprotected${query}`)).json.items;

describe('a selection', () => {
  test('is kept as it was given, expression and all', async () => {
    const { tenant, connectionId } = await onboarded();
    const match = { and: [tag('env', 'prod*'), { not: { or: [{ vpcIds: ['vpc-0123abcd'] }, tag('backup', 'no')] } }] };
    const excludeVolumes = [{ deviceName: '/dev/sd*' }, { root: true }, { tag: { key: 'purpose' } }];
    const { selections } = await plan(tenant, 'p', { match, excludeVolumes }, { connectionId, excludeVolumes });
    expect(selections).toMatchObject([
      { connectionId: null, match, tags: [], excludeVolumes },
      { connectionId, match: null, excludeVolumes },
    ]);
  });

  test('that cannot be understood is refused with everything that is wrong, in its place', async () => {
    const { tenant } = await onboarded();
    const body = {
      match: { and: [{ ...tag('', 'x'), vpcIds: [] }, { not: {} }, { nope: 1 }, { instanceIds: ['x'] }, 5] },
      excludeVolumes: [{}, { volumeId: 'x', root: false }],
    };
    const { json, status } = await tenant.call('POST', '/v1/backup-plans', {
      body: { name: 'p', rules, selections: [body, { tags: [] }] },
    });
    expect([status, json.code]).toEqual([400, 'invalid_request']);
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer.replace('/selections', ''))).toEqual([
      '/0/match/and/0/tag/key',
      '/0/match/and/0/vpcIds',
      '/0/match/and/0',
      '/0/match/and/1/not',
      '/0/match/and/2/nope',
      '/0/match/and/2',
      '/0/match/and/3/instanceIds/0',
      '/0/match/and/4',
      '/0/excludeVolumes/0',
      '/0/excludeVolumes/1/volumeId',
      '/0/excludeVolumes/1/root',
      '/0/excludeVolumes/1',
      '/1/connectionId',
    ]);
  });

  test.each([
    ['six levels', { not: { not: { not: { not: { not: tag('a', 'b') } } } } }, 'has 6 levels; 5 are allowed'],
    [
      'a hundred and one parts',
      { or: Array.from({ length: 100 }, () => tag('a', 'b')) },
      'has 101 parts; 100 are allowed',
    ],
  ])('of %s is refused', async (_name, match, detail) => {
    const { tenant } = await onboarded();
    const { json } = await tenant.call('POST', '/v1/backup-plans', {
      body: { name: 'p', rules, selections: [{ match }] },
    });
    expect(json.errors).toEqual([{ pointer: '/selections/0/match', detail }]);
  });

  test('has its tags and ids in the expression when there is one', async () => {
    const { tenant } = await onboarded();
    const both = { match: tag('a', 'b'), tags: [{ key: 'a', value: 'b' }], instanceIds: [INSTANCE] };
    const { json } = await tenant.call('POST', '/v1/backup-plans', { body: { name: 'p', rules, selections: [both] } });
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/selections/0/tags',
      '/selections/0/instanceIds',
    ]);
  });

  test("names only connections of its tenant: another's is a missing one, and all are named at once", async () => {
    const { connectionId: foreign } = await onboarded();
    const { tenant, connectionId: own } = await onboarded();
    const refusal = (id: string) =>
      tenant.call('POST', '/v1/backup-plans', {
        body: {
          name: 'p',
          rules,
          selections: [
            { match: { and: [{ connectionIds: [own, id] }, { not: { connectionIds: [id] } }] } },
            { connectionId: id },
          ],
        },
      });
    const { json } = await refusal(foreign);
    expect(json).toMatchObject({ status: 404, code: 'not_found' });
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/selections/0/match/and/0/connectionIds/1',
      '/selections/0/match/and/1/not/connectionIds/0',
      '/selections/1/connectionId',
    ]);
    for (const missing of [`${foreign.slice(0, -26)}${'0'.repeat(26)}`, 'nonsense'])
      expect({ ...(await refusal(missing)).json, instance: '' }).toEqual({ ...json, instance: '' });
  });
});

test('a lock is refused where an expression may reach a connection that cannot keep it', async () => {
  const { tenant } = await onboarded();
  const lock = { mode: 'governance', days: 1 };
  const locked = [{ ...rules[0], retention: { deleteAfterDays: 7, lock } }];
  const selections = [{ match: tag('env', 'prod') }];
  const { json } = await tenant.call('POST', '/v1/backup-plans', { body: { name: 'p', rules: locked, selections } });
  expect(json).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/rules/0/retention/lock/mode' }] });
});

describe('explain', () => {
  test('says for each plan which part of which selection decided, what is left out, and when it runs next', async () => {
    const { tenant, connectionId, id } = await onboarded();
    const match = { and: [tag('env', 'prod'), { awsRegions: ['eu-central-1'] }] };
    const chosen = await plan(tenant, 'Nightly', { match, excludeVolumes: [tag('purpose', 'scratch')] });
    await plan(tenant, 'Tests', { connectionId, tags: [{ key: 'env', value: 'test' }] });
    const explanation = await explain(tenant, id);
    const selectionId = chosen.selections[0].id;
    expect(explanation).toMatchObject({ id, instanceId: INSTANCE, protected: true, obstacles: [] });
    expect(explanation.why).toBe(`Nightly: selected by ${selectionId}: tag env is "prod"; region is eu-central-1`);
    expect(explanation.plans[0]).toMatchObject({
      planId: chosen.id,
      selected: true,
      rules: [{ ruleId: chosen.rules[0].id, nextRunAt: chosen.rules[0].nextRunAt }],
      selections: [
        {
          selectionId,
          outcome: 'selected',
          because: [
            { pointer: '/match/and/0', detail: 'tag env is "prod"' },
            { pointer: '/match/and/1', detail: 'region is eu-central-1' },
          ],
        },
      ],
      includedVolumeIds: [VOLUMES[0]],
      excludedVolumes: [
        { volumeId: VOLUMES[1], selectionId, pointer: '/excludeVolumes/0', detail: 'tag purpose is "scratch"' },
      ],
    });
    expect(explanation.plans[1]).toMatchObject({
      selected: false,
      rules: [{ nextRunAt: null }],
      selections: [
        { outcome: 'not_selected', because: [{ pointer: '/tags/0', detail: 'tag env is "prod", wanted "test"' }] },
      ],
      includedVolumeIds: [],
    });
  });

  test.each([
    ['terminated', 'instance_terminated', 'is terminated'],
    ['gone', 'instance_not_found', "no longer lists it within the connection's limits (tag domicile:backup=true)"],
  ])('says that nothing can happen to an instance that is %s', async (state, code, words) => {
    const { tenant, connectionId, id } = await onboarded({ state });
    await plan(tenant, 'p', { connectionId });
    const explanation = await explain(tenant, id);
    expect(explanation).toMatchObject({ protected: false, obstacles: [{ code }] });
    expect(explanation.why).toContain(words.replace('it', INSTANCE));
    expect(explanation.plans[0]).toMatchObject({ selected: true, rules: [{ nextRunAt: null }] });
    expect(await unprotected(tenant)).toEqual([]); // there is nothing to protect
  });

  test('says that the connection cannot be used, and why', async () => {
    const { tenant, connectionId, id } = await onboarded();
    await plan(tenant, 'p', { connectionId });
    await setConnection(cell, tenant, connectionId, { state: 'DISCONNECTED', stateDetail: 'The role is gone.' });
    const explanation = await explain(tenant, id);
    expect(explanation).toMatchObject({ protected: false, obstacles: [{ code: 'connection_not_usable' }] });
    expect(explanation.why).toBe(`connection ${connectionId} is DISCONNECTED: The role is gone.`);
    expect(await unprotected(tenant)).toMatchObject([{ id, why: explanation.why }]);
  });
});

describe('the unprotected', () => {
  test('are the instances that no plan selects that is not paused, each with why not in one line', async () => {
    const { tenant, connectionId, id } = await onboarded();
    expect(await unprotected(tenant)).toMatchObject([{ id, instanceId: INSTANCE, why: 'there is no backup plan' }]);
    const tests = await plan(tenant, 'Tests', { match: tag('env', 'test') });
    expect((await unprotected(tenant))[0].why).toBe(
      `Tests: ${tests.selections[0].id}: tag env is "prod", wanted "test"`,
    );
    const all = await plan(tenant, 'All', { connectionId });
    expect(await unprotected(tenant)).toEqual([]);
    const pause = { name: 'All', rules, paused: true };
    await tenant.call('PUT', `/v1/backup-plans/${all.id}`, { body: pause });
    expect((await unprotected(tenant))[0].why).toBe('All selects it, but is paused');
  });

  test('are read page by page, whatever lies between them', async () => {
    const { tenant, connectionId } = await onboarded();
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      const env = n % 2 === 0 ? 'test' : 'prod';
      ids.push(await discovered(cell, tenant, connectionId, { instanceId: `i-0000000${n}`, tags: { env } }));
    }
    await plan(tenant, 'p', { match: tag('env', 'prod') });
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { json } = await tenant.call('GET', `/v1/instances/unprotected?limit=2${cursor}`);
      seen.push(...json.items.map((item: Json) => item.id));
      if (json.nextCursor === null) break;
      cursor = `&cursor=${json.nextCursor}`;
    }
    expect(seen).toHaveLength(3);
    expect(new Set(seen)).toEqual(new Set([ids[0], ids[2], ids[4]]));
    expect(await unprotected(tenant, '?awsRegion=eu-west-1')).toEqual([]);
    const moved = await tenant.call('GET', '/v1/instances?instanceId=i-00000003');
    expect(moved.json.items.map((item: Json) => item.id)).toEqual([ids[3]]);
  });
});
