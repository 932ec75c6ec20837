import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Api } from '../api-client.ts';
import { usageError } from '../failure.ts';
import { jobLines } from '../job-view.ts';
import { listItems } from '../listing.ts';
import type { Session } from '../session.ts';
import { waitForJob } from '../wait.ts';
import { positiveInteger } from './list-output.ts';

const INSTANCES_MAX = 100_000;

/**
 * The connection under which an instance was discovered.
 *
 * @throws Failure when there is none, or more than one
 */
async function connectionOf(api: Api, instanceId: string): Promise<string> {
  const { items } = await listItems(api, 'GET /v1/instances', INSTANCES_MAX);
  const [first, ...others] = items.filter((item) => item.instanceId === instanceId);
  if (!first) throw usageError(`${instanceId} has not been discovered`, 'Name its connection with --connection.');
  if (others.length > 0) throw usageError(`${instanceId} has several connections`, 'Choose one with --connection.');
  return first.connectionId;
}

/** `undefined` (kept until deleted by hand) when neither is given. */
export function retentionOf(options: { keepLast?: number | undefined; deleteAfterDays?: number | undefined }) {
  const { keepLast, deleteAfterDays } = options;
  return keepLast === undefined && deleteAfterDays === undefined ? undefined : { keepLast, deleteAfterDays };
}

export function addBackup(program: CommandUnknownOpts, session: Session): void {
  program
    .command('backup <instanceId>')
    .description('Back up an EC2 instance now. Without retention options the recovery point is kept until deleted.')
    .option('--connection <id>', 'connection of its account (found by itself when there is only one)')
    .option('--keep-last <n>', 'keep it while it is one of the newest n', positiveInteger)
    .option('--delete-after-days <n>', 'keep it at least this long, then delete it', positiveInteger)
    .option('--wait', 'wait for the end; exit code 1 unless it is COMPLETED')
    .action(async (instanceId, options) => {
      const api = session.api();
      const connectionId = options.connection ?? (await connectionOf(api, instanceId));
      const job = await api.call('POST /v1/backup-jobs', {
        body: { connectionId, instanceId, retention: retentionOf(options) },
      });
      if (options.wait) return waitForJob(session, api, job);
      session.show(job, () => jobLines(job));
      session.hint(`Follow it: ${session.invocation} jobs watch ${job.id}`);
    });
}
