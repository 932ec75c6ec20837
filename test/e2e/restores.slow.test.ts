import {
  DescribeImagesCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  StopInstancesCommand,
  type EC2Client,
} from '@aws-sdk/client-ec2';
import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import { backupJobs } from '../../src/cell/db/schema/jobs.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import type { Json } from '../cell/harness.ts';
import { devicesOf, instanceAt, openRestores, ours, REGION, type Restores, untilState } from './furnished.ts';
import { TAG } from './world.ts';

let lab: Restores;
beforeAll(async () => {
  lab = await openRestores();
});
afterAll(() => lab.world.close());

/** How many vCPUs may run in the account; undefined: as many as usual. */
const allowVcpus = async (awsAccountId: string, vcpus?: number) => {
  const accounts = vcpus === undefined ? {} : { [awsAccountId]: { vcpus } };
  const { sandbox } = lab.world;
  const headers = { authorization: `Bearer ${sandbox.adminToken}` };
  const body = JSON.stringify({ accounts });
  expect((await fetch(`${sandbox.url}/_sandbox/settings`, { method: 'PUT', headers, body })).status).toBe(200);
};

describe('an instance', () => {
  test('that would be more than the quota allows waits with what is written, and is made when there is room', async () => {
    const from = await lab.furnished();
    await allowVcpus(from.connection.awsAccountId, 1);
    const { checks } = await lab.restore(from, { type: 'instance', dryRun: true });
    const bad = checks.filter((check: Json) => !check.ok);
    expect(bad).toEqual([{ check: 'launch', ok: false, detail: expect.stringContaining('vCPU') }]);
    const waiting = await lab.restore(from, { type: 'instance' });
    expect(waiting).toMatchObject({ state: 'PENDING', blocked: { reason: 'quota' } });
    expect((await ours(from.ec2, waiting.id)).snapshots).toHaveLength(2);
    await allowVcpus(from.connection.awsAccountId);
    await lab.world.run({ kind: 'restore', tenantId: from.tenant.tenantId, jobId: waiting.id });
    const job = (await from.tenant.call('GET', `/v1/restore-jobs/${waiting.id}`)).json;
    expect(job).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    await lab.expectSameBytes(from, await instanceAt(from.ec2, job.instance.instanceId));
  });

  test('takes other choices than the source had', async () => {
    const from = await lab.furnished();
    const { Subnets } = await from.ec2.send(new DescribeSubnetsCommand({}));
    const instance = {
      instanceType: 't3.small',
      subnetId: Subnets?.[2]?.SubnetId,
      keyName: null,
      userData: null,
      requireImdsV2: false,
      tags: { Name: 'ledger-copy', [TAG.key]: 'no' },
    };
    const volumes = [{ sourceVolumeId: from.devices.get('/dev/sdf'), volumeType: 'gp3', iops: 5000, sizeGiB: 2 }];
    const job = await lab.restore(from, { type: 'instance', instance, volumes });
    expect(job).toMatchObject({ state: 'COMPLETED' });
    const made = await instanceAt(from.ec2, job.instance.instanceId);
    expect(made).toMatchObject({ InstanceType: 't3.small', SubnetId: instance.subnetId });
    expect(made.KeyName ?? null).toBeNull();
    expect(made.MetadataOptions?.HttpTokens).toBe('optional');
    expect(made.Tags).toContainEqual({ Key: 'Name', Value: 'ledger-copy' });
    const { Volumes } = await from.ec2.send(
      new DescribeVolumesCommand({ VolumeIds: [devicesOf(made).get('/dev/sdf') ?? ''] }),
    );
    expect(Volumes?.[0]).toMatchObject({ Size: 2, VolumeType: 'gp3', Iops: 5000 });
  });

  test('without a clean-up role names exactly what is left', async () => {
    const from = await lab.furnished({ cleanUp: false });
    const job = await lab.restore(from, { type: 'instance' });
    expect(job.state).toBe('COMPLETED');
    const left = await ours(from.ec2, job.id);
    expect(left.images).toHaveLength(1);
    expect(job.leftovers.toSorted()).toEqual([...left.snapshots, ...left.images].toSorted());
  });

  test('goes to another account of the tenant', async () => {
    const from = await lab.furnished();
    const other = await lab.world.customer(lab.nextAccount());
    const target = await lab.world.connect(from.tenant, other);
    const elsewhere = lab.ec2At(other.access);
    const { Subnets } = await elsewhere.send(new DescribeSubnetsCommand({}));
    const place = { connectionId: target.id, kmsKeyArn: other.kmsKeyArn };
    const without = await lab.restore(from, { type: 'instance' }, place);
    expect(without).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/instance/subnetId' }] });
    const instance = { subnetId: Subnets?.[0]?.SubnetId };
    const job = await lab.restore(from, { type: 'instance', instance }, place);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    await lab.expectSameBytes(from, await instanceAt(elsewhere, job.instance.instanceId), other.access);
  });
});

