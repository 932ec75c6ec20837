import { sql } from 'drizzle-orm';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connections } from '../../src/cell/db/schema/connections.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';
import { connectionBody } from './fixtures.ts';

let cell: Cell;
let owner: postgres.Sql;
let a: Tenant;
let b: Tenant;
const POOL = 3;

beforeAll(async () => {
  cell = await startCell({}, POOL);
  owner = postgres(cell.database.ownerUrl, { max: 1, onnotice: () => {} });
  a = await cell.newTenant('a');
  b = await cell.newTenant('b');
  for (const tenant of [a, b]) await tenant.call('POST', '/v1/connections', { body: connectionBody() });
});
afterAll(async () => {
  await owner.end();
  await cell.close();
});

const tenantTables = () => owner<{ name: string; rls: boolean; forced: boolean }[]>`
  select c.relname as name, c.relrowsecurity as rls, c.relforcerowsecurity as forced
  from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped
  where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace order by 1`;

test('every table with a tenant_id has row-level security, forced, that checks reads and writes', async () => {
  const tables = await tenantTables();
  expect(tables.length).toBeGreaterThanOrEqual(13);
  for (const table of tables) expect(table).toMatchObject({ rls: true, forced: true });
  const policies = await owner<{ tablename: string; cmd: string; qual: string | null; check: string | null }[]>`
    select tablename, cmd, qual, with_check as check from pg_policies where schemaname = 'public'`;
  for (const { name } of tables) {
    const all = policies.find(
      (policy) => policy.tablename === name && policy.cmd === 'ALL' && /tenant_id/.test(policy.qual ?? ''),
    );
    expect(all?.qual, name).toContain('app.tenant');
    expect(all?.check, name).toContain('app.tenant');
  }
  const open = policies.filter(({ qual }) => qual === 'true').map(({ tablename, cmd }) => `${tablename} ${cmd}`);
  expect(open).toEqual(['tenants SELECT']); // the worker lists tenants, and no other rule lets everything through
});

test('the tiers own nothing, bypass nothing, and cannot truncate', async () => {
  const roles = await owner`
    select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname like 'domicile\\_%'`;
  expect(roles.map((role) => String(role['rolname'])).toSorted()).toEqual(['domicile_api', 'domicile_worker']);
  for (const role of roles)
    expect(role).toMatchObject({ rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false });
  const owned = await owner`
    select relname from pg_class join pg_roles on relowner = pg_roles.oid where rolname like 'domicile\\_%'`;
  expect(owned).toHaveLength(0);
  const truncatable = await owner`
    select table_name from information_schema.role_table_grants
    where grantee like 'domicile\\_%' and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')`;
  expect(truncatable).toHaveLength(0);
});

test('neither tier can rewrite the audit log, nor the worker read operators', async () => {
  for (const db of [cell.database.api, cell.database.worker]) {
    await expect(
      inTenant(db, a.tenantId, (tx) => tx.execute(sql`update audit_events set action = 'x'`)),
    ).rejects.toThrow();
    await expect(inTenant(db, a.tenantId, (tx) => tx.execute(sql`delete from audit_events`))).rejects.toThrow();
  }
  await expect(cell.database.worker.execute(sql`select * from operator_keys`)).rejects.toThrow();
  await expect(cell.database.api.execute(sql`insert into operator_keys select * from operator_keys`)).rejects.toThrow();
});

test('without a tenant there are no rows', async () => {
  const tables = await tenantTables();
  for (const { name } of tables) {
    const [row] = await cell.database.api.execute<{ n: string }>(
      sql`select count(*) as n from ${sql.identifier(name)}`,
      'objects',
    );
    expect(row?.n, name).toBe('0');
  }
  const [all] = await owner`select count(*) as n from connections`; // a superuser is not held, and sees that there are
  expect(Number(all?.['n'])).toBe(2);
});

test("another tenant's row can be neither written, changed nor taken over", async () => {
  const [row] = await inTenant(cell.database.api, b.tenantId, (tx) => tx.select().from(connections));
  if (!row) throw new Error('b has a connection');
  const copy = { ...row, id: 'con_eu_copy', externalId: 'x' };
  const intoB = inTenant(cell.database.api, a.tenantId, (tx) => tx.insert(connections).values(copy));
  await expect(intoB).rejects.toMatchObject({ cause: { message: expect.stringContaining('row-level security') } });
  const changed = await inTenant(cell.database.api, a.tenantId, (tx) =>
    tx.update(connections).set({ state: 'CONNECTED' }).returning({ tenantId: connections.tenantId }),
  );
  expect(changed).toEqual([{ tenantId: a.tenantId }]);
  const moved = inTenant(cell.database.api, a.tenantId, (tx) => tx.update(connections).set({ tenantId: b.tenantId }));
  await expect(moved).rejects.toThrow();
});

test('a key can be looked up by its id and by nothing else', async () => {
  const [, , keyId] = a.apiKey.split('_');
  const rows = await cell.database.api.transaction(async (tx) => {
    await tx.execute(sql`select set_config('app.key_id', ${keyId ?? ''}, true)`);
    return tx.execute<{ key_id: string }>(sql`select key_id from api_keys`, 'objects');
  });
  expect(rows).toEqual([{ key_id: keyId }]);
});

test('tenants that share a small pool never see each other, also after errors', async () => {
  const visit = async (tenant: Tenant, i: number) => {
    if (i % 7 === 0) await tenant.call('POST', '/v1/connections', { body: { nonsense: true } });
    if (i % 5 === 0)
      await inTenant(cell.database.api, tenant.tenantId, (tx) => tx.execute(sql`select 1 / 0`)).catch(() => undefined);
    const rows = await inTenant(cell.database.api, tenant.tenantId, (tx) => tx.select().from(connections));
    return rows.every((row) => row.tenantId === tenant.tenantId) && rows.length === 1;
  };
  const seen = await Promise.all(Array.from({ length: 200 }, (_, i) => visit(i % 2 ? a : b, i)));
  expect(seen.every(Boolean)).toBe(true);
  const bare = await Promise.all(Array.from({ length: POOL * 3 }, () => cell.database.api.select().from(connections)));
  expect(bare.flat()).toEqual([]);
});
