import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, PEPPER, startCell, type Tenant } from '../cell/harness.ts';
import { newFolder, runCommand } from '../cli/command.ts';
import { environmentOf } from '../cli/vault-aws.ts';
import { openWorld, type World } from './world.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cell/recover.ts', import.meta.url));
/** Only the beginning of the disks was written. */
const WRITTEN = 8 * 2 ** 20;

let world: World;
let tenant: Tenant;
let customer: Awaited<ReturnType<World['customer']>>;
let connection: Json;
let points: Json[] = [];
/** What each disk held at the first point. */
let disks: Uint8Array[] = [];
const folder = newFolder();
const file = join(folder, 'points.json');

const readDisk = (volumeId: string) => world.control.readDisk(customer.account, volumeId, 0, WRITTEN);
const listPoints = async (who: Tenant) => (await who.call('GET', '/v1/recovery-points')).json.items as Json[];
const rowsIn = async (url: string, table: string): Promise<Json[]> => {
  const sql = postgres(url, { max: 1 });
  try {
    return await sql`select * from ${sql(table)} where tenant_id = ${tenant.tenantId} order by 2, 3`;
  } finally {
    await sql.end();
  }
};
/** What nobody wrote down but the database: when the row was written, to the millisecond. And volumes finish in any order. */
const comparable = (rows: Json[]) =>
  rows.map(({ volumes = [], ...row }: Json) => ({
    ...row,
    created_time: null,
    updated_at: null,
    volumes: volumes.toSorted((a: Json, b: Json) => (a.volumeId < b.volumeId ? -1 : 1)),
  }));

async function recover(env: Record<string, string>) {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, file], { env });
  return JSON.parse(stdout);
}

beforeAll(async () => {
  world = await openWorld();
  customer = await world.customer('222222222231');
  tenant = await world.cell.newTenant();
  connection = await world.connect(tenant, customer);
  await world.backUp(tenant, connection.id, customer.instanceId, { deleteAfterDays: 30 });
  disks = await Promise.all(customer.volumeIds.map(readDisk));
  await customer.write(customer.volumeIds[0] ?? '', 1_000_000, 700_000);
  await world.backUp(tenant, connection.id, customer.instanceId);
  points = await listPoints(tenant);
  const env = await environmentOf(world, 'restorer', tenant.tenantId);
  const place = ['--bucket', world.resources.bucket, '--tenant', tenant.tenantId, '--out', file];
  const { code, stderr } = await runCommand(['vault', 'recover', ...place], { env });
  expect({ code, stderr }).toMatchObject({ code: 0 });
});
afterAll(() => world.close());

describe('recovery points whose rows were lost', () => {
  test('come back from the bucket as they were, once, with an event each, and build the next backup', async () => {
    const url = world.cell.database.ownerUrl;
    const [rows, bases] = [await rowsIn(url, 'recovery_points'), await rowsIn(url, 'volume_bases')];
    const sql = postgres(url, { max: 1 });
    await sql`delete from recovery_points where tenant_id = ${tenant.tenantId}`;
    await sql`delete from volume_bases where tenant_id = ${tenant.tenantId}`;
    await sql.end();
    expect(await listPoints(tenant)).toEqual([]);
    const report = await recover({ OWNER_DATABASE_URL: url });
    expect(report).toMatchObject({ tenant: 'there', points: { written: 2 }, bases: { written: 2 }, unknown: [] });
    expect(comparable(await rowsIn(url, 'recovery_points'))).toEqual(comparable(rows));
    expect(comparable(await rowsIn(url, 'volume_bases'))).toEqual(comparable(bases));
    for (const { id } of points) {
      const { json } = await tenant.call('GET', `/v1/audit-events?resource=${id}&action=recovery_point.recover`);
      expect(json.items).toMatchObject([{ actor: { type: 'operator', id: 'recover' } }]);
    }
    const events = (await tenant.call('GET', '/v1/audit-events')).json.items.length;
    expect(await recover({ OWNER_DATABASE_URL: url })).toMatchObject({ points: { written: 0, there: 2 } });
    expect((await tenant.call('GET', '/v1/audit-events')).json.items).toHaveLength(events);
    const next = await world.backUp(tenant, connection.id, customer.instanceId);
    expect(next.volumes.map(({ kind }: Json) => kind)).toEqual(['incremental', 'incremental']);
  });

  test('are restored through the API, byte for byte', async () => {
    const first = points.at(-1);
    const target = { connectionId: connection.id, awsRegion: 'eu-central-1' };
    const job = await world.restore(tenant, first.id, target, { volumeIds: customer.volumeIds.slice(0, 1) });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    expect(job.volumes).toHaveLength(1);
    for (const { sourceVolumeId, volumeId } of job.volumes)
      expect(await readDisk(volumeId)).toEqual(disks[customer.volumeIds.indexOf(sourceVolumeId)]);
  });

  test('that are there already are never changed', async () => {
    const url = world.cell.database.ownerUrl;
    const sql = postgres(url, { max: 1 });
    await sql`update recovery_points set state = 'DELETING' where tenant_id = ${tenant.tenantId}`;
    await sql.end();
    const rows = await rowsIn(url, 'recovery_points');
    await recover({ OWNER_DATABASE_URL: url });
    expect(await rowsIn(url, 'recovery_points')).toEqual(rows);
  });
});

