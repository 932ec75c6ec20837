import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { Option } from '@commander-js/extra-typings';
import { jobLines } from '../job-view.ts';
import type { Session } from '../session.ts';
import { waitForJob } from '../wait.ts';
import { collect } from './list-output.ts';

type RestoreOptions = {
  type: 'volume' | 'snapshot';
  region: string;
  connection?: string;
  zone?: string;
  kmsKey?: string;
  volume?: string[];
  dryRun?: true;
  wait?: true;
};

async function restore(session: Session, recoveryPointId: string, options: RestoreOptions): Promise<void> {
  const api = session.api();
  const point = { params: { id: recoveryPointId } };
  const connectionId = options.connection ?? (await api.call('GET /v1/recovery-points/{id}', point)).connectionId;
  const job = await api.call('POST /v1/restore-jobs', {
    body: {
      recoveryPointId,
      type: options.type,
      volumeIds: options.volume,
      target: {
        connectionId,
        awsRegion: options.region,
        availabilityZone: options.zone,
        kmsKeyArn: options.kmsKey,
      },
      dryRun: options.dryRun === true,
    },
  });
  if (options.wait || options.dryRun) return waitForJob(session, api, job);
  session.show(job, () => jobLines(job));
  session.hint(`Follow it: ${session.invocation} jobs watch ${job.id}`);
}

export function addRestore(program: CommandUnknownOpts, session: Session): void {
  program
    .command('restore <recoveryPointId>')
    .description('Restore a recovery point into new volumes or snapshots; nothing existing is overwritten.')
    .addOption(
      new Option('--type <type>', 'what to make').choices(['volume', 'snapshot'] as const).makeOptionMandatory(),
    )
    .requiredOption('--region <region>', 'AWS region to restore into, inside the jurisdiction')
    .option('--connection <id>', "connection of the account to restore into (default: the point's own)")
    .option('--zone <zone>', "availability zone of the volumes (default: the source's, in its region)")
    .option('--kms-key <arn>', "key to encrypt with (default: the source's, in its region)")
    .option('--volume <id>', 'only this source volume (repeatable; default: all)', collect)
    .option('--dry-run', 'only check, and wait for the findings; nothing is created')
    .option('--wait', 'wait for the end; exit code 1 unless it is COMPLETED')
    .action((recoveryPointId, options) => restore(session, recoveryPointId, options));
}
