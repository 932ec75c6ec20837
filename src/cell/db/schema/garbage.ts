import { bigint, index, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { tenantPolicy } from './policies.ts';
import { instant } from './tenants.ts';

/**
 * Runs that have read something of the vault, each written down before it did. Kept as long as the run is open or its root is kept:
 * it says whose packs that root may name.
 */
export const vaultRuns = pgTable(
  'vault_runs',
  {
    tenantId: text('tenant_id').notNull(),
    volumeId: text('volume_id').notNull(),
    runId: text('run_id').notNull(),
    /** Volumes whose packs it may name, its own among them. Null: nobody knows, so it may be any. */
    packsOf: jsonb('packs_of').$type<string[]>(),
    /** Manifests that its tries build on: they stay while the run is open. */
    buildsOn: jsonb('builds_on').$type<string[]>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.volumeId, table.runId] }), tenantPolicy('vault_runs')],
);

/** The collection of a volume's garbage. The one of the latest number may write, and no other. */
export const collections = pgTable(
  'collections',
  {
    tenantId: text('tenant_id').notNull(),
    volumeId: text('volume_id').notNull(),
    number: integer('number').notNull(),
    startedAt: instant('started_at').notNull(),
    /** Packs that the volume had when it was looked at last. */
    packs: integer('packs').notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.volumeId] }), tenantPolicy('collections')],
);

/** What one collection condemned, all at once. */
export const condemnations = pgTable(
  'condemnations',
  {
    tenantId: text('tenant_id').notNull(),
    volumeId: text('volume_id').notNull(),
    collection: integer('collection').notNull(),
    /** Since when every run that begins can see it, and the runs that may not have; null until then. */
    fencedAt: instant('fenced_at'),
    openRunIds: jsonb('open_run_ids').$type<string[]>().notNull().default([]),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.volumeId, table.collection] }),
    tenantPolicy('condemnations'),
  ],
);

/** Objects of the vault that nothing needs: writers build nothing on them, and they go. */
export const condemnedObjects = pgTable(
  'condemned_objects',
  {
    tenantId: text('tenant_id').notNull(),
    volumeId: text('volume_id').notNull(),
    key: text('key').notNull(),
    sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
    collection: integer('collection').notNull(),
    /** From then on it is never released: it is being deleted. */
    doomedAt: instant('doomed_at'),
    /** The row stays for a day, for the budget of deletions. */
    deletedAt: instant('deleted_at'),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.volumeId, table.key] }),
    index('condemned_objects_doomed').on(table.tenantId, table.doomedAt),
    tenantPolicy('condemned_objects'),
  ],
);
