import { and, eq, inArray, sql } from 'drizzle-orm';
import type { Tx } from '../../db/client.ts';
import { condemnedObjects, vaultRuns } from '../../db/schema/garbage.ts';
import { volumeBases } from '../../db/schema/recovery-points.ts';
import { inTenant } from '../../db/tenancy.ts';
import { type Claim, withClaim } from '../claim.ts';
import { relatedVolumes } from '../related-volumes.ts';
import type { ConnectionRow, Worker } from '../worker.ts';

type Base = typeof volumeBases.$inferSelect;
type Related = Awaited<ReturnType<typeof relatedVolumes>>;

/** What a run may know of the vault. */
export type Entered = { base: Base | null; related: Related; condemned: ReadonlySet<string> };

async function runOf(tx: Tx, tenantId: string, volumeId: string, runId: string) {
  const one = and(eq(vaultRuns.tenantId, tenantId), eq(vaultRuns.volumeId, volumeId), eq(vaultRuns.runId, runId));
  return (await tx.select().from(vaultRuns).where(one))[0];
}

const union = (...lists: (readonly string[])[]) => [...new Set(lists.flat())];

/** Writes down what this try of a run may name and builds on, beside what its earlier tries did. */
async function enter(tx: Tx, claim: Claim, volumeId: string, known: { base: Base | null; related: Related }) {
  const { tenantId, jobId: runId } = claim;
  const { base, related = [] } = known;
  const before = await runOf(tx, tenantId, volumeId, runId);
  const built = base ? await runOf(tx, tenantId, volumeId, base.runId) : undefined;
  const isUnknown = (base && !built?.packsOf) || (before && !before.packsOf);
  const own = [volumeId, ...related.map((one) => one.volumeId)];
  const packsOf = isUnknown ? null : union(before?.packsOf ?? [], built?.packsOf ?? [], own);
  const buildsOn = union(before?.buildsOn ?? [], base ? [base.manifestKey] : []);
  await tx
    .insert(vaultRuns)
    .values({ tenantId, volumeId, runId, packsOf, buildsOn })
    .onConflictDoUpdate({
      target: [vaultRuns.tenantId, vaultRuns.volumeId, vaultRuns.runId],
      set: { packsOf, buildsOn },
    });
  return packsOf;
}

/**
 * Lets a run into the vault: it is written down, under its claim, what it may name and builds on; only then is read what is
 * condemned. So a collection that condemns something finds the run open, or the run finds it condemned.
 *
 * @throws Fault `stale_claim`, `aborted`
 */
export async function enterVault(
  worker: Worker,
  claim: Claim,
  connection: ConnectionRow,
  volumeId: string,
): Promise<Entered> {
  const { tenantId, id: connectionId } = connection;
  const entered = await withClaim(worker.db, claim, async (tx) => {
    const one = and(
      eq(volumeBases.tenantId, tenantId),
      eq(volumeBases.connectionId, connectionId),
      eq(volumeBases.volumeId, volumeId),
    );
    const [base = null] = await tx.select().from(volumeBases).where(one);
    const related = await relatedVolumes(tx, connection, volumeId);
    return { base, related, packsOf: await enter(tx, claim, volumeId, { base, related }) };
  });
  const { packsOf } = entered;
  const condemned = await inTenant(worker.db, tenantId, (tx) =>
    tx
      .select({ key: condemnedObjects.key })
      .from(condemnedObjects)
      .where(
        and(
          eq(condemnedObjects.tenantId, tenantId),
          packsOf ? inArray(condemnedObjects.volumeId, packsOf) : undefined,
          sql`${condemnedObjects.key} like '%/packs/%'`,
        ),
      ),
  );
  return { ...entered, condemned: new Set(condemned.map(({ key }) => key)) };
}
