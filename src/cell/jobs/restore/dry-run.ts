import { anyPublicImage, findImage } from '../../../aws/images.ts';
import { rootDeviceOf, tryLaunch } from '../../../aws/launch.ts';
import { addressInUse, findInstanceType, findSubnet, keyPairExists, vpcsOfGroups } from '../../../aws/network.ts';
import { restorePermissions, swapPermissions } from '../../../aws/permissions.ts';
import { describeStep, probeStep } from '../../../aws/policies/session.ts';
import { pendingSnapshots } from '../../../aws/snapshots.ts';
import { keyProblem } from '../../../aws/target-keys.ts';
import { availabilityZones } from '../../../aws/volumes.ts';
import { isFault } from '../../../core/faults.ts';
import { storedBlocks } from '../../../vault/manifest.ts';
import type { Check, RestoreCost } from '../../db/schema/jobs.ts';
import { licenceOf } from '../../services/restore-rules.ts';
import { inVault } from '../vault-principals.ts';
import { inTarget, optionsOf, type RestoreContext, targetKey } from './context.ts';
import { costOf } from './cost.ts';
import { instanceInPlace } from './in-place.ts';
import { deviceOf, launchOf, wishedAddress } from './launch-plan.ts';

const GIB = 2 ** 30;
/** Snapshots being written at once in an account and region; fixed. Source: EBS quotas, L-94D7AB7D. */
const PENDING_SNAPSHOTS_MAX = 100;

type Context = Omit<RestoreContext, 'journal'>;
type Finding = (context: Context) => Promise<Check[]>;
const yes = (check: string, detail: string): Check => ({ check, ok: true, detail });
const no = (check: string, detail: string): Check => ({ check, ok: false, detail });

const zone: Finding = async (context) => {
  const { row, point } = context;
  if (row.type !== 'volume' || row.mode === 'inPlace') return [];
  const wanted = row.target.availabilityZone ?? point.instance.availabilityZone;
  const zones = await inTarget(context, describeStep, ({ ec2 }) => availabilityZones(ec2, row.awsRegion));
  return [
    zones.includes(wanted)
      ? yes('availability zone', `${wanted} exists`)
      : no('availability zone', `${wanted} is not among ${zones.join(', ')}`),
  ];
};

/** Every permission that EC2 can be asked for without making anything; the EBS direct APIs have no dry run. */
const permissions: Finding = async (context) => {
  const { row, connection, point } = context;
  const options = {
    tenantId: row.tenantId,
    jobId: row.id,
    snapshotId: connection.id === point.connectionId ? (context.volumes[0]?.snapshotId ?? null) : null,
    storage: point.storage,
    type: row.type,
  };
  const missing = await inTarget(context, probeStep, ({ ec2 }) => restorePermissions(ec2, row.awsRegion, options));
  const known = connection.missing.filter(
    ({ action, awsRegion }) => awsRegion === row.awsRegion && !missing.some((one) => one.action === action),
  );
  const found = [...missing, ...known].map(({ action, detail }) => no(action, detail));
  return found.length > 0 ? found : [yes('permissions', 'nothing that EC2 can be asked for is missing')];
};

const keys: Finding = async (context) => {
  const { row, connection, volumes } = context;
  const wanted = new Map(volumes.map((volume) => [volume.volumeId, targetKey(row, volume)]));
  return inTarget(context, probeStep, async ({ kms }) => {
    const found: Check[] = [];
    for (const [volumeId, key] of wanted) {
      const check = `key for ${volumeId}`;
      if (key === null) found.push(yes(check, 'encrypted under the default key of the account'));
      else if (!connection.kmsKeyArns.includes(key))
        found.push(no(check, `${key} is not among the keys of the connection`));
      else {
        const problem = await keyProblem(kms, row.awsRegion, key);
        found.push(problem === null ? yes(check, `encrypted under ${key}`) : no(check, problem));
      }
    }
    return found;
  });
};

