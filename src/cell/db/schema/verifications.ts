import { integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { Damage } from '../../../vault/damage.ts';
import type { VerifyCursor } from '../../../vault/verify-cursor.ts';
import { tenantPolicy } from './policies.ts';
import { instant } from './tenants.ts';

/** A damaged object, and when it was found so first (RFC 3339). */
export type FoundDamage = Damage & { foundAt: string };

/** How far the verification of each volume in the vault is, and what it found. */
export const vaultVerifications = pgTable(
  'vault_verifications',
  {
    tenantId: text('tenant_id').notNull(),
    volumeId: text('volume_id').notNull(),
    /** The claim of whoever verifies it now: who comes with an older number changes nothing. */
    fence: integer('fence').notNull().default(0),
    claimedUntil: instant('claimed_until'),
    /** Whether everything is there was looked at last at this time. */
    existenceAt: instant('existence_at'),
    /** The last share of a day was begun at this time, and has been read. */
    readAt: instant('read_at'),
    /** Where the reading of every byte goes on; null before the first. */
    cursor: jsonb('cursor').$type<VerifyCursor>(),
    /** What the last look found; what reading has found, and found again each day since. */
    existenceDamage: jsonb('existence_damage').$type<FoundDamage[]>().notNull().default([]),
    readDamage: jsonb('read_damage').$type<FoundDamage[]>().notNull().default([]),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.volumeId] }), tenantPolicy('vault_verifications')],
);
