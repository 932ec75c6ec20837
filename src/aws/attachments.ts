import {
  AttachVolumeCommand,
  CreateReplaceRootVolumeTaskCommand,
  DescribeReplaceRootVolumeTasksCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  type EC2Client,
  type Volume,
} from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { asking, askingOfNew } from './faults.ts';

const POLL_MS = 500;

type Waiting = { clock: Clock; signal: AbortSignal };
export type Place = { volumeId: string; instanceId: string; deviceName: string };

async function look(
  ec2: EC2Client,
  awsRegion: string,
  volumeId: string,
  options: Waiting,
): Promise<Volume | undefined> {
  const { Volumes } = await askingOfNew(
    `watch ${volumeId}`,
    awsRegion,
    () => ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeId] })),
    options,
  );
  return Volumes?.[0];
}

const attachmentOf = (volume: Volume | undefined) => volume?.Attachments?.[0];

/** Attaches a volume and waits for it. One that is there already, from a try before, is fine. */
export async function attachVolume(ec2: EC2Client, awsRegion: string, place: Place, options: Waiting): Promise<void> {
  const { volumeId, instanceId, deviceName } = place;
  const now = attachmentOf(await look(ec2, awsRegion, volumeId, options));
  if (now?.InstanceId !== instanceId)
    await asking(`attach ${volumeId} to ${instanceId}`, awsRegion, () =>
      ec2.send(new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: instanceId, Device: deviceName })),
    );
  for (;;) {
    options.signal.throwIfAborted();
    if (attachmentOf(await look(ec2, awsRegion, volumeId, options))?.State === 'attached') return;
    await options.clock.sleep(POLL_MS, options.signal);
  }
}

/** Takes a volume off and waits until it is free. One that is free already is fine. */
export async function detachVolume(
  ec2: EC2Client,
  awsRegion: string,
  volumeId: string,
  options: Waiting,
): Promise<void> {
  const before = attachmentOf(await look(ec2, awsRegion, volumeId, options));
  if (before && before.State !== 'detaching')
    await asking(`detach ${volumeId}`, awsRegion, () => ec2.send(new DetachVolumeCommand({ VolumeId: volumeId })));
  for (;;) {
    options.signal.throwIfAborted();
    if ((await look(ec2, awsRegion, volumeId, options))?.State === 'available') return;
    await options.clock.sleep(POLL_MS, options.signal);
  }
}

/**
 * Replaces the root volume of a running instance by a volume of ours; AWS restarts it. The volume taken off is kept. The
 * client token makes a second try follow the same task.
 *
 * Source: EC2 user guide, "Replace the root volume for an Amazon EC2 instance".
 */
export async function replaceRootVolume(
  ec2: EC2Client,
  awsRegion: string,
  wanted: { instanceId: string; volumeId: string; clientToken: string },
  options: Waiting,
): Promise<void> {
  const { instanceId, volumeId, clientToken } = wanted;
  const { ReplaceRootVolumeTask: task } = await asking(`replace the root volume of ${instanceId}`, awsRegion, () =>
    ec2.send(
      new CreateReplaceRootVolumeTaskCommand({
        InstanceId: instanceId,
        VolumeId: volumeId,
        DeleteReplacedRootVolume: false,
        ClientToken: clientToken,
      }),
    ),
  );
  const id = task?.ReplaceRootVolumeTaskId ?? '';
  for (let state: string | undefined = task?.TaskState; ; ) {
    options.signal.throwIfAborted();
    if (state === 'succeeded') return;
    if (state === 'failed' || state === 'failed-detached' || state === 'failing')
      throw new Fault(
        'aws_rejected',
        `AWS could not replace the root volume of ${instanceId} (task ${id}: ${state}).`,
        {
          facts: { instanceId, awsRegion, task: id },
        },
      );
    await options.clock.sleep(POLL_MS, options.signal);
    const { ReplaceRootVolumeTasks } = await asking(`watch ${id}`, awsRegion, () =>
      ec2.send(new DescribeReplaceRootVolumeTasksCommand({ ReplaceRootVolumeTaskIds: [id] })),
    );
    state = ReplaceRootVolumeTasks?.[0]?.TaskState;
  }
}
