import { audit } from '../../db/audit.ts';
import type { RestoreJobRow } from '../../services/job-views.ts';
import { type Claim, lockJob, withClaim, writeJob } from '../claim.ts';
import { inParallel } from '../parallel.ts';
import type { JobKind, JobRun } from '../runner.ts';
import { createTotals } from '../totals.ts';
import type { Worker } from '../worker.ts';
import { loadSource, type RestoreContext } from './context.ts';
import { dryRun } from './dry-run.ts';
import { restoreInPlace, undoInPlace } from './in-place.ts';
import { restoreToInstance, type RestoredWhole, type Snapshotted } from './instance.ts';
import { openJournal } from './journal.ts';
import { snapshotOf } from './snapshots.ts';
import { tidyUp } from './tidy.ts';
import { restoredVolume, restoreToVolume } from './volumes.ts';
import { inTenant } from '../../db/tenancy.ts';

const VOLUMES_AT_ONCE = 2;

type Ended = Partial<Pick<RestoreJobRow, 'volumes' | 'instance' | 'checks' | 'cost' | 'leftovers'>>;

async function commit(worker: Worker, row: RestoreJobRow, job: JobRun, ended: Ended): Promise<void> {
  const now = worker.clock.now();
  await withClaim(worker.db, job.claim, async (tx, current) => {
    const progress = { ...current.progress, percent: 100, step: 'done' };
    await writeJob(tx, job.claim, { state: 'COMPLETED', completedAt: now, progress, ...ended }, now);
    const actor = { type: 'system' as const, id: 'worker' };
    const details = { recoveryPointId: row.recoveryPointId, dryRun: row.dryRun };
    await audit(tx, {
      tenantId: row.tenantId,
      cell: worker.region.cell,
      now,
      actor,
      action: 'restore_job.completed',
      resource: row.id,
      details,
    });
  });
}

/** The snapshots of all chosen volumes: what every kind of restore begins with. */
async function snapshotAll(context: RestoreContext, job: JobRun): Promise<Snapshotted[]> {
  const onVolume = createTotals('restoring', job.report);
  const taken: Snapshotted[] = [];
  await inParallel(context.volumes, VOLUMES_AT_ONCE, async (volume) => {
    const from = await snapshotOf(context, volume, (progress) => onVolume(volume.volumeId, progress));
    taken.push({ volume, from });
  });
  // In the order of the point, whichever was done first.
  return taken.toSorted((a, b) => context.volumes.indexOf(a.volume) - context.volumes.indexOf(b.volume));
}

async function build(context: RestoreContext, snapshots: readonly Snapshotted[]): Promise<RestoredWhole | Ended> {
  const { row, journal } = context;
  if (row.mode === 'inPlace') return restoreInPlace(context, snapshots);
  if (row.type === 'instance') return restoreToInstance(context, snapshots);
  if (row.type === 'volume') {
    const volumes: RestoredWhole['volumes'] = [];
    for (const { volume, from } of snapshots) volumes.push(await restoreToVolume(context, volume, from));
    return { volumes };
  }
  for (const { step, kind } of journal.all()) if (kind === 'snapshot') await journal.mark(step, { result: true });
  return { volumes: snapshots.map(({ volume, from }) => restoredVolume(volume, from, null)) };
}

async function run(worker: Worker, row: RestoreJobRow, job: JobRun): Promise<void> {
  const step = (name: string) =>
    job.report({ blocksDone: 0, blocksTotal: null, bytesStored: 0, percent: null, step: name });
  step('preparing');
  const source = await loadSource(worker, row);
  const context = { worker, row, signal: job.signal, ...source };
  if (row.dryRun) return commit(worker, row, job, await dryRun(context));
  const restore: RestoreContext = { ...context, journal: openJournal(worker, job.claim, row) };
  const snapshots = await snapshotAll(restore, job);
  if (row.type === 'instance') step(row.mode === 'inPlace' ? 'replacing volumes' : 'launching the instance');
  const built = await build(restore, snapshots);
  const leftovers = await tidyUp(restore);
  const { volumes = [], instance = null } = built;
  await commit(worker, row, job, { volumes, instance, leftovers, checks: 'notes' in built ? built.notes : [] });
}

/** Takes back what a restore made that will not go on, and names what could not be removed. */
async function cleanUp(worker: Worker, stale: RestoreJobRow, claim: Claim): Promise<void> {
  if (stale.dryRun) return;
  const row = await inTenant(worker.db, claim.tenantId, (tx) => lockJob(tx, claim));
  if (!row || !('made' in row) || row.made.length === 0) return;
  const journal = openJournal(worker, claim, row);
  const made = row.made.filter(({ step: name }) => name !== 'stopped' && !name.startsWith('previous '));
  const name = (leftovers: string[]) =>
    withClaim(worker.db, claim, (tx) => writeJob(tx, claim, { leftovers }, worker.clock.now()), {
      evenIfAborting: true,
    });
  // Named first: whatever happens next, nothing of it is forgotten.
  await name(made.map(({ id }) => id));
  const source = await loadSource(worker, row);
  const context: RestoreContext = { worker, row, journal, signal: new AbortController().signal, ...source };
  if (row.mode === 'inPlace') await undoInPlace(context);
  await name(
    await tidyUp(
      context,
      made.map((one) => ({ ...one, result: false })),
    ),
  );
}

/** Restore jobs: from the vault, or from snapshots of the account, to snapshots, volumes and instances. */
export const restoreKind: JobKind<RestoreJobRow> = { table: 'restore', run, cleanUp };
