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
    ],
    volumes,
  );
}

function restoreLines(job: RestoreJob): string[] {
  return [
    ...job.checks.map((check) => `${check.ok ? 'ok    ' : 'FAILED'}  ${check.check}: ${check.detail}`),
    ...restoredVolumes(job),
    ...job.leftovers.map((leftover) => `Left over in the account, please delete: ${leftover}`),
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
