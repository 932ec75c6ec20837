import { attachVolume, detachVolume, replaceRootVolume } from '../../../aws/attachments.ts';
import { type DiscoveredInstance, listInstances } from '../../../aws/instances.ts';
import { startInstance, stopInstance } from '../../../aws/launch.ts';
import { describeStep } from '../../../aws/policies/session.ts';
import { swapStep } from '../../../aws/policies/restore-session.ts';
import { Fault } from '../../../core/faults.ts';
import type { Tx } from '../../db/client.ts';
import type { Made, RestoredVolume } from '../../db/schema/jobs.ts';
import type { PointVolume } from '../../db/schema/recovery-points.ts';
import { rootVolumeOf } from '../../services/restore-rules.ts';
import { backupRuns, tryLockInstance } from '../claim.ts';
import type { RestoredWhole, Snapshotted } from './instance.ts';
import { inTarget, type RestoreContext, tokenOf } from './context.ts';
import { makeVolume, type NewVolume, restoredVolume } from './volumes.ts';

/** How soon a swap looks again whether the backup that runs is over. */
const BACKUP_WAIT_MS = 2_000;

/** One device of the instance: what hangs there now, and what is to hang there. */
type Swap = Snapshotted & { deviceName: string; made: NewVolume; previousVolumeId: string | null };

/** The source instance as it is now, looked up within the connection's limits: without its tag it is not touched. */
export async function instanceInPlace(
  context: Pick<RestoreContext, 'worker' | 'row' | 'connection' | 'point'>,
): Promise<DiscoveredInstance> {
  const { row, connection, point } = context;
  const { awsRegion } = row;
  const limits = { tag: connection.tag, vpcIds: connection.vpcIds, instanceId: point.instanceId };
  const [instance] = await inTarget(context, describeStep, ({ ec2 }) => listInstances(ec2, awsRegion, limits));
  const facts = { instanceId: point.instanceId, awsRegion };
  if (!instance)
    throw new Fault(
      'instance_not_found',
      `${point.instanceId} does not exist within the limits of the connection: restore to a new instance instead.`,
      { facts },
    );
  if (instance.state === 'running' || instance.state === 'stopped') return instance;
  const gone = instance.state === 'terminated' || instance.state === 'shutting-down';
  throw gone
    ? new Fault('instance_terminated', `${point.instanceId} is terminated: restore to a new instance instead.`, {
        facts,
      })
    : new Fault('unavailable', `${point.instanceId} is ${instance.state}; a restore in place waits until it is not.`);
}

/**
 * Takes the instance for the swap: from here to the end of the job no backup of it begins, and none runs. Which volume
 * hangs at which device is noted in the same step: after a crash that is known from the journal only.
 */
async function takeInstance(
  context: RestoreContext,
  instance: DiscoveredInstance,
  volumes: readonly PointVolume[],
): Promise<void> {
  const { worker, journal, connection, signal } = context;
  const { tenantId, id: connectionId } = connection;
  const place = { tenantId, connectionId, instanceId: instance.instanceId };
  const things = volumes.flatMap(({ deviceName }): Made[] => {
    const step = `previous ${deviceName}`;
    const now = instance.volumes.find((volume) => volume.deviceName === deviceName)?.volumeId;
    if (journal.find(step) || now === undefined) return [];
    return [{ step, kind: 'volume', id: now, done: true, result: true }];
  });
  const free = async (tx: Tx) =>
    (await tryLockInstance(tx, tenantId, connectionId, instance.instanceId)) && !(await backupRuns(tx, place));
  while (!(await journal.noteIf(things, free))) {
    await worker.clock.sleep(BACKUP_WAIT_MS, signal);
    signal.throwIfAborted();
  }
}

/** Only the root volume of a running instance: AWS replaces it with one restart. */
async function replaceRoot(context: RestoreContext, instanceId: string, swap: Swap): Promise<void> {
  const { worker, row, signal } = context;
  const wanted = { instanceId, volumeId: swap.made.volumeId, clientToken: tokenOf(row, 'root') };
  await inTarget(
    context,
    (step) => swapStep(step, instanceId),
    ({ ec2 }) => replaceRootVolume(ec2, row.awsRegion, wanted, { clock: worker.clock, signal }),
  );
}

