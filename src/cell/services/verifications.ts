import { and, eq, inArray } from 'drizzle-orm';
import type { recoveryPoints } from '../db/schema/recovery-points.ts';
import { vaultVerifications } from '../db/schema/verifications.ts';
import type { TenantScope } from './scope.ts';

type RecoveryPointRow = typeof recoveryPoints.$inferSelect;
type VerificationRow = typeof vaultVerifications.$inferSelect;
/** A volume of a point, its manifest, and what is known of the volume's verification. */
type Volume = { volumeId: string; manifestKey: string; row: VerificationRow | undefined };

/** What an object that is damaged takes from one volume of one point. */
export type PointDamageView = {
  volumeId: string;
  class: VerificationRow['readDamage'][number]['class'];
  object: string;
  foundAt: string;
  blocks: number | null;
  firstBlock: number | null;
};

export type PointVerification = { lastExistence: Date | null; lastBytes: Date | null; damage: PointDamageView[] };

/** The earliest of these instants; null where one is missing, or was before the point was there. */
function sinceAll(instants: readonly (Date | null)[], createdTime: Date): Date | null {
  const known = instants.filter((instant) => instant !== null && instant >= createdTime) as Date[];
  const [earliest = null] = known.toSorted((a, b) => a.getTime() - b.getTime());
  return known.length === instants.length ? earliest : null;
}

const damageOf = ({ volumeId, manifestKey, row }: Volume): PointDamageView[] =>
  [...(row?.existenceDamage ?? []), ...(row?.readDamage ?? [])].flatMap(({ class: name, object, foundAt, points }) =>
    points
      .filter((point) => point.manifestKey === manifestKey)
      .map(({ blocks, firstBlock }) => ({ volumeId, class: name, object, foundAt, blocks, firstBlock })),
  );

/** What verification says of a point, by its volumes. Null: nothing of it lies in the vault, or none was looked at yet. Pure. */
export function verificationOf(
  { createdTime, volumes }: Pick<RecoveryPointRow, 'createdTime' | 'volumes'>,
  rows: readonly VerificationRow[],
): PointVerification | null {
  const inVault = volumes.flatMap(({ volumeId, manifestKey }): Volume[] =>
    manifestKey === null ? [] : [{ volumeId, manifestKey, row: rows.find((row) => row.volumeId === volumeId) }],
  );
  if (!inVault.some(({ row }) => row)) return null;
  const readSince = (row: VerificationRow | undefined) => (row?.cursor?.since ? new Date(row.cursor.since) : null);
  return {
    lastExistence: sinceAll(
      inVault.map(({ row }) => row?.existenceAt ?? null),
      createdTime,
    ),
    lastBytes: sinceAll(
      inVault.map(({ row }) => readSince(row)),
      createdTime,
    ),
    damage: inVault.flatMap(damageOf),
  };
}

/** The verification of a recovery point, as far as it is known. Only the worker verifies. */
export async function loadVerification(
  { tx, tenantId }: Omit<TenantScope, 'actor'>,
  point: RecoveryPointRow,
): Promise<PointVerification | null> {
  const volumeIds = point.volumes.map(({ volumeId }) => volumeId);
  const rows = await tx
    .select()
    .from(vaultVerifications)
    .where(and(eq(vaultVerifications.tenantId, tenantId), inArray(vaultVerifications.volumeId, volumeIds)));
  return verificationOf(point, rows);
}
