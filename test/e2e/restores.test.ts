import { DescribeInstanceAttributeCommand, DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import type { Json } from '../cell/harness.ts';
import { devicesOf, instanceAt, openRestores, ours, type Restores, USER_DATA } from './furnished.ts';

let lab: Restores;
beforeAll(async () => {
  lab = await openRestores();
});
afterAll(() => lab.world.close());

describe('a restored instance', () => {
  test('comes back with its configuration, tags, and every volume at its device', async () => {
    const from = await lab.furnished();
    const { ec2, source } = from;
    const job = await lab.restore(from, { type: 'instance' });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null, leftovers: [] });
    const made = await instanceAt(ec2, job.instance.instanceId);
    expect(made.InstanceId).not.toBe(source.InstanceId);
    for (const field of [
      'InstanceType',
      'SubnetId',
      'KeyName',
      'Architecture',
      'RootDeviceName',
      'PlatformDetails',
    ] as const)
      expect([field, made[field]]).toEqual([field, source[field]]);
    expect(made.SecurityGroups?.map(({ GroupId }) => GroupId)).toEqual(
      source.SecurityGroups?.map(({ GroupId }) => GroupId),
    );
    expect(made.MetadataOptions?.HttpTokens).toBe('required');
    for (const tag of source.Tags ?? []) expect(made.Tags).toContainEqual(tag);
    const { UserData } = await ec2.send(
      new DescribeInstanceAttributeCommand({ InstanceId: made.InstanceId, Attribute: 'userData' }),
    );
    expect(UserData?.Value).toBe(USER_DATA);
    expect([...devicesOf(made).keys()].sort()).toEqual([...from.devices.keys()].sort());
    await lab.expectSameBytes(from, made);
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [...devicesOf(made).values()] }));
    expect(Volumes?.every(({ Encrypted }) => Encrypted)).toBe(true);
    expect(Volumes?.find(({ VolumeType }) => VolumeType === 'gp3')).toMatchObject({ Iops: 4000, Throughput: 200 });
    expect(Volumes?.find(({ VolumeType }) => VolumeType === 'gp2')?.KmsKeyId).toBe(from.kmsKeyArn);
    for (const { Tags } of Volumes ?? []) expect(Tags).toContainEqual({ Key: 'of', Value: 'ledger' });
    // The source still has its address, so that AWS gave another: the job says so.
    expect(made.PrivateIpAddress).not.toBe(source.PrivateIpAddress);
    expect(job.checks).toContainEqual(expect.objectContaining({ check: 'private address' }));
    // What was made on the way is gone again.
    expect(await ours(ec2, job.id)).toMatchObject({ snapshots: [], images: [] });
  });

  test('keeps its user data sealed in the database', async () => {
    const from = await lab.furnished();
    const one = sql`select instance::text as text from recovery_points where id = ${from.pointId}`;
    const { rows } = await inTenant(lab.world.cell.database.worker, from.tenant.tenantId, (tx) =>
      tx.execute<{ text: string }>(one),
    );
    const text = rows.map((row) => row.text).join();
    expect(text).toContain('wrappedKey');
    expect(text).not.toContain(USER_DATA);
    expect(text).not.toContain('hunter2');
  });

  test('goes on where it stopped when a right is given back, and makes nothing twice', async () => {
    const from = await lab.furnished();
    const iam = lab.iamOf(from.access);
    const put = (text: string) =>
      iam.send(
        new PutRolePolicyCommand({ RoleName: from.connection.roleName, PolicyName: 'restore', PolicyDocument: text }),
      );
    const whole = JSON.stringify(from.connection.restorePolicy);
    await put(whole.replaceAll('"ec2:RegisterImage"', '"ec2:Nothing"'));
    const stopped = await lab.restore(from, { type: 'instance' });
    expect(stopped).toMatchObject({
      state: 'PENDING',
      blocked: { reason: 'role', detail: expect.stringContaining('ec2:RegisterImage') },
    });
    const before = await ours(from.ec2, stopped.id);
    expect(before.snapshots).toHaveLength(2);
    await put(whole);
    await lab.world.run({ kind: 'restore', tenantId: from.tenant.tenantId, jobId: stopped.id });
    const job = (await from.tenant.call('GET', `/v1/restore-jobs/${stopped.id}`)).json;
    expect(job).toMatchObject({ state: 'COMPLETED', leftovers: [] });
    expect(job.volumes.every((volume: Json) => volume.blocksWritten > 0)).toBe(true);
    await lab.expectSameBytes(from, await instanceAt(from.ec2, job.instance.instanceId));
  });
});

describe('in place', () => {
  test('all volumes are swapped while it is stopped, and it runs again', async () => {
    const from = await lab.furnished();
    for (const volumeId of from.devices.values()) await from.write(volumeId, 0, 1_000_000);
    const job = await lab.restore(from, { type: 'instance', mode: 'inPlace' });
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    const now = await instanceAt(from.ec2, from.instanceId);
    expect(now.State?.Name).toBe('running');
    await lab.expectSameBytes(from, now);
    expect(job.volumes.map((volume: Json) => volume.previousVolumeId).toSorted()).toEqual(
      [...from.devices.values()].toSorted(),
    );
  });
});

describe('a dry run', () => {
  test('names everything that is wrong at once', async () => {
    const from = await lab.furnished();
    const instance = {
      privateIpAddress: from.source.PrivateIpAddress,
      keyName: 'nobody',
      securityGroupIds: ['sg-00000000000000000'],
      instanceType: 't4g.small',
    };
    const { checks } = await lab.restore(from, { type: 'instance', dryRun: true, instance });
    const bad = checks.filter((check: Json) => !check.ok).map((check: Json) => check.check);
    expect(bad.toSorted()).toEqual(['instance type', 'key pair', 'private address', 'security group']);
  });
});
