import { attachVolume, replaceRootVolume } from '../../../aws/attachments.ts';
import { findImage, registerImage, untilImageAvailable } from '../../../aws/images.ts';
import {
  type LaunchedInstance,
  type LaunchDevice,
  rootDeviceOf,
  runInstance,
  untilState,
} from '../../../aws/launch.ts';
import { addressInUse } from '../../../aws/network.ts';
import { describeStep } from '../../../aws/policies/session.ts';
import { imageStep, launchStep, swapStep, tagStep } from '../../../aws/policies/restore-session.ts';
import { tagLike } from '../../../aws/volumes.ts';
import { Fault } from '../../../core/faults.ts';
import type { Check, RestoredInstance, RestoredVolume } from '../../db/schema/jobs.ts';
import type { PointVolume } from '../../db/schema/recovery-points.ts';
import { rootVolumeOf } from '../../services/restore-rules.ts';
import { openUserData } from '../user-data.ts';
import { inTarget, type RestoreContext, tokenOf } from './context.ts';
import { deviceOf, launchOf, wishedAddress } from './launch-plan.ts';
import type { SourceSnapshot } from './snapshots.ts';
import { makeVolume, restoredVolume } from './volumes.ts';

export type Snapshotted = { volume: PointVolume; from: SourceSnapshot };
export type RestoredWhole = { volumes: RestoredVolume[]; instance: RestoredInstance; notes: Check[] };

/** The address to launch with. The source's own may be in use, above all by the source itself: then any other will do. */
async function freeAddress(context: RestoreContext, notes: Check[]): Promise<string | null> {
  const { row, point } = context;
  const wish = wishedAddress(context);
  const subnetId = row.instanceOptions.subnetId ?? point.instance.configuration.subnetId;
  if (wish === null || wish.must || subnetId === undefined) return wish?.address ?? null;
  const { address } = wish;
  const taken = await inTarget(context, describeStep, ({ ec2 }) =>
    addressInUse(ec2, row.awsRegion, { subnetId, address }),
  );
  if (!taken) return address;
  notes.push({ check: 'private address', ok: true, detail: `${address} is in use; AWS gave another one` });
  return null;
}

async function userDataOf({ worker, row, point }: RestoreContext, notes: Check[]): Promise<string | null> {
  const { userData } = point.instance.configuration;
  if (row.instanceOptions.userData !== undefined) return row.instanceOptions.userData;
  if (userData === undefined)
    notes.push({ check: 'user data', ok: true, detail: 'was not captured: the role could not read it then' });
  if (!userData) return null;
  return openUserData(
    worker,
    { tenantId: row.tenantId, instanceId: point.instanceId, jobId: point.backupJobId },
    userData,
  );
}

/** An image of the restored snapshots, with everything that the source had at its device. */
async function ownImage(context: RestoreContext, snapshots: readonly Snapshotted[]): Promise<string> {
  const { worker, row, point, journal, signal } = context;
  const { awsRegion, tenantId, id: jobId } = row;
  const { bootMode } = row.instanceOptions;
  const configuration = { ...point.instance.configuration, ...(bootMode === undefined ? {} : { bootMode }) };
  const devices = snapshots.map(({ volume, from }) => ({ deviceName: volume.deviceName, snapshotId: from.snapshotId }));
  return inTarget(context, imageStep, async ({ ec2 }) => {
    const { id: imageId } = await journal.once('image', 'image', () =>
      registerImage(ec2, awsRegion, { tenantId, jobId, name: `domicile-${jobId}`, devices, configuration }),
    );
    await untilImageAvailable(ec2, awsRegion, { imageId, clock: worker.clock, signal });
    return imageId;
  });
}

async function launch(
  context: RestoreContext,
  imageId: string,
  devices: readonly LaunchDevice[],
  notes: Check[],
): Promise<LaunchedInstance> {
  const { worker, row, journal, signal } = context;
  const known = journal.find('instance');
  const privateIpAddress = known ? null : await freeAddress(context, notes);
  const userData = known ? null : await userDataOf(context, notes);
  return inTarget(
    context,
    (step) => launchStep(step, imageId),
    async ({ ec2 }) => {
      const wanted = launchOf(context, { imageId, privateIpAddress, userData, devices });
      const { id: instanceId } = await journal.once('instance', 'instance', () =>
        runInstance(ec2, row.awsRegion, wanted),
      );
      return untilState(ec2, row.awsRegion, 'running', { instanceId, clock: worker.clock, signal });
    },
  );
}

/** A launch gives all volumes the same tags: each gets those of its own source. */
async function tagVolumes(context: RestoreContext, volumes: readonly RestoredVolume[]): Promise<void> {
  const { row, point } = context;
  await inTarget(context, tagStep, async ({ ec2 }) => {
    for (const { volumeId, sourceVolumeId } of volumes) {
      const source = point.volumes.find((candidate) => candidate.volumeId === sourceVolumeId);
      if (volumeId && source) await tagLike(ec2, row.awsRegion, volumeId, source.tags);
    }
  });
}

