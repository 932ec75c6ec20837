import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cell, startCell, type Tenant } from './harness.ts';
import { connected, discovered, INSTANCE, KEY, pointOf, setConnection, VOLUMES, work } from './fixtures.ts';

let cell: Cell;
let tenant: Tenant;
let connectionId: string;
beforeAll(async () => {
  cell = await startCell();
  tenant = await cell.newTenant();
  connectionId = await connected(cell, tenant, { restore: true, awsRegions: ['eu-central-1', 'eu-west-1'] });
  await discovered(cell, tenant, connectionId);
});
afterAll(() => cell.close());

const backup = (body: Record<string, unknown> = {}) =>
  tenant.call('POST', '/v1/backup-jobs', { body: { connectionId, instanceId: INSTANCE, ...body } });
const restore = (recoveryPointId: string, target: Record<string, unknown> = {}, rest: Record<string, unknown> = {}) =>
  tenant.call('POST', '/v1/restore-jobs', {
    body: { recoveryPointId, type: 'volume', target: { connectionId, awsRegion: 'eu-central-1', ...target }, ...rest },
  });
const auditedOf = async (resource: string) =>
  (await tenant.call('GET', `/v1/audit-events?resource=${resource}`)).json.items
    .map((item: { action: string }) => item.action)
    .toSorted(); // of one millisecond: the clock of these tests stands still

test('a backup on demand is a job that is queued and audited with it', async () => {
  const { status, json } = await backup({ retention: { deleteAfterDays: 3 } });
  expect(status).toBe(202);
  expect(json).toMatchObject({ state: 'CREATED', connectionId, instanceId: INSTANCE, awsRegion: 'eu-central-1' });
  expect(cell.enqueued.at(-1)).toEqual({ kind: 'backup', tenantId: tenant.tenantId, jobId: json.id });
  expect(await auditedOf(json.id)).toEqual(['backup_job.create']);
  expect((await tenant.call('GET', `/v1/backup-jobs/${json.id}`)).json).toEqual(json);
});

test('when queueing fails nothing is created', async () => {
  const failing = await startCell({ enqueue: () => Promise.reject(new Error('no queue')) });
  try {
    const other = await failing.newTenant();
    const id = await connected(failing, other);
    await discovered(failing, other, id);
    const { status, json } = await other.call('POST', '/v1/backup-jobs', {
      body: { connectionId: id, instanceId: INSTANCE },
    });
    expect([status, json.code]).toEqual([500, 'internal']);
    expect(JSON.stringify(json)).not.toContain('no queue');
    expect(failing.logged.join('')).toContain('no queue');
    expect((await other.call('GET', '/v1/backup-jobs')).json.items).toEqual([]);
    const events = (await other.call('GET', '/v1/audit-events')).json.items;
    expect(events.map((item: { action: string }) => item.action)).not.toContain('backup_job.create');
  } finally {
    await failing.close();
  }
});

test('a backup of what cannot be backed up is refused', async () => {
  const unknown = await backup({ instanceId: 'i-0fff0fff0fff0fff0' });
  expect(unknown.json).toMatchObject({ status: 404, code: 'instance_not_found' });
  await discovered(cell, tenant, connectionId, { instanceId: 'i-0dead0dead0dead00', state: 'terminated' });
  expect((await backup({ instanceId: 'i-0dead0dead0dead00' })).json).toMatchObject({
    status: 409,
    code: 'instance_terminated',
  });
  expect((await backup({ connectionId: 'con_eu_0123456789abcdefghjkmnpqrs' })).json.code).toBe('not_found');
  const revoked = await connected(cell, tenant);
  await setConnection(cell, tenant, revoked, { state: 'INSECURE' });
  expect((await backup({ connectionId: revoked })).json).toMatchObject({
    status: 409,
    code: 'connection_not_usable',
    facts: { state: 'INSECURE' },
  });
});

test('abort ends what has not started, asks what runs, and leaves the rest alone', async () => {
  const abort = (id: string) => tenant.call('POST', `/v1/backup-jobs/${id}/abort`);
  const { json: waiting } = await backup();
  expect((await abort(waiting.id)).json).toMatchObject({ state: 'ABORTED', completedAt: expect.any(String) });
  const { json: running } = await backup();
  await work(cell, tenant, running.id, { state: 'RUNNING' });
  expect((await abort(running.id)).json.state).toBe('ABORTING');
  expect((await abort(running.id)).status).toBe(202);
  const { json: blocked } = await backup();
  await work(cell, tenant, blocked.id, { state: 'PENDING', startedAt: cell.clock.now() });
  const before = cell.enqueued.length;
  expect((await abort(blocked.id)).json.state).toBe('ABORTING'); // it may have left something in the account
  expect(cell.enqueued.slice(before)).toEqual([{ kind: 'backup', tenantId: tenant.tenantId, jobId: blocked.id }]);
  expect(await auditedOf(running.id)).toEqual(['backup_job.abort', 'backup_job.create']);
});

