import { boolean, foreignKey, index, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { InstanceConfiguration } from '../../../aws/instances.ts';
import { tenantPolicy } from './policies.ts';
import { instant } from './tenants.ts';

export type AwsTag = { key: string; value: string };
export type MissingPermission = { action: string; awsRegion: string; detail: string };

/** A tenant's link to one AWS account: role, External ID, limits, state. */
export const connections = pgTable(
  'connections',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    awsAccountId: text('aws_account_id').notNull(),
    awsRegions: jsonb('aws_regions').$type<string[]>().notNull(),
    tag: jsonb('tag').$type<AwsTag>().notNull(),
    vpcIds: jsonb('vpc_ids').$type<string[]>().notNull(),
    kmsKeyArns: jsonb('kms_key_arns').$type<string[]>().notNull(),
    /** Where recovery points lie: copied into the cell's vault, or as EBS snapshots that never leave the account. */
    storage: text('storage', { enum: ['vault', 'account'] })
      .notNull()
      .default('vault'),
    /** Among which volumes equal blocks are stored once. */
    dedup: text('dedup', { enum: ['volume', 'tenant'] })
      .notNull()
      .default('volume'),
    restore: boolean('restore').notNull(),
    restoreInPlace: boolean('restore_in_place').notNull().default(false),
    cleanUp: boolean('clean_up').notNull().default(false),
    externalId: text('external_id').notNull().unique(),
    roleName: text('role_name').notNull(),
    state: text('state', {
      enum: ['PENDING', 'CONNECTED', 'INSUFFICIENT_PERMISSIONS', 'INSECURE', 'DISCONNECTED'],
    }).notNull(),
    stateDetail: text('state_detail'),
    missing: jsonb('missing').$type<MissingPermission[]>().notNull(),
    lastVerifiedAt: instant('last_verified_at'),
    discoveredAt: instant('discovered_at'),
    createdAt: instant('created_at').notNull(),
    /** Set when the tenant disconnected: the row stays for its recovery points, the API no longer shows it. */
    deletedAt: instant('deleted_at'),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] }), tenantPolicy('connections')],
);

/** A volume as discovered, with what a restore needs to make it again. */
export type DiscoveredVolume = {
  volumeId: string;
  deviceName: string;
  volumeBytes: number;
  encrypted: boolean;
  kmsKeyArn: string | null;
  volumeType: string | null;
  iops: number | null;
  throughput: number | null;
  tags: Record<string, string>;
};

/** Instances within the limits of a connection, as last discovered. */
export const instances = pgTable(
  'instances',
  {
    tenantId: text('tenant_id').notNull(),
    id: text('id').notNull(),
    connectionId: text('connection_id').notNull(),
    instanceId: text('instance_id').notNull(),
    awsRegion: text('aws_region').notNull(),
    availabilityZone: text('availability_zone').notNull(),
    vpcId: text('vpc_id'),
    name: text('name'),
    state: text('state').notNull(),
    instanceType: text('instance_type').notNull(),
    tags: jsonb('tags').$type<Record<string, string>>().notNull(),
    volumes: jsonb('volumes').$type<DiscoveredVolume[]>().notNull(),
    /** Everything else EC2 told of the instance that a restore needs (architecture, boot mode, groups, …). */
    configuration: jsonb('configuration').$type<InstanceConfiguration>().notNull(),
    discoveredAt: instant('discovered_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenantId, table.id] }),
    index('instances_instance').on(table.tenantId, table.connectionId, table.instanceId),
    foreignKey({
      columns: [table.tenantId, table.connectionId],
      foreignColumns: [connections.tenantId, connections.id],
    }),
    tenantPolicy('instances'),
  ],
);