const quotas: Finding = async (context) => {
  const { row, volumes, point } = context;
  if (point.storage === 'account') return [];
  const pending = await inTarget(context, describeStep, ({ ec2 }) => pendingSnapshots(ec2, row.awsRegion));
  const text = `${pending} of ${PENDING_SNAPSHOTS_MAX} snapshots are being written in ${row.awsRegion}`;
  return [
    pending + volumes.length <= PENDING_SNAPSHOTS_MAX
      ? yes('quota of pending snapshots', text)
      : no('quota of pending snapshots', `${text}; this restore needs ${volumes.length} more and will wait`),
  ];
};

/** Subnet, addresses, groups and key pair of the launch. */
async function network(context: Context, launch: ReturnType<typeof launchOf>): Promise<Check[]> {
  const { row } = context;
  const { awsRegion } = row;
  return inTarget(context, describeStep, async ({ ec2 }) => {
    const { subnetId } = launch;
    if (subnetId === null) return [no('subnet', 'none was captured: name instance.subnetId')];
    const subnet = await findSubnet(ec2, awsRegion, subnetId);
    if (!subnet) return [no('subnet', `${subnetId} does not exist in ${awsRegion}`)];
    const free = `${subnetId} in ${subnet.availabilityZone} has ${subnet.freeAddresses} free addresses`;
    const found = [subnet.freeAddresses > 0 ? yes('subnet', free) : no('subnet', free)];
    const wish = wishedAddress(context);
    if (wish !== null) {
      const { address, must } = wish;
      const taken = await addressInUse(ec2, awsRegion, { subnetId, address });
      const detail = !taken
        ? `${address} is free`
        : must
          ? `${address} is in use`
          : `${address} is in use; AWS will give another one`;
      found.push(taken && must ? no('private address', detail) : yes('private address', detail));
    }
    const vpcs = await vpcsOfGroups(ec2, awsRegion, launch.securityGroupIds);
    for (const groupId of launch.securityGroupIds) {
      const vpcId = vpcs.get(groupId);
      if (vpcId === undefined) found.push(no('security group', `${groupId} does not exist`));
      else if (vpcId !== subnet.vpcId)
        found.push(no('security group', `${groupId} lies in ${vpcId}, the subnet in ${subnet.vpcId}`));
    }
    const { keyName } = launch;
    if (keyName !== null && !(await keyPairExists(ec2, awsRegion, keyName)))
      found.push(no('key pair', `${keyName} does not exist; set instance.keyName, or null for none`));
    return found;
  });
}

async function machine(context: Context, instanceType: string): Promise<Check[]> {
  const { row, point } = context;
  const architecture = point.instance.configuration.architecture ?? 'x86_64';
  const info = await inTarget(context, describeStep, ({ ec2 }) => findInstanceType(ec2, row.awsRegion, instanceType));
  if (!info) return [no('instance type', `${instanceType} is not offered in ${row.awsRegion}`)];
  const offered = info.ProcessorInfo?.SupportedArchitectures ?? [];
  return [
    offered.some((one) => one === architecture)
      ? yes('instance type', `${instanceType}, ${architecture}`)
      : no('instance type', `${instanceType} is ${offered.join(', ')}; the source is ${architecture}`),
  ];
}

async function licence(context: Context): Promise<Check[]> {
  const { row, point } = context;
  const billed = licenceOf(point);
  const { vendorImageId } = row.instanceOptions;
  if (billed === null) return [yes('licence', 'nothing that AWS bills for')];
  if (!vendorImageId)
    return [
      no(
        'licence',
        `${billed}: an image of restored snapshots loses it. Name instance.vendorImageId, an image of the same platform; or restore in place, or only the volumes`,
      ),
    ];
  const image = await inTarget(context, describeStep, ({ ec2 }) => findImage(ec2, row.awsRegion, vendorImageId));
  if (!image) return [no('licence', `${vendorImageId} does not exist in ${row.awsRegion}`)];
  const platform = image.PlatformDetails ?? 'unknown';
  return [
    platform === point.instance.configuration.platformDetails
      ? yes('licence', `${vendorImageId} is ${platform} too; its root volume is replaced after the launch`)
      : no('licence', `${vendorImageId} is ${platform}, the source ${billed}`),
  ];
}

