import type { Api } from './api-client.ts';
import { EXIT } from './exit-codes.ts';
import { type Job, jobEvents } from './follow.ts';
import { jobLines } from './job-view.ts';
import { createProgressReporter } from './progress.ts';
import type { Session } from './session.ts';

/** Does this job's end count as success? A dry run that found something does not. */
function succeeded(job: Job): boolean {
  return job.state === 'COMPLETED' && (!('checks' in job) || job.checks.every((check) => check.ok));
}

/**
 * Follows a job to its end and shows it. Ctrl-C stops the following, never the job. `everyEvent` prints each event as a
 * line of JSON in place of one document at the end.
 */
export async function waitForJob(session: Session, api: Api, job: Job, everyEvent = false): Promise<void> {
  const { terminal, signal, invocation } = session;
  const json = session.json();
  const reporter = createProgressReporter(terminal, job.id, json);
  let last = job;
  try {
    for await (const event of jobEvents(api, job.id, session)) {
      if (event.type === 'state') last = event.job;
      if (json && everyEvent) terminal.out(JSON.stringify(event));
      reporter.show(event);
    }
  } catch (error) {
    reporter.end();
    if (!signal.aborted) {
      terminal.hint(`The job goes on without you: ${invocation} jobs watch ${job.id}`);
      throw error;
    }
    terminal.hint(`Stopped waiting; the job goes on. Follow it: ${invocation} jobs watch ${job.id}`);
    session.setExitCode(EXIT.interrupted);
    if (json && !everyEvent) session.show(last, () => []);
    return;
  }
  reporter.end();
  if (!(json && everyEvent)) session.show(last, () => jobLines(last));
  if (!succeeded(last)) session.setExitCode(EXIT.jobFailed);
}