const instanceView = (instance: LaunchedInstance): RestoredInstance => ({
  instanceId: instance.instanceId,
  instanceType: instance.instanceType,
  privateIpAddress: instance.privateIpAddress,
  subnetId: instance.subnetId,
});

/** Every volume at its device, by an image of our own: the usual path. */
async function fromOwnImage(
  context: RestoreContext,
  snapshots: readonly Snapshotted[],
  notes: Check[],
): Promise<RestoredWhole> {
  const imageId = await ownImage(context, snapshots);
  const devices = snapshots.map(({ volume }) => deviceOf(context, volume));
  const instance = await launch(context, imageId, devices, notes);
  const volumes = snapshots.map(({ volume, from }): RestoredVolume => {
    const device = instance.devices.find(({ deviceName }) => deviceName === volume.deviceName);
    if (!device) throw new Fault('aws_rejected', `AWS launched the instance without ${volume.deviceName}.`);
    const made = { volumeId: device.volumeId, encrypted: true, kmsKeyArn: device.kmsKeyArn };
    const attachedTo = { instanceId: instance.instanceId, deviceName: volume.deviceName };
    return { ...restoredVolume(volume, from, made), attachedTo };
  });
  return { volumes, instance: instanceView(instance), notes };
}

/**
 * For licences that AWS bills: the vendor's own image is launched, whose billing goes with the instance; the data volumes
 * are attached, and then its root volume is replaced by the restored one, which restarts it.
 */
async function fromVendorImage(
  context: RestoreContext,
  snapshots: readonly Snapshotted[],
  vendor: { imageId: string; notes: Check[] },
): Promise<RestoredWhole> {
  const { worker, row, journal, signal } = context;
  const waiting = { clock: worker.clock, signal };
  const root = rootVolumeOf(context.point);
  const image = await inTarget(context, describeStep, ({ ec2 }) => findImage(ec2, row.awsRegion, vendor.imageId));
  if (!image)
    throw new Fault('aws_resource_not_found', `${vendor.imageId} does not exist in ${row.awsRegion}.`, {
      facts: { vendorImageId: vendor.imageId },
    });
  const devices = [rootDeviceOf(image.RootDeviceName)];
  const instance = await launch(context, vendor.imageId, devices, vendor.notes);
  const { instanceId } = instance;
  const first = instance.devices.find(({ deviceName }) => deviceName === instance.rootDeviceName);
  if (first) await journal.once('vendor root', 'volume', async () => first.volumeId);
  const volumes: RestoredVolume[] = [];
  // Data volumes first: the restored system finds them at its first start.
  for (const { volume, from } of snapshots.toSorted((a, b) => Number(a.volume === root) - Number(b.volume === root))) {
    const made = await makeVolume(context, volume, from.snapshotId, instance.availabilityZone);
    const deviceName = volume === root ? (instance.rootDeviceName ?? volume.deviceName) : volume.deviceName;
    await inTarget(
      context,
      (step) => swapStep(step, instanceId),
      ({ ec2 }) =>
        volume === root
          ? replaceRootVolume(
              ec2,
              row.awsRegion,
              { instanceId, volumeId: made.volumeId, clientToken: tokenOf(row, 'root') },
              waiting,
            )
          : attachVolume(ec2, row.awsRegion, { instanceId, volumeId: made.volumeId, deviceName }, waiting),
    );
    await journal.mark(`volume ${volume.volumeId}`, { done: true, result: true });
    volumes.push({ ...restoredVolume(volume, from, made), attachedTo: { instanceId, deviceName } });
  }
  return { volumes, instance: instanceView(instance), notes: vendor.notes };
}

/** A new instance like the source, from the snapshots of its volumes. */
export async function restoreToInstance(
  context: RestoreContext,
  snapshots: readonly Snapshotted[],
): Promise<RestoredWhole> {
  const { row, point, journal } = context;
  const notes: Check[] = [];
  const { instanceProfileArn } = point.instance.configuration;
  if (instanceProfileArn) {
    const detail = `${instanceProfileArn} was not given to the new instance: our role may not pass roles. Associate it yourself.`;
    notes.push({ check: 'instance profile', ok: true, detail });
  }
  const { vendorImageId } = row.instanceOptions;
  const whole = vendorImageId
    ? await fromVendorImage(context, snapshots, { imageId: vendorImageId, notes })
    : await fromOwnImage(context, snapshots, notes);
  await tagVolumes(context, whole.volumes);
  await journal.mark('instance', { done: true, result: true });
  return whole;
}
