import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { Option } from '@commander-js/extra-typings';
import type { Api } from '../api-client.ts';
import { usageError } from '../failure.ts';
import type { Job } from '../follow.ts';
import { jobLines, subjectOf } from '../job-view.ts';
import { type Listing, listItems } from '../listing.ts';
import type { Session } from '../session.ts';
import { formatTime } from '../table.ts';
import { waitForJob } from '../wait.ts';
import { limitOption, showList } from './list-output.ts';

/**
 * Is this the id of a restore job (else: of a backup job)?
 *
 * @throws Failure when it is neither
 */
function isRestoreId(id: string): boolean {
  if (!/^[br]job_/.test(id))
    throw usageError(`${id} is no job id`, 'Job ids begin with bjob_ (backup) or rjob_ (restore).');
  return id.startsWith('rjob_');
}

function getJob(api: Api, id: string): Promise<Job> {
  const params = { id };
  return isRestoreId(id)
    ? api.call('GET /v1/restore-jobs/{id}', { params })
    : api.call('GET /v1/backup-jobs/{id}', { params });
}

function abortJob(api: Api, id: string): Promise<Job> {
  const params = { id };
  return isRestoreId(id)
    ? api.call('POST /v1/restore-jobs/{id}/abort', { params })
    : api.call('POST /v1/backup-jobs/{id}/abort', { params });
}

type Filters = {
  kind?: 'backup' | 'restore' | undefined;
  state?: string | undefined;
  connection?: string | undefined;
  instance?: string | undefined;
  plan?: string | undefined;
  recoveryPoint?: string | undefined;
  limit: number;
};

/** Backup and restore jobs as one list, newest first. A filter that only one kind has leaves the other out. */
async function listJobs(api: Api, filters: Filters): Promise<Listing<Job>> {
  const { kind, limit, state, connection: connectionId, instance, plan, recoveryPoint } = filters;
  const common = { state, connectionId };
  const none = { items: [], more: false };
  const [backups, restores] = await Promise.all([
    kind === 'restore' || recoveryPoint !== undefined
      ? none
      : listItems(api, 'GET /v1/backup-jobs', limit, { ...common, instanceId: instance, planId: plan }),
    kind === 'backup' || instance !== undefined || plan !== undefined
      ? none
      : listItems(api, 'GET /v1/restore-jobs', limit, { ...common, recoveryPointId: recoveryPoint }),
  ]);
  const items: Job[] = [...backups.items, ...restores.items];
  items.sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  return { items: items.slice(0, limit), more: backups.more || restores.more || items.length > limit };
}

const percentOf = ({ progress: { percent } }: Job) => (percent === null ? null : `${Math.floor(percent)} %`);

export function addJobs(program: CommandUnknownOpts, session: Session): void {
  const jobs = program.command('jobs').description('Backup jobs (bjob_…) and restore jobs (rjob_…).');
  jobs
    .command('list')
    .description('List jobs, newest first.')
    .addOption(new Option('--kind <kind>', 'only this kind').choices(['backup', 'restore'] as const))
    .option('--state <state>', 'only in this state, such as RUNNING or FAILED')
    .option('--connection <id>', 'only of this connection')
    .option('--instance <id>', 'only backups of this EC2 instance')
    .option('--plan <id>', 'only backups of this plan')
    .option('--recovery-point <id>', 'only restores of this recovery point')
    .addOption(limitOption())
    .action(async (filters) =>
      showList(session, 'jobs', await listJobs(session.api(), filters), [
        { title: 'JOB', text: (job) => job.id },
        { title: 'STATE', text: (job) => (job.blocked ? `${job.state} (blocked)` : job.state) },
        { title: 'DONE', text: percentOf },
        { title: 'OF', text: subjectOf },
        { title: 'REGION', text: (job) => job.awsRegion },
        { title: 'CREATED', text: (job) => formatTime(job.createdAt) },
        { title: 'PROBLEM', text: (job) => job.problem?.code ?? job.blocked?.reason ?? '' },
      ]),
    );
  jobs
    .command('show <id>')
    .description('One job.')
    .action(async (id) => {
      const job = await getJob(session.api(), id);
      session.show(job, () => jobLines(job));
    });
  jobs
    .command('watch <id>')
    .description('Follow a job to its end. With --json: one event per line.')
    .action(async (id) => {
      const api = session.api();
      await waitForJob(session, api, await getJob(api, id), true);
    });
  jobs
    .command('abort <id>')
    .description('Abort a job; what it made is removed.')
    .action(async (id) => {
      const job = await abortJob(session.api(), id);
      session.show(job, () => jobLines(job));
    });
}
