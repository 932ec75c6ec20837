import { DescribeInstancesCommand, DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import { CreateRoleCommand } from '@aws-sdk/client-iam';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { describe, expect, test } from 'vitest';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, BLOCK_BYTES, blockOf, clientsOf, newVolume, openAws, policyOf } from './world.ts';

describe('the control API', () => {
  test('gives the same account for the same number, and a new one for none', async () => {
    const { control, owner, sandbox, endpoint } = await openAws();
    expect(await control.account(ACCOUNT)).toEqual(owner);
    const fresh = async () => {
      const response = await fetch(`${endpoint}/_sandbox/accounts`, {
        method: 'POST',
        headers: { authorization: `Bearer ${sandbox.adminToken}` },
      });
      return (await response.json()) as { awsAccountId: string; accessKeyId: string; secretAccessKey: string };
    };
    const [first, second] = [await fresh(), await fresh()];
    expect(first.awsAccountId).toMatch(/^\d{12}$/);
    expect(first.awsAccountId).not.toBe(second.awsAccountId);
    const { Account } = await clientsOf(endpoint, first).sts.send(new GetCallerIdentityCommand({}));
    expect(Account).toBe(first.awsAccountId);
  });

  test('takes its admin token and nothing else', async () => {
    const { endpoint } = await openAws();
    const paths = ['accounts', 'calls', 'calls/summary', 'clock', `container-credentials/${ACCOUNT}/any`];
    for (const path of paths) {
      for (const authorization of [
        '',
        'Bearer wrong',
        `Bearer ${'ü'.repeat(16)}`.normalize('NFKD').replace(/[^ -~]/g, '?'),
      ])
        expect(
          (await fetch(`${endpoint}/_sandbox/${path}`, { method: 'POST', headers: { authorization } })).status,
        ).toBe(401);
    }
    expect((await fetch(`${endpoint}/_sandbox/health`)).status).toBe(200);
  });

  test('answers what it cannot read with 400, and what it has not with 404', async () => {
    const { endpoint, sandbox } = await openAws();
    const send = async (path: string, body: string) =>
      (
        await fetch(`${endpoint}/_sandbox/${path}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${sandbox.adminToken}` },
          body,
        })
      ).status;
    expect(await send('accounts', '{')).toBe(400);
    expect(await send('accounts', '{"awsAccountId":"12"}')).toBe(400);
    expect(await send('clock', '{"offsetMs":"soon"}')).toBe(400);
    expect(await send('nothing', '{}')).toBe(404);
  });
});

describe('a guest’s disk', () => {
  test('is read and written at any offset with the account’s own key only', async () => {
    const { control, owner, ec2, write } = await openAws();
    const VolumeId = await newVolume(ec2);
    await write(VolumeId, BLOCK_BYTES - 3, Buffer.from('across'));
    expect(Buffer.from(await control.readDisk(owner, VolumeId, BLOCK_BYTES - 4, 8)).toString()).toBe('\0across\0');
    const stranger = await control.account('333333333333');
    await expect(control.readDisk(stranger, VolumeId, 0, 1)).rejects.toThrow('HTTP 400');
    const wrong = { ...owner, secretAccessKey: 'wrong' };
    await expect(control.readDisk(wrong, VolumeId, 0, 1)).rejects.toThrow('HTTP 401');
  });

  test('takes a long stream in pieces of any size, and nothing beyond its end', async () => {
    const { control, owner, ec2, write } = await openAws();
    const VolumeId = await newVolume(ec2);
    const data = Buffer.concat(Array.from({ length: 5 }, (_, i) => blockOf(`${i}`)));
    await control.writeDisk(
      owner,
      VolumeId,
      1_000,
      (async function* () {
        for (let at = 0; at < data.length; at += 99_999) yield data.subarray(at, at + 99_999);
      })(),
    );
    expect(data.equals(await control.readDisk(owner, VolumeId, 1_000, data.length))).toBe(true);
    await expect(write(VolumeId, 2 ** 30 - 2, Buffer.from('xyz'))).rejects.toThrow('HTTP 400');
    expect(await control.readDisk(owner, VolumeId, 2 ** 30 - 2, 100)).toHaveLength(2);
    await expect(control.readDisk(owner, VolumeId, 0, 2 ** 40)).rejects.toThrow('HTTP 400');
  });

  test('keeps both of two writes into one block at the same time', async () => {
    const { control, owner, ec2, write } = await openAws();
    const VolumeId = await newVolume(ec2);
    await write(VolumeId, 0, blockOf('base'));
    await Promise.all(Array.from({ length: 8 }, (_, i) => write(VolumeId, i * 10, Buffer.from(`writer ${i}.`))));
    const text = Buffer.from(await control.readDisk(owner, VolumeId, 0, 80)).toString('latin1');
    for (let i = 0; i < 8; i += 1) expect(text.slice(i * 10, i * 10 + 9)).toBe(`writer ${i}.`);
  });
});

describe('the record of calls', () => {
  test('counts who did what, where, and how it ended', async () => {
    const { control, ec2, as } = await openAws();
    const nobody = await as(allow('ec2:DescribeInstances'));
    const Filters = [{ Name: 'tag:long', Values: Array.from({ length: 50 }, (_, i) => `value-${i}`) }];
    for (let i = 0; i < 3; i += 1) await ec2.send(new DescribeInstancesCommand({ Filters }));
    expect(await errorOf(nobody.ec2.send(new DescribeVolumesCommand({})))).toBe('UnauthorizedOperation');
    const summary = await control.callSummary();
    const common = { accountId: ACCOUNT, service: 'ec2', awsRegion: 'eu-central-1' };
    expect(summary).toContainEqual({
      ...common,
      callerArn: `arn:aws:iam::${ACCOUNT}:root`,
      operation: 'DescribeInstances',
      status: 200,
      count: 3,
    });
    expect(summary).toContainEqual({
      ...common,
      callerArn: `arn:aws:sts::${ACCOUNT}:assumed-role/role-1/*`,
      operation: 'DescribeVolumes',
      status: 403,
      count: 1,
    });
  });
});

describe('container credentials', () => {
  test('are those of a role that trusts ECS, and end after an hour', async () => {
    const { as, tick } = await openAws();
    const task = await as(allow('ec2:DescribeInstances'));
    expect(await task.sts.send(new GetCallerIdentityCommand({}))).toMatchObject({
      Arn: `arn:aws:sts::${ACCOUNT}:assumed-role/role-1/task`,
    });
    tick(61 * 60_000);
    expect(await errorOf(task.ec2.send(new DescribeInstancesCommand({})))).toBe('RequestExpired');
  });

  test('are refused for a role that does not trust ECS, and for none', async () => {
    const { iam, control, sandbox } = await openAws();
    const statement = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'sts:AssumeRole' };
    await iam.send(new CreateRoleCommand({ RoleName: 'people', AssumeRolePolicyDocument: policyOf(statement) }));
    const status = async (role: string) =>
      (await fetch(control.taskCredentialsUri(ACCOUNT, role), { headers: { authorization: sandbox.adminToken } }))
        .status;
    expect(await status('people')).toBe(403);
    expect(await status('none')).toBe(404);
  });
});
