import { readFileSync } from 'node:fs';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { jobLines } from '../job-view.ts';
import type { Session } from '../session.ts';
import { waitForJob } from '../wait.ts';
import { collect } from './list-output.ts';

type Attach = { sourceVolumeId: string; attach: { instanceId: string; deviceName: string } };

type RestoreOptions = {
  type: 'snapshot' | 'volume' | 'instance';
  region: string;
  inPlace?: true;
  connection?: string;
  zone?: string;
  kmsKey?: string;
  volume?: string[];
  attach?: Attach[];
  instanceType?: string;
  subnet?: string;
  securityGroup?: string[];
  privateIp?: string;
  keyPair?: string | false;
  userDataFile?: string | false;
  vendorImage?: string;
  dryRun?: true;
  wait?: true;
};

/** `vol-…=i-…:/dev/sdf`: which restored volume goes where. */
function parseAttach(text: string, before: Attach[] = []): Attach[] {
  const [, sourceVolumeId, instanceId, deviceName] = /^(vol-\w+)=(i-\w+):(\S+)$/.exec(text) ?? [];
  if (!sourceVolumeId || !instanceId || !deviceName)
    throw new InvalidArgumentError('must be <volume>=<instance>:<device>, such as vol-1=i-2:/dev/sdf');
  return [...before, { sourceVolumeId, attach: { instanceId, deviceName } }];
}

/** What the options say about the instance; nothing said is nothing sent. `--no-…` asks for none. */
function instanceOptions(options: RestoreOptions) {
  const { instanceType, subnet, securityGroup, privateIp, keyPair, userDataFile, vendorImage } = options;
  const userData = userDataFile === false ? null : userDataFile && readFileSync(userDataFile).toString('base64');
  const wanted = {
    instanceType,
    subnetId: subnet,
    securityGroupIds: securityGroup,
    privateIpAddress: privateIp,
    keyName: keyPair === false ? null : keyPair,
    userData,
    vendorImageId: vendorImage,
  };
  const said = Object.entries(wanted).filter(([, value]) => value !== undefined);
  return said.length === 0 ? undefined : Object.fromEntries(said);
}

async function restore(session: Session, recoveryPointId: string, options: RestoreOptions): Promise<void> {
  const api = session.api();
  const point = { params: { id: recoveryPointId } };
  const connectionId = options.connection ?? (await api.call('GET /v1/recovery-points/{id}', point)).connectionId;
  const job = await api.call('POST /v1/restore-jobs', {
    body: {
      recoveryPointId,
      type: options.type,
      mode: options.inPlace ? 'inPlace' : 'new',
      volumeIds: options.volume,
      target: {
        connectionId,
        awsRegion: options.region,
        availabilityZone: options.zone,
        kmsKeyArn: options.kmsKey,
      },
      volumes: options.attach,
      instance: instanceOptions(options),
      dryRun: options.dryRun === true,
    },
  });
  if (options.wait || options.dryRun) return waitForJob(session, api, job);
  session.show(job, () => jobLines(job));
  session.hint(`Follow it: ${session.invocation} jobs watch ${job.id}`);
}

const TYPES = ['snapshot', 'volume', 'instance'] as const;

export function addRestore(program: CommandUnknownOpts, session: Session): void {
  program
    .command('restore <recoveryPointId>')
    .description(
      'Restore a recovery point: new snapshots, volumes or an instance; or, in place, new volumes on its own.',
    )
    .addOption(new Option('--type <type>', 'what to make').choices(TYPES).makeOptionMandatory())
    .requiredOption('--region <region>', 'AWS region to restore into, inside the jurisdiction')
    .option('--in-place', 'put the volumes on the source instance; those taken off are kept')
    .option('--connection <id>', "connection of the account to restore into (default: the point's own)")
    .option('--zone <zone>', "availability zone of the volumes (default: the source's, in its region)")
    .option('--kms-key <arn>', "key to encrypt with (default: the source's, in its region)")
    .option('--volume <id>', 'only this source volume (repeatable; default: all)', collect)
    .option('--attach <volume=instance:device>', 'attach the restored volume there (repeatable)', parseAttach)
    .option('--instance-type <type>', "type of the instance (default: the source's)")
    .option('--subnet <id>', "subnet of the instance (default: the source's)")
    .option('--security-group <id>', "security group (repeatable; default: the source's)", collect)
    .option('--private-ip <address>', "private address (default: the source's if it is free, else any)")
    .option('--key-pair <name>', "key pair (default: the source's)")
    .option('--no-key-pair', 'launch without a key pair')
    .option('--user-data-file <file>', "user data (default: the source's)")
    .option('--no-user-data-file', 'launch without user data')
    .option('--vendor-image <ami>', 'Windows, RHEL, SUSE, Marketplace: image whose licence the instance runs under')
    .option('--dry-run', 'only check, and wait for the findings; nothing is created')
    .option('--wait', 'wait for the end; exit code 1 unless it is COMPLETED')
    .action((recoveryPointId, options) => restore(session, recoveryPointId, options as RestoreOptions));
}
