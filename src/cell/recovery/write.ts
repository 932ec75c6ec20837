import { sql } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { timeOfId } from '../../core/ids.ts';
import { audit } from '../db/audit.ts';
import type { Database, Tx } from '../db/client.ts';
import { recoveryPoints, volumeBases } from '../db/schema/recovery-points.ts';
import { tenants } from '../db/schema/tenants.ts';
import { insertApiKey } from '../services/keys.ts';
import type { RecoveredRows } from './rows.ts';

/** Tables that are written to. */
const TABLES = ['tenants', 'api_keys', 'recovery_points', 'volume_bases', 'audit_events'] as const;

export type RecoveryDeps = { clock: Clock; cell: string; tenantId: string; pepper: Uint8Array | null };

/** `apiKey`: of a tenant that was missing, where a pepper was given. `there`: rows that were there, and were left alone. */
export type RecoveryReport = {
  tenant: 'written' | 'there';
  points: { written: number; there: number };
  bases: { written: number; there: number };
  apiKey: string | null;
};

/**
 * Lets the owner of the tables see all rows in this transaction, and nobody else, ever: row-level security is forced again before it
 * ends, and the tables are the transaction's own meanwhile. A superuser would not need it.
 */
async function asOwner<T>(tx: Tx, work: () => Promise<T>): Promise<T> {
  await tx.execute(sql`set local lock_timeout = '10s'`);
  for (const table of TABLES) await tx.execute(sql.raw(`alter table ${table} no force row level security`));
  const result = await work();
  for (const table of TABLES) await tx.execute(sql.raw(`alter table ${table} force row level security`));
  return result;
}

/** Writes rows that are missing, each with one audit event. */
function createWriter(tx: Tx, { clock, cell, tenantId, pepper }: RecoveryDeps) {
  const now = clock.now();
  const actor = { type: 'operator' as const, id: 'recover' };
  const event = (action: string, resource: string, details: Record<string, unknown> = {}) =>
    audit(tx, { tenantId, cell, now, actor, action, resource, details });
  return {
    async tenant(): Promise<Pick<RecoveryReport, 'tenant' | 'apiKey'>> {
      const createdAt = timeOfId(tenantId) ?? now;
      const row = { tenantId, name: tenantId, tier: 'standard' as const, createdAt };
      const written = await tx.insert(tenants).values(row).onConflictDoNothing().returning();
      if (written.length === 0) return { tenant: 'there', apiKey: null };
      const key = pepper === null ? null : await insertApiKey({ tx, tenantId }, { clock, cell, pepper }, 'recovered');
      await event('tenant.recover', tenantId, key ? { apiKeyId: key.row.id } : {});
      return { tenant: 'written', apiKey: key?.key ?? null };
    },
    async point(row: RecoveredRows['points'][number]): Promise<boolean> {
      const written = await tx.insert(recoveryPoints).values(row).onConflictDoNothing().returning();
      if (written.length > 0)
        await event('recovery_point.recover', row.id, { backupJobId: row.backupJobId, state: row.state });
      return written.length > 0;
    },
    async base(row: RecoveredRows['bases'][number]): Promise<boolean> {
      const written = await tx.insert(volumeBases).values(row).onConflictDoNothing().returning();
      if (written.length > 0)
        await event('volume_base.recover', row.volumeId, { recoveryPointId: row.recoveryPointId });
      return written.length > 0;
    },
  };
}

/**
 * Writes what a lost database knew of a tenant's points. In one transaction; a row that is there is left as it is, so that repeating it
 * changes nothing.
 *
 * @param db opened as the owner of the tables
 */
export function writeRecovered(db: Database, rows: RecoveredRows, deps: RecoveryDeps): Promise<RecoveryReport> {
  return db.transaction((tx) =>
    asOwner(tx, async () => {
      const writer = createWriter(tx, deps);
      const report = {
        ...(await writer.tenant()),
        points: { written: 0, there: 0 },
        bases: { written: 0, there: 0 },
      };
      for (const row of rows.points) report.points[(await writer.point(row)) ? 'written' : 'there'] += 1;
      for (const row of rows.bases) report.bases[(await writer.base(row)) ? 'written' : 'there'] += 1;
      return report;
    }),
  );
}
