import { and, eq, notInArray } from 'drizzle-orm';
import { Fault } from '../../../core/faults.ts';
import { audit } from '../../db/audit.ts';
import type { Database, Tx } from '../../db/client.ts';
import { vaultVerifications } from '../../db/schema/verifications.ts';
import { inTenant } from '../../db/tenancy.ts';
import type { Worker } from '../worker.ts';
import { type FoundNow, type Settled, settleDamage } from './damage.ts';
import { manifestsInVault } from './points.ts';

export type VerificationRow = typeof vaultVerifications.$inferSelect;
type VolumeRef = { tenantId: string; volumeId: string };
/** The right to verify a volume, until another claim of it is made. */
export type VerificationClaim = VolumeRef & { fence: number };

/** Which of the two is to be done. */
export type VerificationKind = 'existence' | 'reading';

/** A claim that is not renewed for so long is given up. */
export const CLAIM_MS = 10 * 60_000;
/** How long after the last time it is due again: each is done within a day, with room for what else is due. */
const DUE_MS: Record<VerificationKind, number> = { existence: 20 * 3_600_000, reading: 24 * 3_600_000 };

const one = ({ tenantId, volumeId }: VolumeRef) =>
  and(eq(vaultVerifications.tenantId, tenantId), eq(vaultVerifications.volumeId, volumeId));

const lock = async (tx: Tx, volume: VolumeRef): Promise<VerificationRow | undefined> =>
  (await tx.select().from(vaultVerifications).where(one(volume)).for('update'))[0];

/** Takes a volume whose verification is due, with its row. Null: it is not due, or somebody else is at it. */
export function claimVerification(
  db: Database,
  volume: VolumeRef,
  kind: VerificationKind,
  now: Date,
): Promise<{ claim: VerificationClaim; row: VerificationRow } | null> {
  return inTenant(db, volume.tenantId, async (tx) => {
    await tx.insert(vaultVerifications).values(volume).onConflictDoNothing();
    const row = await lock(tx, volume);
    if (!row || (row.claimedUntil !== null && row.claimedUntil > now)) return null;
    const last = kind === 'existence' ? row.existenceAt : row.readAt;
    if (last !== null && now.getTime() - last.getTime() < DUE_MS[kind]) return null;
    const fence = row.fence + 1;
    const claimedUntil = new Date(now.getTime() + CLAIM_MS);
    await tx.update(vaultVerifications).set({ fence, claimedUntil }).where(one(volume));
    return { claim: { ...volume, fence }, row };
  });
}

type Change = Partial<Pick<VerificationRow, 'existenceAt' | 'readAt' | 'cursor' | 'claimedUntil'>>;

/** One event and one line for each object that was not known to be damaged, and for each that is no more. */
async function tell(tx: Tx, worker: Worker, { tenantId, volumeId }: VolumeRef, { news, over }: Settled): Promise<void> {
  const now = worker.clock.now();
  const actor = { type: 'system' as const, id: 'verification' };
  const event = { tenantId, cell: worker.region.cell, now, actor, resource: volumeId };
  for (const { class: name, object, points } of news) {
    const details = { class: name, object, points: points.length };
    await audit(tx, { ...event, action: 'vault.damage_found', details });
    worker.log.log('error', 'vault.damage_found', { tenantId, volumeId, ...details });
  }
  for (const object of over) {
    await audit(tx, { ...event, action: 'vault.damage_over', details: { object } });
    worker.log.log('info', 'vault.damage_over', { tenantId, volumeId, object });
  }
}

/**
 * Records how far a claimed verification is and what it found, in one transaction with the events of what is new.
 *
 * @throws Fault `stale_claim` when another worker has taken over
 */
export function recordVerification(
  worker: Worker,
  claim: VerificationClaim,
  change: Change,
  found: FoundNow = {},
): Promise<VerificationRow> {
  const { tenantId, volumeId } = claim;
  return inTenant(worker.db, tenantId, async (tx) => {
    const row = await lock(tx, claim);
    if (row?.fence !== claim.fence) throw new Fault('stale_claim', 'Another worker has taken over this verification.');
    const manifestKeys = (await manifestsInVault(tx, tenantId)).get(volumeId) ?? new Set<string>();
    const before = { existence: row.existenceDamage, read: row.readDamage };
    const settled = settleDamage(before, found, { at: worker.clock.now(), manifestKeys });
    const { existence, read } = settled.known;
    const after = { ...change, existenceDamage: [...existence], readDamage: [...read] };
    await tx.update(vaultVerifications).set(after).where(one(claim));
    await tell(tx, worker, claim, settled);
    return { ...row, ...after };
  });
}

/** Forgets volumes that have nothing in the vault any more. */
export async function forgetOthers(tx: Tx, tenantId: string, volumeIds: readonly string[]): Promise<void> {
  const others = volumeIds.length === 0 ? undefined : notInArray(vaultVerifications.volumeId, [...volumeIds]);
  await tx.delete(vaultVerifications).where(and(eq(vaultVerifications.tenantId, tenantId), others));
}
