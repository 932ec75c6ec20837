import { boolean, foreignKey, index, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { Expression } from '../../selection/expression.ts';
import type { VolumeRule } from '../../selection/volumes.ts';
import { type AwsTag, connections } from './connections.ts';
import { tenantPolicy } from './policies.ts';
import { instant } from './tenants.ts';

/** A lock that EBS itself keeps (LockSnapshot): with `account` storage only. */
export type Lock = { mode: 'governance' | 'compliance'; days: number; coolOffHours?: number | undefined };
export type Retention = {
  keepLast?: number | undefined;
  deleteAfterDays?: number | undefined;
  lock?: Lock | undefined;
};

export const backupPlans = pgTable(
  'backup_plans',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    name: text('name').notNull(),
    paused: boolean('paused').notNull(),
    createdAt: instant('created_at').notNull(),
    updatedAt: instant('updated_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] }), tenantPolicy('backup_plans')],
);

/** `nextRunAt` is the slot that has not been enqueued yet: the scheduler moves it on in the transaction that enqueues. */
export const rules = pgTable(
  'rules',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    planId: text('plan_id').notNull(),
    name: text('name').notNull(),
    cron: text('cron').notNull(),
    timeZone: text('time_zone').notNull(),
    startWindowMinutes: integer('start_window_minutes').notNull(),
    retention: jsonb('retention').$type<Retention>().notNull(),
    position: integer('position').notNull(),
    nextRunAt: instant('next_run_at'),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    index('rules_plan').on(table.tenantId, table.planId),
    foreignKey({
      columns: [table.tenantId, table.planId],
      foreignColumns: [backupPlans.tenantId, backupPlans.id],
    }).onDelete('cascade'),
    tenantPolicy('rules'),
  ],
);

export const selections = pgTable(
  'selections',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    planId: text('plan_id').notNull(),
    /** Null: instances of every connection. */
    connectionId: text('connection_id'),
    /** Null: the simple form, by `tags` and `instanceIds`. */
    match: jsonb('match').$type<Expression>(),
    tags: jsonb('tags').$type<AwsTag[]>().notNull(),
    instanceIds: jsonb('instance_ids').$type<string[]>().notNull(),
    excludeInstanceIds: jsonb('exclude_instance_ids').$type<string[]>().notNull(),
    excludeVolumeIds: jsonb('exclude_volume_ids').$type<string[]>().notNull(),
    excludeVolumes: jsonb('exclude_volumes').$type<VolumeRule[]>().notNull().default([]),
    createdAt: instant('created_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    index('selections_plan').on(table.tenantId, table.planId),
    foreignKey({
      columns: [table.tenantId, table.planId],
      foreignColumns: [backupPlans.tenantId, backupPlans.id],
    }).onDelete('cascade'),
    foreignKey({
      columns: [table.tenantId, table.connectionId],
      foreignColumns: [connections.tenantId, connections.id],
    }),
    tenantPolicy('selections'),
  ],
);
