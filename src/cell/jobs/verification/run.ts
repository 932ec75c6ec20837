import { isFault, toFault } from '../../../core/faults.ts';
import { openVerification, type VerifyDeps } from '../../../vault/verify.ts';
import { NEW_CURSOR } from '../../../vault/verify-cursor.ts';
import { inTenant } from '../../db/tenancy.ts';
import { verifyLanes } from '../lane-use.ts';
import { inVault } from '../vault-principals.ts';
import type { TenantVault, Worker } from '../worker.ts';
import {
  CLAIM_MS,
  claimVerification,
  forgetOthers,
  recordVerification,
  type VerificationClaim,
  type VerificationKind,
  type VerificationRow,
} from './claim.ts';
import { manifestsInVault } from './points.ts';

/** Read between two notes of how far it is. */
const STEP_BYTES = 2 ** 30;
/** A day's share that takes longer is left, and what is missing is added to the next days'. */
const SHARE_MS_MAX = 20 * 3_600_000;

export type VerificationOptions = { signal: AbortSignal; bytesPerSec: number };

/** A claimed verification of one volume. `signal` is aborted when the worker stops or loses the claim. */
type Run = {
  claim: VerificationClaim;
  row: VerificationRow;
  manifestKeys: readonly string[];
  signal: AbortSignal;
  bytesPerSec: number;
};

const depsOf = (worker: Worker, vault: TenantVault): VerifyDeps => ({
  store: vault.store,
  keys: vault.keys,
  clock: worker.clock,
  ...verifyLanes(worker, vault),
});

/** Looks whether everything is there, and records it. */
async function look(worker: Worker, vault: TenantVault, { claim, manifestKeys, signal }: Run) {
  const existenceAt = worker.clock.now();
  const { tenantId, volumeId } = claim;
  const input = { cell: worker.region.cell, tenantId, volumeId, manifestKeys };
  const verification = await openVerification(depsOf(worker, vault), input, { signal });
  await recordVerification(worker, claim, { existenceAt }, { existence: verification.damage });
  return verification;
}

/** Reads today's share of a volume, in steps; before it, what was found damaged on an earlier day. */
async function readShare(worker: Worker, vault: TenantVault, run: Run): Promise<void> {
  const { claim, row, signal, bytesPerSec } = run;
  const readAt = worker.clock.now();
  const verification = await look(worker, vault, run);
  const limits = { bytesPerSec, signal, deadline: new Date(readAt.getTime() + SHARE_MS_MAX) };
  const again = new Set(row.readDamage.map(({ object }) => object));
  let read = await verification.readAgain(again, limits);
  let cursor = row.cursor ?? NEW_CURSOR;
  let left = verification.dailyBytes(cursor, readAt);
  for (let isOver = signal.aborted; !isOver; ) {
    const step = await verification.read(cursor, { ...limits, budgetBytes: Math.min(left, STEP_BYTES) });
    ({ cursor } = step);
    left -= step.bytes;
    const known = new Set(read.map(({ object }) => object));
    read = [...read, ...step.damage.filter(({ object }) => !known.has(object))];
    isOver = step.isRound || step.objects === 0;
    const isDone = isOver && !signal.aborted;
    await recordVerification(worker, claim, { cursor, ...(isDone ? { readAt } : {}) }, { read });
  }
}

/** Renews a claim until `over`, and says when it is lost. */
async function keepClaim(worker: Worker, claim: VerificationClaim, over: AbortSignal, lost: AbortController) {
  const { clock } = worker;
  for (;;) {
    await clock.sleep(CLAIM_MS / 3, over);
    if (over.aborted) return;
    const claimedUntil = new Date(clock.now().getTime() + CLAIM_MS);
    // A database that is away for a moment costs a renewal, not the claim.
    await recordVerification(worker, claim, { claimedUntil }).catch((error: unknown) => {
      if (isFault(error, 'stale_claim')) lost.abort(error);
    });
  }
}

type Work = (worker: Worker, vault: TenantVault, run: Run) => Promise<unknown>;
const WORK: Record<VerificationKind, Work> = { existence: look, reading: readShare };

/** Does what is due for one volume, if nobody else is at it. An error says nothing about the vault: it is tried again. */
async function verifyDue(
  worker: Worker,
  kind: VerificationKind,
  volume: { tenantId: string; volumeId: string },
  options: VerificationOptions,
): Promise<void> {
  const { tenantId, volumeId } = volume;
  const claimed = await claimVerification(worker.db, volume, kind, worker.clock.now());
  if (!claimed) return;
  const { claim, row } = claimed;
  const [over, lost] = [new AbortController(), new AbortController()];
  const keeping = keepClaim(worker, claim, over.signal, lost);
  const signal = AbortSignal.any([options.signal, lost.signal]);
  try {
    const all = await inTenant(worker.db, tenantId, (tx) => manifestsInVault(tx, tenantId));
    const manifestKeys = [...(all.get(volumeId) ?? [])];
    await inVault(worker, { principal: 'scrubber', tenantId }, (vault) =>
      WORK[kind](worker, vault, { claim, row, manifestKeys, signal, bytesPerSec: options.bytesPerSec }),
    );
  } catch (error) {
    const { code } = toFault(error);
    if (code === 'stale_claim' || code === 'aborted' || options.signal.aborted) return;
    worker.log.log('warn', 'vault_verification.failed', { tenantId, volumeId, kind, code }, error);
  } finally {
    over.abort();
    await keeping;
    await recordVerification(worker, claim, { claimedUntil: null }).catch(() => {}); // It runs out by itself.
  }
}

/**
 * Verifies every volume of a tenant for which it is due: `existence` (is everything there, and do manifests and keys open?) each day,
 * `reading` the day's share of all bytes, so that each is read within 30 days. Works as the vault's scrubber, reports, and never repairs.
 */
export async function verifyVault(
  worker: Worker,
  tenantId: string,
  kind: VerificationKind,
  options: VerificationOptions,
): Promise<void> {
  const volumeIds = await inTenant(worker.db, tenantId, async (tx) => {
    const all = [...(await manifestsInVault(tx, tenantId)).keys()];
    await forgetOthers(tx, tenantId, all);
    return all;
  });
  for (const volumeId of volumeIds) {
    if (options.signal.aborted) return;
    await verifyDue(worker, kind, { tenantId, volumeId }, options);
  }
}
