import type { BackupJob, Job, RestoreJob } from './follow.ts';
import { facts, formatBytes, formatTime, table } from './table.ts';

function backupVolumes({ volumes }: BackupJob): string[] {
  if (volumes.length === 0) return [];
  return table(
    [
      { title: 'VOLUME', text: (volume) => volume.volumeId },
      { title: 'KIND', text: (volume) => volume.kind },
      { title: 'SIZE', text: (volume) => formatBytes(volume.volumeBytes) },
      { title: 'READ', text: (volume) => `${volume.blocksRead} blocks` },
      { title: 'STORED', text: (volume) => `${volume.blocksStored} blocks, ${formatBytes(volume.bytesStored)}` },
      { title: 'REASON', text: (volume) => volume.reason },
    ],
    volumes,
  );
}

function restoredVolumes({ volumes }: RestoreJob): string[] {
  if (volumes.length === 0) return [];
  return table(
    [
      { title: 'SOURCE', text: (volume) => volume.sourceVolumeId },
      { title: 'VOLUME', text: (volume) => volume.volumeId },
      { title: 'SNAPSHOT', text: (volume) => volume.snapshotId },
      { title: 'SIZE', text: (volume) => formatBytes(volume.volumeBytes) },
      { title: 'ENCRYPTED', text: (volume) => (volume.encrypted ? (volume.kmsKeyArn ?? 'yes') : 'no') },
      { title: 'ATTACHED', text: ({ attachedTo: at }) => at && `${at.instanceId} ${at.deviceName}` },
      { title: 'TAKEN OFF, KEPT', text: (volume) => volume.previousVolumeId },
    ],
    volumes,
  );
}

/** The command that removes something, by its id. */
function removal(awsRegion: string, id: string): string {
  const commands: Record<string, string> = {
    snap: 'delete-snapshot --region R --snapshot-id',
    ami: 'deregister-image --region R --image-id',
    vol: 'delete-volume --region R --volume-id',
    i: 'terminate-instances --region R --instance-ids',
  };
  const command = commands[id.split('-')[0] ?? ''];
  return command === undefined ? id : `aws ec2 ${command.replace('R', awsRegion)} ${id}`;
}

function costLine({ cost }: RestoreJob): string[] {
  if (cost === null) return [];
  return [
    `About ${cost.once.toFixed(2)} ${cost.currency} once and ${cost.perMonth.toFixed(2)} a month (${cost.basis}).`,
  ];
}

function leftoverLines({ awsRegion, leftovers }: RestoreJob): string[] {
  if (leftovers.length === 0) return [];
  return ['Left over in the account. To remove it:', ...leftovers.map((id) => `  ${removal(awsRegion, id)}`)];
}

function restoreLines(job: RestoreJob): string[] {
  const { instance } = job;
  return [
    ...job.checks.map((check) => `${check.ok ? 'ok    ' : 'FAILED'}  ${check.check}: ${check.detail}`),
    ...restoredVolumes(job),
    ...(instance
      ? [`Instance ${instance.instanceId} (${instance.instanceType}, ${instance.privateIpAddress ?? 'no address'})`]
      : []),
    ...costLine(job),
    ...leftoverLines(job),
  ];
}

const isRestore = (job: Job): job is RestoreJob => 'target' in job;

/** What a job works on. */
export function subjectOf(job: Job): string {
  return isRestore(job) ? job.recoveryPointId : job.instanceId;
}

/** A job in full. */
export function jobLines(job: Job): string[] {
  const target = isRestore(job) ? `${job.type} in ${job.target.awsRegion}${job.dryRun ? ' (dry run)' : ''}` : null;
  const { problem, blocked, progress } = job;
  return [
    ...facts({
      job: job.id,
      state: job.state,
      of: subjectOf(job),
      target,
      'recovery point': isRestore(job) ? null : job.recoveryPointId,
      progress: progress.percent === null ? progress.step : `${Math.floor(progress.percent)} %  ${progress.step}`,
      blocked: blocked && `${blocked.detail} (${blocked.reason}, since ${formatTime(blocked.since)})`,
      problem: problem && `${problem.title}. ${problem.detail} (code ${problem.code})`,
      created: formatTime(job.createdAt),
      completed: formatTime(job.completedAt),
    }),
    ...(isRestore(job) ? restoreLines(job) : backupVolumes(job)),
  ];
}
