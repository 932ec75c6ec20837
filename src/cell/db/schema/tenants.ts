import { sql } from 'drizzle-orm';
import { bigint, customType, index, jsonb, pgPolicy, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import { apiRole, tenantPolicy, workerRole } from './policies.ts';

const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (value) => Buffer.from(value),
  fromDriver: (value) => new Uint8Array(value),
});

/** A column of instants, with time zone, to the millisecond as JavaScript has them. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });

/**
 * Tenants of this cell. A tenant sees itself; an operator's transaction (`app.operator`) sees and makes them; the worker
 * may list them, because its schedules begin with "for each tenant".
 */
export const tenants = pgTable(
  'tenants',
  {
    tenantId: text('tenant_id').primaryKey(),
    name: text('name').notNull(),
    tier: text('tier', { enum: ['standard', 'enterprise'] }).notNull(),
    createdAt: instant('created_at').notNull(),
    /** The tenant's own recovery key, its public half (PEM), and since when it is set: both or neither. */
    recoveryKey: text('recovery_key'),
    recoveryKeySince: instant('recovery_key_since'),
  },
  () => [
    tenantPolicy('tenants'),
    pgPolicy('tenants_operator', {
      for: 'all',
      to: [apiRole],
      using: sql`current_setting('app.operator', true) = 'on'`,
      withCheck: sql`current_setting('app.operator', true) = 'on'`,
    }),
    pgPolicy('tenants_worker', { for: 'select', to: [workerRole], using: sql`true` }),
  ],
);

/** API keys: the id is part of the key and public; of the secret only a keyed hash is kept. */
export const apiKeys = pgTable(
  'api_keys',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    /** The 16 characters of the key that find its row. */
    keyId: text('key_id').notNull().unique(),
    secretHash: bytea('secret_hash').notNull(),
    name: text('name').notNull(),
    createdAt: instant('created_at').notNull(),
    lastUsedAt: instant('last_used_at'),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    tenantPolicy('api_keys'),
    // Before a key is checked its tenant is not known: the transaction names the one key it wants to look at.
    pgPolicy('api_keys_lookup', {
      for: 'select',
      to: [apiRole],
      using: sql`key_id = nullif(current_setting('app.key_id', true), '')`,
    }),
  ],
);

/** Operators' keys: no tenant, made when the cell is installed. */
export const operatorKeys = pgTable('operator_keys', {
  keyId: text('key_id').primaryKey(),
  secretHash: bytea('secret_hash').notNull(),
  name: text('name').notNull(),
  createdAt: instant('created_at').notNull(),
  revokedAt: instant('revoked_at'),
});

/**
 * First answers of creates, for 24 hours. `keyHash` hides the client's key; `sealedResponse` is encrypted under a key
 * derived from it, because some first answers hold a secret that is shown once.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    tenantId: text('tenant_id').notNull(),
    keyHash: text('key_hash').notNull(),
    requestHash: text('request_hash').notNull(),
    status: bigint('status', { mode: 'number' }),
    sealedResponse: bytea('sealed_response'),
    createdAt: instant('created_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.keyHash] }),
    index('idempotency_keys_created').on(table.tenantId, table.createdAt),
    tenantPolicy('idempotency_keys'),
  ],
);

/** One row for each change, written in the change's own transaction. */
export const auditEvents = pgTable(
  'audit_events',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    time: instant('time').notNull(),
    actorType: text('actor_type', { enum: ['api_key', 'operator', 'system'] }).notNull(),
    actorId: text('actor_id').notNull(),
    action: text('action').notNull(),
    resource: text('resource').notNull(),
    requestId: text('request_id'),
    details: jsonb('details').$type<Record<string, unknown>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] }), tenantPolicy('audit_events')],
);