/** Stops the instance, changes the volumes over, and starts it again if it was running. Each part may be done already. */
async function swapStopped(
  context: RestoreContext,
  instance: DiscoveredInstance,
  swaps: readonly Swap[],
): Promise<void> {
  const { worker, row, journal, signal } = context;
  const { awsRegion } = row;
  const { instanceId } = instance;
  const waiting = { clock: worker.clock, signal };
  await inTarget(
    context,
    (step) => swapStep(step, instanceId),
    async ({ ec2 }) => {
      if (instance.state === 'running') {
        await journal.once('stopped', 'instance', async () => instanceId);
        await journal.mark('stopped', { result: true });
        await stopInstance(ec2, awsRegion, { instanceId, ...waiting });
      }
      for (const { deviceName, made, previousVolumeId } of swaps) {
        if (previousVolumeId) await detachVolume(ec2, awsRegion, previousVolumeId, waiting);
        await attachVolume(ec2, awsRegion, { instanceId, volumeId: made.volumeId, deviceName }, waiting);
      }
      if (journal.find('stopped')) await startInstance(ec2, awsRegion, { instanceId, ...waiting });
    },
  );
}

/**
 * The volumes of a point on their own instance, instead of those it has now. Those taken off are kept, and named in the
 * result. New volumes are complete before the instance is touched.
 */
export async function restoreInPlace(
  context: RestoreContext,
  snapshots: readonly Snapshotted[],
): Promise<RestoredWhole> {
  const { journal } = context;
  const instance = await instanceInPlace(context);
  const swaps: Swap[] = [];
  for (const { volume, from } of snapshots) {
    const made = await makeVolume(context, volume, from.snapshotId, instance.availabilityZone);
    swaps.push({ volume, from, deviceName: volume.deviceName, made, previousVolumeId: null });
  }
  await takeInstance(
    context,
    instance,
    swaps.map(({ volume }) => volume),
  );
  for (const swap of swaps) swap.previousVolumeId = journal.find(`previous ${swap.deviceName}`)?.id ?? null;
  const root = rootVolumeOf(context.point);
  const [only] = swaps;
  const justRoot = swaps.length === 1 && only?.volume === root;
  const { instanceId } = instance;
  if (only && justRoot && instance.state === 'running' && !journal.find('stopped'))
    await replaceRoot(context, instanceId, only);
  else await swapStopped(context, instance, swaps);
  for (const { volume } of swaps) await journal.mark(`volume ${volume.volumeId}`, { done: true, result: true });
  const volumes = swaps.map(
    ({ volume, from, made, deviceName, previousVolumeId }): RestoredVolume => ({
      ...restoredVolume(volume, from, made),
      attachedTo: { instanceId, deviceName },
      previousVolumeId,
    }),
  );
  const { instanceType, configuration } = instance;
  const { privateIpAddress = null, subnetId = null } = configuration;
  return { volumes, instance: { instanceId, instanceType, privateIpAddress, subnetId }, notes: [] };
}

/**
 * Gives an instance back what it had, when a restore in place will not go on: volumes taken off come back, and it is
 * started if it ran before.
 */
export async function undoInPlace(context: RestoreContext): Promise<void> {
  const { worker, row, journal, point, signal } = context;
  if (!journal.all().some(({ step }) => step.startsWith('previous '))) return;
  const { awsRegion } = row;
  const { instanceId } = point;
  const waiting = { clock: worker.clock, signal };
  const made = journal.all().filter(({ step }) => step.startsWith('volume '));
  const instance = await instanceInPlace(context);
  await inTarget(
    context,
    (step) => swapStep(step, instanceId),
    async ({ ec2 }) => {
      for (const { step, id: volumeId } of journal.all()) {
        const [what, deviceName] = step.split(' ');
        const now = instance.volumes.find((volume) => volume.deviceName === deviceName)?.volumeId;
        if (what !== 'previous' || deviceName === undefined || now === volumeId) continue;
        if (now !== undefined && made.some(({ id }) => id === now)) await detachVolume(ec2, awsRegion, now, waiting);
        await attachVolume(ec2, awsRegion, { instanceId, volumeId, deviceName }, waiting);
      }
      if (journal.find('stopped')) await startInstance(ec2, awsRegion, { instanceId, ...waiting });
    },
  );
}