type Sent = { id: number; event: string; data: Record<string, unknown> };
function parse(text: string): Sent[] {
  return text
    .split('\n\n')
    .filter((part) => part.includes('data:'))
    .map((part) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(part)?.[1] ?? '';
      return { id: Number(field('id')), event: field('event'), data: JSON.parse(field('data')) };
    });
}

test('the event stream tells what happened so far, follows, and ends with the job', async () => {
  const { json: job } = await backup();
  await work(cell, tenant, job.id, { state: 'RUNNING' });
  for (const progress of [1, 2, 3]) await work(cell, tenant, job.id, { progress });
  const following = tenant.call('GET', `/v1/backup-jobs/${job.id}/events`);
  await work(cell, tenant, job.id, { progress: 50 });
  await work(cell, tenant, job.id, { state: 'COMPLETED' });
  const { headers, text } = await following;
  expect(headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events = parse(text);
  expect(events.filter(({ event }) => event === 'state').map(({ data }) => data['state'])).toEqual([
    'CREATED',
    'RUNNING',
    'COMPLETED',
  ]);
  expect(events.at(-1)?.data).toMatchObject({ id: job.id, state: 'COMPLETED', instanceId: INSTANCE });
  const progress = events.filter(({ event }) => event === 'progress').map(({ data }) => data['percent']);
  expect(progress).not.toContain(1);
  expect(progress.at(-1)).toBe(50);
  const ids = events.map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));

  const from = events.at(-2)?.id ?? 0;
  const rest = await tenant.call('GET', `/v1/backup-jobs/${job.id}/events`, {
    headers: { 'last-event-id': String(from) },
  });
  expect(parse(rest.text).map(({ id }) => id)).toEqual(ids.slice(-1));
  const bad = await tenant.call('GET', `/v1/backup-jobs/${job.id}/events`, { headers: { 'last-event-id': 'x' } });
  expect(bad.json).toMatchObject({ status: 400, errors: [{ pointer: 'header:last-event-id' }] });
  const query = await tenant.call('GET', `/v1/backup-jobs/${job.id}/events?since=1`);
  expect(query.status).toBe(400);
});

test('a silent stream beats, holds no connection, and stops when its client goes', async () => {
  const small = await startCell({}, 1); // one connection: a stream that held it would starve the rest
  try {
    const other = await small.newTenant();
    const id = await connected(small, other);
    await discovered(small, other, id);
    const { json: job } = await other.call('POST', '/v1/backup-jobs', {
      body: { connectionId: id, instanceId: INSTANCE },
    });
    const response = await small.app.request(`/v1/backup-jobs/${job.id}/events`, {
      headers: { authorization: `Bearer ${other.apiKey}` },
    });
    const reader = response.body?.getReader();
    const next = async () => new TextDecoder().decode((await reader?.read())?.value);
    expect(await next()).toContain('event: state');
    expect((await other.call('GET', '/v1/backup-jobs')).status).toBe(200);
    small.clock.advance(15_000);
    expect(await next()).toBe(': still here\n\n');
    await reader?.cancel();
    expect((await other.call('GET', '/v1/backup-jobs')).status).toBe(200);
  } finally {
    await small.close();
  }
});

test('a restore is queued with its target filled in from the source', async () => {
  const point = await pointOf(cell, tenant, connectionId);
  const { status, json } = await restore(point);
  expect(status).toBe(202);
  expect(json).toMatchObject({ state: 'CREATED', type: 'volume', dryRun: false, recoveryPointId: point });
  expect(json.target).toEqual({ connectionId, awsRegion: 'eu-central-1', availabilityZone: 'eu-central-1a' });
  expect(cell.enqueued.at(-1)).toEqual({ kind: 'restore', tenantId: tenant.tenantId, jobId: json.id });
  expect(await auditedOf(json.id)).toEqual(['restore_job.create']);
  expect((await tenant.call('POST', `/v1/restore-jobs/${json.id}/abort`)).json.state).toBe('ABORTED');
  const events = await tenant.call('GET', `/v1/restore-jobs/${json.id}/events`);
  expect(parse(events.text).map(({ data }) => data['state'])).toEqual(['CREATED', 'ABORTED']);
});

