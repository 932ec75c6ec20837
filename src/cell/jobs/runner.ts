import { PROBLEMS } from '../../contract/problems.ts';
import { Fault, type FaultCode, isFault, toFault } from '../../core/faults.ts';
import { audit } from '../db/audit.ts';
import type { Blocked, JobProblem, JobProgress } from '../db/schema/jobs.ts';
import { inTenant } from '../db/tenancy.ts';
import {
  type Claim,
  claimJob,
  type JobChange,
  type JobRef,
  type JobRow,
  reportProgress,
  withClaim,
  writeJob,
} from './claim.ts';
import type { Worker } from './worker.ts';

/** How soon a job that found its instance busy looks again. */
const BUSY_WAIT_MS = 2_000;
/** How soon a blocked job looks whether its cause is gone: soon at first, then every five minutes. */
const BLOCKED_WAIT_MS = { soon: 15_000, later: 300_000, soonAttempts: 8 };
const RETRY_ATTEMPTS_MAX = 8;
const RETRY_WAIT_MS = 1_000;
const PROGRESS_EVERY_MS = 1_000;

/** Causes that go away without us: the job waits for them, and resumes by itself. */
const BLOCKING: Partial<Record<FaultCode, Blocked['reason']>> = {
  role_not_assumable: 'role',
  role_insecure: 'role',
  missing_permission: 'role',
  connection_not_usable: 'role',
  key_access_denied: 'key',
  key_unavailable: 'key',
  store_unavailable: 'store',
  aws_quota_exceeded: 'quota',
};

/** What a job's own code is given: its claim, a signal that ends it, and a way to say how far it is. */
export type JobRun = { claim: Claim; signal: AbortSignal; report: (progress: JobProgress) => void };
export type JobKind<Row extends JobRow> = {
  table: JobRef['table'];
  /** Does the work. Whatever must not happen twice is done through `withClaim`; returns what was written last. */
  run(worker: Worker, row: Row, run: JobRun): Promise<void>;
  /** Removes what a job that will not go on has made, and records what it could not remove. Best effort. */
  cleanUp(worker: Worker, row: Row, claim: Claim): Promise<void>;
};

function problemOf(fault: Fault): JobProblem {
  const facts = Object.keys(fault.facts).length > 0 ? { facts: { ...fault.facts } } : {};
  return { code: fault.code, title: PROBLEMS[fault.code].title, detail: fault.message, retry: fault.retry, ...facts };
}

type Verdict = {
  change: JobChange & { state: NonNullable<JobChange['state']> };
  againInMs: number | null;
  giveUp: boolean;
};

/** What becomes of a job that ended with this fault. Pure. */
export function verdictOf(fault: Fault, attempts: number, now: Date): Verdict {
  if (fault.code === 'aborted')
    return { change: { state: 'ABORTED', completedAt: now, blocked: null }, againInMs: null, giveUp: true };
  const reason = BLOCKING[fault.code];
  if (reason) {
    const againInMs = attempts <= BLOCKED_WAIT_MS.soonAttempts ? BLOCKED_WAIT_MS.soon : BLOCKED_WAIT_MS.later;
    return {
      change: { state: 'PENDING', blocked: { reason, detail: fault.message, since: now.toISOString() } },
      againInMs,
      giveUp: false,
    };
  }
  if (fault.retry !== 'never' && attempts < RETRY_ATTEMPTS_MAX) {
    const againInMs = RETRY_WAIT_MS * 2 ** attempts * (0.5 + (crypto.getRandomValues(new Uint8Array(1))[0] ?? 0) / 256);
    return { change: { state: 'PENDING', blocked: null }, againInMs, giveUp: false };
  }
  return {
    change: { state: 'FAILED', completedAt: now, blocked: null, problem: problemOf(fault) },
    againInMs: null,
    giveUp: true,
  };
}