describe('in place', () => {
  test('the root volume of a running instance is replaced, and the one taken off is kept', async () => {
    const from = await lab.furnished();
    const root = from.devices.get('/dev/xvda') ?? '';
    await from.write(root, 0, 1_000_000);
    const job = await lab.restore(from, { type: 'volume', mode: 'inPlace', volumeIds: [root] });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null, instance: { instanceId: from.instanceId } });
    expect(job.volumes).toMatchObject([{ sourceVolumeId: root, previousVolumeId: root }]);
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(devicesOf(now).get('/dev/xvda')).toBe(job.volumes[0].volumeId);
    await lab.expectSameBytes(from, now);
    const { Volumes } = await from.ec2.send(new DescribeVolumesCommand({ VolumeIds: [root] }));
    expect(Volumes?.[0]?.State).toBe('available');
  });

  test('waits for a backup of the instance, and no backup begins while volumes are swapped', async () => {
    const from = await lab.furnished();
    const { tenant, connection, instanceId } = from;
    const setBackup = (id: string, state: 'RUNNING' | 'COMPLETED') =>
      inTenant(lab.world.cell.database.worker, tenant.tenantId, (tx) =>
        tx.update(backupJobs).set({ state }).where(eq(backupJobs.id, id)),
      );
    const { json: running } = await tenant.call('POST', '/v1/backup-jobs', {
      body: { connectionId: connection.id, instanceId },
    });
    await setBackup(running.id, 'RUNNING');
    const { json: job } = await tenant.call('POST', '/v1/restore-jobs', {
      body: {
        recoveryPointId: from.pointId,
        type: 'instance',
        mode: 'inPlace',
        target: { connectionId: connection.id, awsRegion: REGION },
      },
    });
    const restored = lab.world.run({ kind: 'restore', tenantId: tenant.tenantId, jobId: job.id });
    const made = async () => {
      const { Volumes } = await from.ec2.send(
        new DescribeVolumesCommand({ Filters: [{ Name: 'tag:domicile:job', Values: [job.id] }] }),
      );
      return Volumes?.length;
    };
    await expect.poll(made, { timeout: 30_000 }).toBe(2);
    // Everything is ready, and the instance is as it was: the backup still reads it.
    expect(devicesOf(await instanceAt(from.ec2, instanceId))).toEqual(from.devices);
    await setBackup(running.id, 'COMPLETED');
    const { json: later } = await tenant.call('POST', '/v1/backup-jobs', {
      body: { connectionId: connection.id, instanceId },
    });
    await untilState(from.ec2, instanceId, 'stopping|stopped');
    await lab.world.run({ kind: 'backup', tenantId: tenant.tenantId, jobId: later.id });
    expect((await tenant.call('GET', `/v1/backup-jobs/${later.id}`)).json.state).toBe('CREATED');
    await restored;
    expect((await tenant.call('GET', `/v1/restore-jobs/${job.id}`)).json.state).toBe('COMPLETED');
    await lab.world.run({ kind: 'backup', tenantId: tenant.tenantId, jobId: later.id });
    const after = (await tenant.call('GET', `/v1/backup-jobs/${later.id}`)).json;
    expect(after).toMatchObject({ state: 'COMPLETED' });
    expect(after.volumes).toHaveLength(2);
  });

  test('a stopped instance stays stopped', async () => {
    const from = await lab.furnished();
    await from.ec2.send(new StopInstancesCommand({ InstanceIds: [from.instanceId] }));
    await untilState(from.ec2, from.instanceId, 'stopped');
    const data = from.devices.get('/dev/sdf');
    const job = await lab.restore(from, { type: 'volume', mode: 'inPlace', volumeIds: [data] });
    expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ previousVolumeId: data }] });
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(now.State?.Name).toBe('stopped');
    expect(devicesOf(now).get('/dev/sdf')).toBe(job.volumes[0].volumeId);
  });

  test('needs a connection that was made for it', async () => {
    const from = await lab.furnished({ restoreInPlace: false });
    expect(await lab.restore(from, { type: 'instance', mode: 'inPlace' })).toMatchObject({
      code: 'restore_not_enabled',
      facts: { lacking: 'restoreInPlace' },
    });
  });
});

