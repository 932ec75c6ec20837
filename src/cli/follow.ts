import type { Answer, Api } from './api-client.ts';
import type { Clock } from '../core/clock.ts';
import { serverEvents } from './event-stream.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';

export type BackupJob = Answer<'GET /v1/backup-jobs/{id}'>;
export type RestoreJob = Answer<'GET /v1/restore-jobs/{id}'>;
export type Job = BackupJob | RestoreJob;
export type JobEvent = { type: 'progress'; progress: Job['progress'] } | { type: 'state'; job: Job };

const FINAL: readonly Job['state'][] = ['COMPLETED', 'PARTIAL', 'FAILED', 'ABORTED', 'EXPIRED'];
const SILENT_CONNECTIONS_MAX = 10;
const RECONNECT_DELAY_MS = 250;
const RECONNECT_DELAY_MAX_MS = 10_000;

/** Has this job ended for good? */
function isFinal(job: Job): boolean {
  return FINAL.includes(job.state);
}

function parseEvent(type: string, data: string): JobEvent | null {
  if (type === 'progress') return { type, progress: JSON.parse(data) as Job['progress'] };
  return type === 'state' ? { type, job: JSON.parse(data) as Job } : null;
}

/** A lost connection and a passing failure are worth a reconnection; a refusal is not. */
function giveUp(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || (error instanceof Failure && error.exitCode !== EXIT.unreachable);
}

/**
 * The events of a job until its final state, across lost connections: each new connection asks for what came after the
 * last event that was seen.
 *
 * @throws Failure when the job is refused, or when ten connections in a row brought nothing
 */
export async function* jobEvents(
  api: Api,
  id: string,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): AsyncGenerator<JobEvent> {
  const operation = id.startsWith('rjob_') ? 'GET /v1/restore-jobs/{id}/events' : 'GET /v1/backup-jobs/{id}/events';
  let lastEventId = '';
  let failure: unknown = null;
  for (let silent = 0; silent < SILENT_CONNECTIONS_MAX; silent += 1) {
    if (silent > 0) await clock.sleep(Math.min(RECONNECT_DELAY_MAX_MS, RECONNECT_DELAY_MS * 2 ** (silent - 1)), signal);
    try {
      for await (const { type, data, id: eventId } of serverEvents(await api.events(operation, id, lastEventId))) {
        const event = parseEvent(type, data);
        if (eventId !== '') lastEventId = eventId;
        if (!event) continue;
        silent = 0;
        yield event;
        if (event.type === 'state' && isFinal(event.job)) return;
      }
    } catch (error) {
      if (giveUp(error, signal)) throw error;
      failure = error;
    }
  }
  if (failure instanceof Failure) throw failure;
  throw new Failure(EXIT.unreachable, `${id} cannot be followed: the stream of its events ends again and again`);
}
