import { readdirSync, readFileSync } from 'node:fs';
import postgres from 'postgres';

const MIGRATIONS = new URL('../../../drizzle/', import.meta.url);

/** Serialises two cells that start at once. The number only has to be ours. */
const MIGRATION_LOCK = 7_205_759_403;

/** What each tier may do. Never TRUNCATE, REFERENCES or ownership; row-level security narrows the rest to one tenant. */
const GRANTS = `
  grant usage on schema public to domicile_api, domicile_worker;
  grant select, insert, update, delete on all tables in schema public to domicile_api, domicile_worker;
  grant usage on all sequences in schema public to domicile_api, domicile_worker;
  revoke insert, update, delete on operator_keys from domicile_api;
  revoke all on operator_keys from domicile_worker;
  revoke update, delete on audit_events from domicile_api, domicile_worker;
`;

const FORCE = `
  do $$ declare t regclass; begin
    for t in select oid::regclass from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r' and relrowsecurity and not relforcerowsecurity
    loop execute format('alter table %s force row level security', t); end loop;
  end $$;
`;

type Roles = { apiPassword: string; workerPassword: string };

async function ensureRole(sql: postgres.Sql, name: string, password: string): Promise<void> {
  const [found] = await sql`select 1 from pg_roles where rolname = ${name}`;
  const verb = found ? 'alter' : 'create';
  // DDL takes no parameters; both values are ours, and the password is base 64 URL text.
  if (!/^[A-Za-z0-9_-]+$/.test(password)) throw new Error('role passwords are base 64 URL text');
  await sql.unsafe(`${verb} role ${name} login nosuperuser nobypassrls nocreatedb nocreaterole password '${password}'`);
}

/**
 * Brings a database up to date: roles, migrations not yet applied (each in a transaction of its own), forced row-level
 * security, grants. One-shot, as the owner, over one connection that ends with it. Safe to run twice and at once.
 *
 * @param ownerUrl connection string of the database's owner
 * @returns the names of the migrations applied now
 */
export async function migrate(ownerUrl: string, roles: Roles): Promise<string[]> {
  const sql = postgres(ownerUrl, { max: 1, onnotice: () => {} });
  try {
    await sql`select pg_advisory_lock(${MIGRATION_LOCK})`;
    await ensureRole(sql, 'domicile_api', roles.apiPassword);
    await ensureRole(sql, 'domicile_worker', roles.workerPassword);
    await sql`create schema if not exists migrations`;
    await sql`create table if not exists migrations.applied (name text primary key, applied_at timestamptz not null default now())`;
    const done = new Set((await sql<{ name: string }[]>`select name from migrations.applied`).map((row) => row.name));
    const pending = readdirSync(MIGRATIONS)
      .filter((name) => /^\d/.test(name) && !done.has(name))
      .sort();
    for (const name of pending) {
      const text = readFileSync(new URL(`${name}/migration.sql`, MIGRATIONS), 'utf8');
      await sql.begin(async (tx) => {
        await tx.unsafe(text);
        await tx`insert into migrations.applied (name) values (${name})`;
      });
    }
    await sql.unsafe(FORCE);
    await sql.unsafe(GRANTS);
    return pending;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Records an operator's key (its public id and the keyed hash of its secret), or renews it. */
export async function putOperatorKey(
  ownerUrl: string,
  key: { keyId: string; secretHash: Uint8Array; name: string },
): Promise<void> {
  const sql = postgres(ownerUrl, { max: 1, onnotice: () => {} });
  try {
    await sql`
      insert into operator_keys (key_id, secret_hash, name, created_at)
      values (${key.keyId}, ${Buffer.from(key.secretHash)}, ${key.name}, now())
      on conflict (key_id) do update set secret_hash = excluded.secret_hash, name = excluded.name`;
  } finally {
    await sql.end({ timeout: 5 });
  }
}