describe('a database that is gone', () => {
  /** Tables that belong to somebody who is no superuser, as in a managed database. */
  async function ownedByNobodySpecial(ownerUrl: string) {
    const [role, password] = [`owner_${randomBytes(6).toString('hex')}`, randomBytes(12).toString('hex')];
    const sql = postgres(ownerUrl, { max: 1 });
    await sql.unsafe(`create role ${role} login nosuperuser nobypassrls password '${password}'`);
    for (const table of ['tenants', 'api_keys', 'recovery_points', 'volume_bases', 'audit_events'])
      await sql.unsafe(`alter table ${table} owner to ${role}`);
    const url = Object.assign(new URL(ownerUrl), { username: role, password });
    return {
      url: url.href,
      async close() {
        await sql.unsafe(`reassign owned by ${role} to current_user; drop owned by ${role}; drop role ${role}`);
        await sql.end();
      },
    };
  }

  test('is filled again by an owner who is no superuser: the tenant, a key for it, and every point', async () => {
    const cell = await startCell();
    const owner = await ownedByNobodySpecial(cell.database.ownerUrl);
    try {
      writeFileSync(join(folder, 'pepper'), Buffer.from(PEPPER).toString('base64'));
      const keyFile = join(folder, 'api-key');
      const files = { PEPPER_FILE: join(folder, 'pepper'), API_KEY_FILE: keyFile };
      const report = await recover({ OWNER_DATABASE_URL: owner.url, ...files });
      expect(report).toMatchObject({ tenant: 'written', points: { written: 2 }, bases: { written: 2 } });
      const call = cell.as(readFileSync(keyFile, 'utf8').trim());
      const { json } = await call('GET', '/v1/recovery-points');
      const without = (all: Json[]) =>
        all.map((point: Json) => ({ ...point, createdTime: null, volumes: new Set(point.volumes) }));
      expect(without(json.items)).toEqual(without(points));
      const forced = postgres(cell.database.ownerUrl, { max: 1 });
      const lax = await forced`select relname from pg_class where relrowsecurity and not relforcerowsecurity`;
      await forced.end();
      expect(lax).toEqual([]);
    } finally {
      await owner.close();
      await cell.close();
    }
  });

  test('what is no file of points is refused, and nothing is written', async () => {
    writeFileSync(join(folder, 'other.json'), '{"format": "something"}');
    const env = { OWNER_DATABASE_URL: world.cell.database.ownerUrl };
    await expect(promisify(execFile)(process.execPath, [PROGRAM, join(folder, 'other.json')], { env })).rejects.toThrow(
      /domicile-points/,
    );
    await expect(promisify(execFile)(process.execPath, [PROGRAM], { env: {} })).rejects.toMatchObject({ code: 78 });
  });
});