/** Writes progress at most once a second, the newest only; learns from it when the job is to end. */
function createReporter(worker: Worker, claim: Claim, controller: AbortController) {
  let waiting: JobProgress | null = null;
  let writing: Promise<void> = Promise.resolve();
  const flush = () => {
    const progress = waiting;
    if (!progress) return;
    waiting = null;
    writing = writing
      .then(() => reportProgress(worker.db, claim, progress, worker.clock.now()))
      .catch((error: unknown) => controller.abort(toFault(error)));
  };
  const timer = setInterval(flush, PROGRESS_EVERY_MS);
  let last: JobProgress | null = null;
  // A job without news still looks whether it is to end.
  const heartbeat = setInterval(() => {
    waiting ??= last;
  }, 3 * PROGRESS_EVERY_MS);
  return {
    report(progress: JobProgress) {
      waiting = progress;
      last = progress;
    },
    async stop() {
      clearInterval(timer);
      clearInterval(heartbeat);
      await writing;
    },
  };
}

/** Writes what becomes of a job that stopped, and asks for it again where it is to go on. */
async function settle(worker: Worker, claim: Claim, fault: Fault, blockedBefore: Blocked | null): Promise<void> {
  const now = worker.clock.now();
  const { change, againInMs } = verdictOf(fault, claim.attempts, now);
  // Blocked since it was blocked first, not since it was tried last.
  const since = blockedBefore?.since;
  const blocked = change.blocked && since ? { ...change.blocked, since } : change.blocked;
  const wanted = { ...change, ...(blocked === undefined ? {} : { blocked }) };
  const { tenantId, jobId, table } = claim;
  const work: Parameters<typeof withClaim<void>>[2] = async (tx, current) => {
    const ends = current.state === 'ABORTING' && wanted.state === 'PENDING';
    const written = ends ? { state: 'ABORTED' as const, completedAt: now, blocked: null } : wanted;
    await writeJob(tx, claim, written, now);
    if (written.state === 'PENDING') {
      return worker.enqueue(
        tx,
        { kind: table, tenantId, jobId },
        { startAfter: new Date(now.getTime() + (againInMs ?? 0)) },
      );
    }
    const action = `${table}_job.${written.state.toLowerCase()}`;
    const actor = { type: 'system' as const, id: 'worker' };
    await audit(tx, {
      tenantId,
      cell: worker.region.cell,
      now,
      actor,
      action,
      resource: jobId,
      details: { code: fault.code },
    });
  };
  await withClaim(worker.db, claim, work, { evenIfAborting: true });
}

/** Runs a delivered job: claims it, does it, and turns whatever stops it into a state with a reason. Never throws for a job's own fault. */
export async function runJob<Row extends JobRow>(
  worker: Worker,
  kind: JobKind<Row>,
  job: Omit<JobRef, 'table'>,
): Promise<void> {
  const ref: JobRef = { table: kind.table, ...job };
  const claimed = await claimJob(worker.db, ref, worker.clock.now());
  if (claimed.kind === 'over') return;
  if (claimed.kind === 'busy') {
    const startAfter = new Date(worker.clock.now().getTime() + BUSY_WAIT_MS);
    await inTenant(worker.db, job.tenantId, (tx) => worker.enqueue(tx, { kind: kind.table, ...job }, { startAfter }));
    return;
  }
  const { claim, row } = claimed;
  const controller = new AbortController();
  const reporter = createReporter(worker, claim, controller);
  try {
    if (row.state === 'ABORTING') throw new Fault('aborted', 'The job was aborted on request.');
    await kind.run(worker, row as Row, {
      claim,
      signal: controller.signal,
      report: (progress) => reporter.report(progress),
    });
  } catch (error) {
    const cause: unknown = controller.signal.aborted ? controller.signal.reason : error;
    const fault = toFault(cause);
    if (fault.code === 'stale_claim') return worker.log.log('info', 'job.taken_over', { jobId: job.jobId });
    const { jobId, tenantId } = job;
    const { giveUp, change } = verdictOf(fault, claim.attempts, worker.clock.now());
    worker.log.log(
      giveUp ? 'warn' : 'info',
      'job.stopped',
      { jobId, tenantId, code: fault.code, state: change.state },
      fault,
    );
    if (giveUp)
      await kind
        .cleanUp(worker, row as Row, claim)
        .catch((failure: unknown) => worker.log.log('warn', 'job.cleanup_failed', { jobId }, failure));
    await settle(worker, claim, fault, row.blocked).catch((failure: unknown) => {
      if (!isFault(failure, 'stale_claim')) throw failure;
    });
  } finally {
    await reporter.stop();
  }
}
