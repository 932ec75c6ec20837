import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import type { Damage } from '../../vault/damage.ts';
import { rootKey, type VolumeScope } from '../../vault/layout.ts';
import { openVerification } from '../../vault/verify.ts';
import type { OpenVerifyLanes } from '../../vault/verify-bytes.ts';
import { createVerifyLane } from '../../vault/verify-lane.ts';
import type { OpenVault } from './open.ts';
import { openThreads, threadsFor } from './threads/pool.ts';
import type { VerifyState } from './verify-state.ts';

/** After so much reading, where it stands is saved. More than any one object. */
const CHUNK_BYTES = 512 * 2 ** 20;

/** What a verification of one volume has found. */
export type VolumeReport = {
  volumeId: string;
  points: number;
  objects: number;
  blocks: number;
  bytes: number;
  /** Every byte that the points need was read in the round that ends here. */
  complete: boolean;
  damage: readonly Damage[];
};

export type VerifyHow = {
  clock: Clock;
  signal: AbortSignal;
  state: VerifyState;
  existenceOnly: boolean;
  bytesPerSec: number | undefined;
  /** How many threads read; by what there is to read, where it was not said. */
  threads: number | undefined;
  /** Told of bytes that were read and proved, as they are. */
  onBytes: (bytes: number) => void;
};

/** The scope of a volume, by the first of its points that tells it: any may be damaged. */
async function scopeOf(vault: OpenVault, volumeId: string, runs: readonly string[]): Promise<VolumeScope> {
  const failures: unknown[] = [];
  for (const runId of runs) {
    try {
      const { cell, tenantId } = await vault.point({ volumeId, runId });
      return { cell, tenantId, volumeId };
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0] ?? new Fault('not_found', `There is no point of volume ${volumeId}.`);
}

type Verification = Awaited<ReturnType<typeof openVerification>>;

/** Reads to the end of the round, or until it is interrupted; what it needs to go on is saved on the way. */
async function readRound(
  verification: Verification,
  volumeId: string,
  how: VerifyHow,
): Promise<Omit<VolumeReport, 'points'>> {
  const { signal, bytesPerSec, state, onBytes } = how;
  const limits = { signal, onBytes, ...(bytesPerSec === undefined ? {} : { bytesPerSec }) };
  let { cursor, bytesLeft, damage } = state.of(volumeId);
  if (bytesLeft <= 0) [bytesLeft, damage] = [verification.bytes, []];
  const { round } = cursor;
  const counts = { objects: 0, blocks: 0, bytes: 0 };
  let complete = false;
  while (!complete && !signal.aborted) {
    const budgetBytes = bytesLeft > 0 ? Math.min(CHUNK_BYTES, bytesLeft) : CHUNK_BYTES;
    const read = await verification.read(cursor, { ...limits, budgetBytes });
    complete = read.isRound || read.cursor.round > round;
    cursor = read.cursor;
    bytesLeft = complete || read.objects === 0 ? 0 : bytesLeft - read.bytes;
    damage = [...damage, ...read.damage];
    for (const name of ['objects', 'blocks', 'bytes'] as const) counts[name] += read[name];
    await state.save(volumeId, { cursor, bytesLeft, damage });
    if (read.objects === 0 && budgetBytes === CHUNK_BYTES) break;
  }
  return { volumeId, ...counts, complete, damage };
}

/**
 * Verifies these points of one volume: that everything they need is there, and then every byte of it. Repairs nothing.
 *
 * @throws Fault `store_unavailable`, `key_unavailable`; the class of the first point's damage when none can be opened at all
 */
export async function verifyOne(
  vault: OpenVault,
  { volumeId, runs }: { volumeId: string; runs: readonly string[] },
  how: VerifyHow,
): Promise<VolumeReport> {
  const scope = await scopeOf(vault, volumeId, runs);
  const manifestKeys = runs.map((runId) => rootKey(volumeId, runId));
  const { clock, signal } = how;
  const pool: { threads: ReturnType<typeof openThreads> | null } = { threads: null };
  const openVerifyLanes: OpenVerifyLanes = async (start) => {
    const count = threadsFor(how.threads, verification.bytes);
    if (count > 1) pool.threads ??= openThreads(count, vault);
    return pool.threads ? pool.threads.verify(start) : [createVerifyLane({ store: vault.store, ...start })];
  };
  const deps = { ...vault, clock, openVerifyLanes };
  const verification = await openVerification(deps, { ...scope, manifestKeys }, { signal });
  const points = runs.length;
  const { damage } = verification;
  if (how.existenceOnly) return { volumeId, points, objects: 0, blocks: 0, bytes: 0, complete: false, damage };
  try {
    const read = await readRound(verification, volumeId, how);
    return { points, ...read, damage: [...damage, ...read.damage] };
  } finally {
    await pool.threads?.stop();
  }
}