test('the jurisdiction of a target is judged before anything else', async () => {
  const before = cell.enqueued.length;
  for (const target of [{ awsRegion: 'us-east-1' }, { awsRegion: 'eu-west-2' }, { kmsKeyArn: KEY('us-east-1') }])
    expect((await restore('rp_eu_nope', target)).json).toMatchObject({ status: 422, code: 'residency_violation' });
  expect(cell.enqueued).toHaveLength(before);
});

test("a restore keeps to the point, the connection's limits and the source's encryption", async () => {
  const point = await pointOf(cell, tenant, connectionId);
  const west = { awsRegion: 'eu-west-1', availabilityZone: 'eu-west-1b' };
  expect((await restore('rp_eu_nope')).json).toMatchObject({ status: 404, code: 'not_found' });
  expect((await restore(point, { awsRegion: 'eu-north-1' })).json.code).toBe('outside_connection_limits');
  expect((await restore(point, west)).json).toMatchObject({ status: 422, code: 'less_encrypted_than_source' });
  expect((await restore(point, { ...west, kmsKeyArn: KEY('eu-west-1') })).status).toBe(202);
  expect((await restore(point, west, { volumeIds: [VOLUMES[0]] })).status).toBe(202);
  const many = await restore(
    point,
    { awsRegion: 'eu-west-1', kmsKeyArn: KEY('eu-central-1') },
    { volumeIds: ['vol-0bbbbbbbbbbbbbbbb'] },
  );
  expect(many.json.errors.map((error: { pointer: string }) => error.pointer)).toEqual([
    '/volumeIds/0',
    '/target/availabilityZone',
    '/target/kmsKeyArn',
  ]);
  expect((await restore(point, { availabilityZone: 'eu-west-1a' })).json.errors).toMatchObject([
    { pointer: '/target/availabilityZone' },
  ]);
  const deleting = await pointOf(cell, tenant, connectionId, { state: 'DELETING' });
  expect((await restore(deleting)).json).toMatchObject({ status: 409, code: 'recovery_point_not_usable' });
  const noRestore = await connected(cell, tenant);
  expect((await restore(point, { connectionId: noRestore })).json.code).toBe('restore_not_enabled');
  await setConnection(cell, tenant, noRestore, { state: 'DISCONNECTED' });
  expect((await restore(point, { connectionId: noRestore })).json.code).toBe('connection_not_usable');
});

test('a restore of an instance is refused with everything that does not fit', async () => {
  const point = await pointOf(cell, tenant, connectionId);
  const pointers = async (target: Record<string, unknown>, rest: Record<string, unknown>) => {
    const { json } = await restore(point, target, rest);
    return [json.code, ...(json.errors ?? []).map((error: { pointer: string }) => error.pointer)];
  };
  const west = { awsRegion: 'eu-west-1', kmsKeyArn: KEY('eu-west-1') };
  expect(await pointers(west, { type: 'instance' })).toEqual(['invalid_request', '/instance/subnetId']);
  expect(await pointers({}, { type: 'instance', volumeIds: [VOLUMES[1]] })).toEqual(['invalid_request', '/volumeIds']);
  const volumes = [{ sourceVolumeId: VOLUMES[0], volumeType: 'st1', iops: 3000, throughput: 200 }];
  expect(await pointers({}, { volumes })).toEqual(['invalid_request', '/volumes/0/iops', '/volumes/0/throughput']);
  const attach = { instanceId: INSTANCE, deviceName: '/dev/sdf' };
  expect(
    await pointers({}, { type: 'snapshot', volumes: [{ sourceVolumeId: VOLUMES[0], attach }], instance: {} }),
  ).toEqual(['invalid_request', '/volumes/0/attach', '/volumes/0/sourceVolumeId', '/instance']);
  expect((await restore(point, {}, { type: 'instance', mode: 'inPlace' })).json).toMatchObject({
    code: 'restore_not_enabled',
    facts: { lacking: 'restoreInPlace' },
  });
  expect((await restore(point, {}, { type: 'instance' })).status).toBe(202);
});