/** A launch in thought: from a public image, because ours does not exist yet; all else is as it will be. */
const launch: Finding = async (context) => {
  const { row, point, volumes } = context;
  if (row.type !== 'instance' || row.mode === 'inPlace') return [];
  const devices = volumes.map((volume) => deviceOf(context, volume));
  const architecture = point.instance.configuration.architecture ?? 'x86_64';
  const wish = wishedAddress(context);
  const { awsRegion } = row;
  const { vendorImageId } = row.instanceOptions;
  const image = await inTarget(context, describeStep, ({ ec2 }) =>
    vendorImageId ? findImage(ec2, awsRegion, vendorImageId) : anyPublicImage(ec2, awsRegion, architecture),
  );
  const privateIpAddress = wish?.must ? wish.address : null;
  const wanted = launchOf(context, { imageId: image?.ImageId ?? '', privateIpAddress, userData: null, devices: [] });
  const found = [
    ...(await licence(context)),
    ...(await machine(context, wanted.instanceType)),
    ...(await network(context, wanted)),
  ];
  if (image === undefined || found.some(({ ok }) => !ok)) return found;
  const refused = await inTarget(context, probeStep, ({ ec2 }) =>
    tryLaunch(ec2, awsRegion, { ...wanted, devices: [rootDeviceOf(image.RootDeviceName, devices[0]?.kmsKeyArn)] }),
  ).then(
    () => null,
    (error: unknown) => {
      if (isFault(error) && error.retry !== 'now') return error;
      throw error;
    },
  );
  return [...found, refused === null ? yes('launch', 'AWS would launch it') : no('launch', refused.message)];
};

const place: Finding = async (context) => {
  if (context.row.mode !== 'inPlace') return [];
  const { instanceId, state, volumes } = await instanceInPlace(context);
  const detail = `${instanceId} is ${state}; it is restarted, and the volumes taken off are kept`;
  const [first] = volumes;
  if (!first) return [no('instance', `${instanceId} has no volumes`)];
  const missing = await inTarget(context, probeStep, ({ ec2 }) =>
    swapPermissions(ec2, context.row.awsRegion, { instanceId, volumeId: first.volumeId }),
  );
  return [yes('instance', detail), ...missing.map((one) => no(one.action, one.detail))];
};

async function cost({ worker, row, point, volumes }: Context): Promise<RestoreCost> {
  const { tenantId } = row;
  const stored = await inVault(worker, { principal: 'restorer', tenantId }, async (vault) => {
    const blocks = [];
    for (const { manifestKey, volumeId } of volumes) {
      const scope = { cell: worker.region.cell, tenantId, volumeId };
      const none = point.storage === 'account' || manifestKey === null;
      blocks.push(none ? 0 : await storedBlocks(vault, { ...scope, manifestKey }));
    }
    return blocks;
  });
  const priced = volumes.map((volume, i) => {
    const options = optionsOf(row, volume.volumeId);
    const sizeGiB = options?.sizeGiB ?? Math.ceil(volume.volumeBytes / GIB);
    return { blocks: stored[i] ?? 0, sizeGiB, volumeType: options?.volumeType ?? volume.volumeType };
  });
  return costOf({ type: row.type, volumes: priced });
}

/** What a dry run finds. Nothing is made; a refusal is a finding, not an error. */
export async function dryRun(context: Context): Promise<{ checks: Check[]; cost: RestoreCost }> {
  const { connection, volumes } = context;
  const checks = [yes('role', 'the connection is verified and allows restores')];
  for (const finding of [permissions, zone, keys, quotas, launch, place]) {
    try {
      checks.push(...(await finding(context)));
    } catch (error) {
      if (!isFault(error) || error.owner !== 'customer-account' || error.retry === 'now') throw error;
      const named = error.facts['action'];
      checks.push(no(typeof named === 'string' ? named : finding.name, error.message));
    }
  }
  const bytes = volumes.reduce((sum, volume) => sum + volume.volumeBytes, 0);
  checks.push(yes('size', `${volumes.length} volumes, ${bytes} bytes`));
  if (!connection.cleanUp)
    checks.push(
      yes('clean-up', 'the connection has no clean-up role: what is no longer needed is listed as left over'),
    );
  return { checks, cost: await cost(context) };
}
