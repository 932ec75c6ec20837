import type { Context, Hono } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import * as contract from '../../contract/jobs.ts';
import { restoreJobEvents } from '../../contract/restore-jobs.ts';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import type { Logger } from '../../core/log.ts';
import type { EventBatch, JobEvents, JobKind, JobRef } from '../services/job-events.ts';
import type { Operation } from './contract-types.ts';
import type { ApiEnv } from './env.ts';
import { readInput } from './input.ts';
import { loggable } from './problems.ts';

/** Proxies and browsers give up on a silent stream after half a minute or so. */
const HEARTBEAT_MS = 15_000;
export const EVENT_POLL_MS = 500;

type Deps = { app: Hono<ApiEnv>; jobEvents: JobEvents; clock: Clock; log: Logger; pollMs: number };

function lastEventId(c: Context): number {
  const text = c.req.header('last-event-id');
  if (text === undefined || text === '') return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Fault('invalid_request', 'Last-Event-ID is not an id of this stream.', {
    violations: [{ pointer: 'header:last-event-id', detail: 'must be the id of an event of this job' }],
  });
}

/** Sends what there is, then looks again, until the job is over or the client is gone. */
async function pump(deps: Deps, stream: SSEStreamingApi, job: JobRef, first: EventBatch): Promise<void> {
  const { jobEvents, clock, pollMs } = deps;
  const gone = new AbortController();
  stream.onAbort(() => gone.abort());
  let lastSent = clock.now().getTime();
  for (let batch = first; !stream.aborted; batch = await jobEvents.read(job, batch.seq)) {
    for (const event of batch.events) await stream.writeSSE(event);
    if (batch.ended) return;
    const now = clock.now().getTime();
    const silent = batch.events.length === 0 && now - lastSent >= HEARTBEAT_MS;
    if (silent) await stream.write(': still here\n\n');
    if (silent || batch.events.length > 0) lastSent = now;
    if (!batch.more) await clock.sleep(pollMs, gone.signal);
  }
}

function follow(deps: Deps, operation: Operation, kind: JobKind): void {
  deps.app.get(operation.getRoutingPath(), async (c) => {
    const { caller, requestId } = c.var;
    if (caller.kind !== 'tenant') throw new Fault('forbidden', "This needs a tenant's key (dk_…).");
    await readInput(c, operation);
    const job = { tenantId: caller.tenantId, kind, id: c.req.param('id') ?? '' };
    const first = await deps.jobEvents.read(job, lastEventId(c)); // a job that is not there is a problem, no stream
    c.header('x-accel-buffering', 'no');
    return streamSSE(c, async (stream) => {
      try {
        await pump(deps, stream, job, first);
      } catch (error) {
        deps.log.log('warn', 'events.interrupted', { requestId }, loggable(error)); // the client asks again, from its last id
      }
    });
  });
}

/** The event streams of jobs. They poll: between two polls a stream holds no connection of the database. */
export function eventRoutes(deps: Deps): void {
  follow(deps, contract.backupJobEvents, 'backup');
  follow(deps, restoreJobEvents, 'restore');
}