test('a licence that AWS bills needs a vendor image, except in a dry run', async () => {
  const instance = {
    name: null,
    instanceType: 't3.small',
    availabilityZone: 'eu-central-1a',
    tags: {},
    configuration: { rootDeviceName: '/dev/xvda', platformDetails: 'Red Hat Enterprise Linux' },
  };
  const point = await pointOf(cell, tenant, connectionId, { instance });
  expect((await restore(point, {}, { type: 'instance' })).json).toMatchObject({
    code: 'licence_not_portable',
    facts: { licence: 'Red Hat Enterprise Linux' },
  });
  expect((await restore(point, {}, { type: 'instance', dryRun: true })).status).toBe(202);
  const vendor = { vendorImageId: 'ami-0123456789abcdef0' };
  expect((await restore(point, {}, { type: 'instance', instance: vendor })).status).toBe(202);
});

test('a locked point is not deleted before its lock ends', async () => {
  const lockedUntil = new Date(cell.clock.now().getTime() + 86_400_000);
  const point = await pointOf(cell, tenant, connectionId, { storage: 'account', lockedUntil });
  expect((await tenant.call('DELETE', `/v1/recovery-points/${point}`)).json).toMatchObject({
    code: 'recovery_point_locked',
    facts: { lockedUntil: lockedUntil.toISOString() },
  });
});

test('a deletion waits three days, is asked for once, and can be cancelled', async () => {
  const point = await pointOf(cell, tenant, connectionId);
  const asked = await tenant.call('DELETE', `/v1/recovery-points/${point}`);
  expect(asked.status).toBe(202);
  expect(asked.json).toMatchObject({ state: 'SCHEDULED', recoveryPointId: point });
  expect(Date.parse(asked.json.notBefore) - cell.clock.now().getTime()).toBe(72 * 3_600_000);
  expect((await tenant.call('DELETE', `/v1/recovery-points/${point}`)).json).toEqual(asked.json);
  expect(await auditedOf(point)).toEqual(['recovery_point.delete']);
  const cancel = () => tenant.call('POST', `/v1/deletion-requests/${asked.json.id}/cancel`);
  expect((await cancel()).json.state).toBe('CANCELLED');
  expect((await cancel()).status).toBe(200);
  expect(await auditedOf(asked.json.id)).toEqual(['deletion_request.cancel']);
  expect((await tenant.call('DELETE', `/v1/recovery-points/${point}`)).json.id).not.toBe(asked.json.id);
  expect((await tenant.call('GET', '/v1/deletion-requests')).json.items).toHaveLength(2);
});

test('recovery points are listed newest first, page by page, and deleted ones not at all', async () => {
  const mine = await cell.newTenant();
  const id = await connected(cell, mine);
  const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 0, minute));
  const points: string[] = [];
  for (const minute of [3, 1, 2, 2, 5]) points.push(await pointOf(cell, mine, id, { pointInTime: at(minute) }));
  await pointOf(cell, mine, id, { state: 'DELETED' });
  const seen: { id: string; pointInTime: string }[] = [];
  let cursor = '';
  do {
    const { json } = await mine.call('GET', `/v1/recovery-points?limit=2${cursor}`);
    seen.push(...json.items);
    cursor = json.nextCursor ? `&cursor=${json.nextCursor}` : '';
  } while (cursor !== '');
  expect(new Set(seen.map((point) => point.id))).toEqual(new Set(points));
  expect(seen.map((point) => point.pointInTime)).toEqual([5, 3, 2, 2, 1].map((minute) => at(minute).toISOString()));
  expect(JSON.stringify(seen)).not.toMatch(/not for the API|manifest/);
});

test('a cursor cannot be made up, changed, or moved to another list, filter or tenant', async () => {
  const { json } = await tenant.call('GET', '/v1/backup-jobs?limit=1');
  const cursor: string = json.nextCursor;
  const other = await cell.newTenant();
  const flipped = `${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`;
  expect((await tenant.call('GET', `/v1/backup-jobs?limit=5&cursor=${cursor}`)).status).toBe(200);
  for (const answer of [
    await tenant.call('GET', `/v1/backup-jobs?cursor=${flipped}`),
    await tenant.call('GET', '/v1/backup-jobs?cursor='),
    await tenant.call('GET', '/v1/backup-jobs?cursor=%00'),
    await tenant.call('GET', `/v1/restore-jobs?cursor=${cursor}`),
    await tenant.call('GET', `/v1/backup-jobs?state=CREATED&cursor=${cursor}`),
    await other.call('GET', `/v1/backup-jobs?cursor=${cursor}`),
  ])
    expect(answer.json).toMatchObject({ status: 400, errors: [{ pointer: '?cursor' }] });
});