describe('a volume', () => {
  test('is attached to a chosen instance', async () => {
    const from = await lab.furnished();
    const sourceVolumeId = from.devices.get('/dev/sdf');
    const attach = { instanceId: from.instanceId, deviceName: '/dev/sdg' };
    const target = { availabilityZone: from.source.Placement?.AvailabilityZone };
    const volumes = [{ sourceVolumeId, attach }];
    const job = await lab.restore(from, { type: 'volume', volumeIds: [sourceVolumeId], volumes }, target);
    expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ attachedTo: attach }] });
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(devicesOf(now).get('/dev/sdg')).toBe(job.volumes[0].volumeId);
  });

  test('goes to another region of the jurisdiction, under a key of that region', async () => {
    const from = await lab.furnished({ awsRegions: [REGION, 'eu-west-1'] });
    const target = { awsRegion: 'eu-west-1', availabilityZone: 'eu-west-1a' };
    const data = from.devices.get('/dev/sdf');
    expect(await lab.restore(from, { type: 'volume', volumeIds: [data] }, target)).toMatchObject({
      code: 'less_encrypted_than_source',
    });
    const plain = from.devices.get('/dev/xvda');
    const job = await lab.restore(from, { type: 'volume', volumeIds: [plain] }, target);
    expect(job).toMatchObject({ state: 'COMPLETED', volumes: [{ encrypted: true }] });
    const there = { ...from.access, awsRegion: 'eu-west-1' };
    expect((await hashVolume(there, job.volumes[0].volumeId)).sha256).toBe(from.hashes.get('/dev/xvda'));
  });

  test('that is aborted leaves nothing behind', async () => {
    const from = await lab.furnished();
    const iam = lab.iamOf(from.access);
    const whole = JSON.stringify(from.connection.restorePolicy);
    const PolicyDocument = whole.replaceAll('"ec2:CreateVolume"', '"ec2:Nothing"');
    await iam.send(
      new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument }),
    );
    const job = await lab.restore(from, { type: 'volume' });
    expect(job.state).toBe('PENDING');
    expect((await ours(from.ec2, job.id)).snapshots).toHaveLength(2);
    await from.tenant.call('POST', `/v1/restore-jobs/${job.id}/abort`);
    await lab.world.run({ kind: 'restore', tenantId: from.tenant.tenantId, jobId: job.id });
    expect((await from.tenant.call('GET', `/v1/restore-jobs/${job.id}`)).json).toMatchObject({
      state: 'ABORTED',
      leftovers: [],
    });
    expect((await ours(from.ec2, job.id)).snapshots).toEqual([]);
  });
});

describe('a licence that AWS bills', () => {
  const windows = async (ec2: EC2Client) => {
    const Filters = [{ Name: 'platform', Values: ['windows'] }];
    const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'], Filters }));
    return Images?.[0]?.ImageId ?? '';
  };

  test('is named by the dry run, refused without a vendor image, and kept with one', async () => {
    const image = await windows(lab.ec2At((await lab.world.customer(lab.nextAccount())).access));
    const from = await lab.furnished({}, image);
    expect(from.source.PlatformDetails).toBe('Windows');
    const dry = await lab.restore(from, { type: 'instance', dryRun: true });
    expect(dry.checks).toContainEqual(
      expect.objectContaining({ check: 'licence', ok: false, detail: expect.stringContaining('vendorImageId') }),
    );
    expect(await lab.restore(from, { type: 'instance' })).toMatchObject({ code: 'licence_not_portable', status: 422 });
    const job = await lab.restore(from, { type: 'instance', instance: { vendorImageId: image } });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null, leftovers: [] });
    const made = await instanceAt(from.ec2, job.instance.instanceId);
    expect(made).toMatchObject({ PlatformDetails: 'Windows', ImageId: image });
    await lab.expectSameBytes(from, made);
  });
});

describe('a dry run', () => {
  test('of an instance finds nothing wrong, says what it costs, and makes nothing', async () => {
    const from = await lab.furnished();
    const job = await lab.restore(from, { type: 'instance', dryRun: true });
    expect(job.checks.filter((check: Json) => !check.ok)).toEqual([]);
    expect(job.cost).toMatchObject({ currency: 'USD', basis: expect.stringContaining('blocks') });
    expect(await ours(from.ec2, job.id)).toEqual({ snapshots: [], images: [], volumes: [] });
  });

  test('in place asks for the rights on the instance, and stops nothing', async () => {
    const from = await lab.furnished();
    const ask = () => lab.restore(from, { type: 'instance', mode: 'inPlace', dryRun: true });
    const bad = async () => (await ask()).checks.filter((check: Json) => !check.ok).map((check: Json) => check.check);
    expect(await bad()).toEqual([]);
    const PolicyDocument = JSON.stringify(from.connection.restorePolicy)
      .replaceAll('"ec2:StopInstances"', '"ec2:Nothing"')
      .replaceAll('"ec2:DetachVolume"', '"ec2:Nothing"');
    await lab
      .iamOf(from.access)
      .send(new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument }));
    expect(await bad()).toEqual(['ec2:StopInstances', 'ec2:DetachVolume']);
    const now = await instanceAt(from.ec2, from.instanceId);
    expect([now.State?.Name, devicesOf(now)]).toEqual(['running', from.devices]);
  });

  test('names a permission that is missing, and a key that is not allowed', async () => {
    const from = await lab.furnished();
    const iam = lab.iamOf(from.access);
    const whole = JSON.stringify(from.connection.restorePolicy);
    const PolicyDocument = whole
      .replaceAll('"ec2:RegisterImage"', '"ec2:Nothing"')
      .replaceAll('"kms:GenerateDataKeyWithoutPlaintext"', '"kms:Nothing"');
    await iam.send(
      new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument }),
    );
    const { checks } = await lab.restore(from, { type: 'instance', dryRun: true });
    const bad = checks.filter((check: Json) => !check.ok).map((check: Json) => check.check);
    expect(bad).toContain('ec2:RegisterImage');
    expect(bad).toContain(`key for ${from.devices.get('/dev/sdf')}`);
  });
});
