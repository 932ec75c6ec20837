import { and, asc, eq, gt } from 'drizzle-orm';
import type { Database, Tx } from '../db/client.ts';
import { backupJobs, type JobState, jobEvents, restoreJobs } from '../db/schema/jobs.ts';
import { inTenant } from '../db/tenancy.ts';
import { found, wellFormed } from './absence.ts';
import { backupJobView, restoreJobView } from './job-views.ts';

export type JobKind = 'backup' | 'restore';
export type JobRef = { tenantId: string; kind: JobKind; id: string };

/** One server-sent event; `id` is what Last-Event-ID names. */
type StreamEvent = { id: string; event: 'progress' | 'state'; data: string };
/** `seq`: where to read on. `more`: read again at once. `ended`: the job is over and everything has been read. */
export type EventBatch = { events: StreamEvent[]; seq: number; more: boolean; ended: boolean };

const BATCH_MAX = 500;
const FINAL: readonly JobState[] = ['COMPLETED', 'PARTIAL', 'FAILED', 'ABORTED', 'EXPIRED'];

async function viewOf(tx: Tx, { tenantId, kind, id }: JobRef) {
  if (kind === 'backup') {
    const one = and(eq(backupJobs.tenantId, tenantId), eq(backupJobs.id, wellFormed('backupJob', id, 'backup job')));
    return backupJobView(found((await tx.select().from(backupJobs).where(one))[0], 'backup job'));
  }
  const one = and(eq(restoreJobs.tenantId, tenantId), eq(restoreJobs.id, wellFormed('restoreJob', id, 'restore job')));
  return restoreJobView(found((await tx.select().from(restoreJobs).where(one))[0], 'restore job'));
}

/**
 * A job's events, in the order of their `seq`. That order is the order of commits, because whoever writes an event of a
 * job has locked the job's row first.
 */
export function createJobEvents({ db }: { db: Database }) {
  return {
    /**
     * What came after `after`: every state, and of a run of progress events the last. A `state` event carries the whole
     * job: as it is now, and over that what the event itself recorded.
     *
     * @throws Fault `not_found`
     */
    read(job: JobRef, after: number): Promise<EventBatch> {
      return inTenant(db, job.tenantId, async (tx) => {
        const view = await viewOf(tx, job);
        const rows = await tx
          .select()
          .from(jobEvents)
          .where(and(eq(jobEvents.tenantId, job.tenantId), eq(jobEvents.jobId, job.id), gt(jobEvents.seq, after)))
          .orderBy(asc(jobEvents.seq))
          .limit(BATCH_MAX);
        const wanted = rows.filter((row, i) => row.type === 'state' || rows[i + 1]?.type !== 'progress');
        const events = wanted.map(({ seq, type, data }) => ({
          id: String(seq),
          event: type,
          data: JSON.stringify(type === 'state' ? { ...view, ...data } : data),
        }));
        const more = rows.length === BATCH_MAX;
        return { events, seq: rows.at(-1)?.seq ?? after, more, ended: !more && FINAL.includes(view.state) };
      });
    },
  };
}

export type JobEvents = ReturnType<typeof createJobEvents>;
