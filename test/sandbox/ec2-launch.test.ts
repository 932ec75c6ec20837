import {
  CreateKeyPairCommand,
  DeregisterImageCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test } from 'vitest';
import { LINUX, firstSubnet, instance, newSnapshot, register, run, running, tagsOf, type Launch } from './ec2-calls.ts';
import { errorOf } from './support.ts';
import { ACCOUNT, allow, clientsOf, openAws, REGION } from './world.ts';

describe('RunInstances', () => {
  test('makes every volume of the image, changed by the request, and tells all of it', async () => {
    const aws = await openAws();
    const [root, data, spare] = [await newSnapshot(aws), await newSnapshot(aws, 'data'), await newSnapshot(aws, 'x')];
    const ImageId = await register(aws.ec2, root, {
      BootMode: 'uefi',
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { SnapshotId: root } },
        { DeviceName: '/dev/sdf', Ebs: { SnapshotId: data } },
        { DeviceName: '/dev/sdg', Ebs: { SnapshotId: spare } },
      ],
    });
    await aws.ec2.send(new CreateKeyPairCommand({ KeyName: 'ours' }));
    const subnet = await firstSubnet(aws.ec2);
    const address = (subnet?.CidrBlock ?? '').replace(/\d+\/\d+$/, '77');
    const started = await run(aws.ec2, {
      ImageId,
      KeyName: 'ours',
      SubnetId: subnet?.SubnetId,
      PrivateIpAddress: address,
      MetadataOptions: { HttpTokens: 'required' },
      BlockDeviceMappings: [
        { DeviceName: '/dev/sdf', Ebs: { VolumeSize: 2, DeleteOnTermination: false } },
        { DeviceName: '/dev/sdg', NoDevice: '' },
        { DeviceName: '/dev/sdh', Ebs: { VolumeSize: 4 } },
      ],
      TagSpecifications: [...tagsOf('instance'), ...tagsOf('volume')],
    });
    const id = started?.InstanceId ?? '';
    expect(started?.State?.Name).toBe('pending');
    aws.tick(1_000);
    const now = await instance(aws.ec2, id);
    expect(now).toMatchObject({
      State: { Name: 'running' },
      ImageId,
      Architecture: 'x86_64',
      BootMode: 'uefi',
      KeyName: 'ours',
      SubnetId: subnet?.SubnetId,
      PrivateIpAddress: address,
      MetadataOptions: { HttpTokens: 'required' },
      Tags: [{ Key: 'owner', Value: 'us' }],
    });
    expect(now?.BlockDeviceMappings?.map((it) => [it.DeviceName, it.Ebs?.DeleteOnTermination])).toEqual([
      ['/dev/xvda', true],
      ['/dev/sdf', false],
      ['/dev/sdh', true],
    ]);
    const VolumeIds = (now?.BlockDeviceMappings ?? []).map((it) => it.Ebs?.VolumeId ?? '');
    const { Volumes = [] } = await aws.ec2.send(new DescribeVolumesCommand({ VolumeIds }));
    expect(Volumes.map((it) => [it.Size, it.SnapshotId, it.Tags?.length])).toEqual([
      [1, root, 1],
      [2, data, 1],
      [4, '', 1],
    ]);
    await aws.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    const { Volumes: left } = await aws.ec2.send(
      new DescribeVolumesCommand({ Filters: [{ Name: 'tag:owner', Values: ['us'] }] }),
    );
    expect(left?.map((it) => [it.VolumeId, it.State])).toEqual([[VolumeIds[1], 'available']]);
  });

  // Source: EC2 API reference, RunInstances and error codes.
  const refusals: [string, Launch, string][] = [
    ['an image that is not there', { ImageId: 'ami-00000000000000000' }, 'InvalidAMIID.NotFound'],
    ['an image id that is none', { ImageId: 'ami-x' }, 'InvalidAMIID.Malformed'],
    ['a type that is not there', { InstanceType: 't9.small' as 't3.small' }, 'InvalidInstanceType'],
    ['a type of another architecture', { InstanceType: 't4g.small' }, 'InvalidParameterValue'],
    ['a key pair that is not there', { KeyName: 'none' }, 'InvalidKeyPair.NotFound'],
    ['a subnet that is not there', { SubnetId: 'subnet-00000000000000000' }, 'InvalidSubnetID.NotFound'],
    ['a security group that is not there', { SecurityGroupIds: ['sg-00000000000000000'] }, 'InvalidGroup.NotFound'],
    ['an address outside the subnet', { PrivateIpAddress: '10.0.0.9' }, 'InvalidParameterValue'],
    ['an address that AWS keeps', { PrivateIpAddress: '172.31.0.3' }, 'InvalidParameterValue'],
    ['more at least than at most', { MinCount: 3, MaxCount: 2 }, 'InvalidParameterValue'],
    ['user data of more than 16 KiB', { UserData: Buffer.alloc(16_385).toString('base64') }, 'InvalidParameterValue'],
    ['a dry run that would succeed', { DryRun: true }, 'DryRunOperation'],
  ];
  test.each(refusals)('refuses %s, and makes nothing', async (_, changes, code) => {
    const { ec2 } = await openAws();
    expect(await errorOf(run(ec2, changes))).toBe(code);
    expect((await ec2.send(new DescribeInstancesCommand({}))).Reservations ?? []).toEqual([]);
    expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes ?? []).toEqual([]);
  });

  test('refuses an address in use, which is free again after termination; the subnet counts', async () => {
    const aws = await openAws();
    const before = (await firstSubnet(aws.ec2))?.AvailableIpAddressCount ?? 0;
    const taken = await run(aws.ec2, { PrivateIpAddress: '172.31.0.77' });
    expect((await firstSubnet(aws.ec2))?.AvailableIpAddressCount).toBe(before - 1);
    expect(await errorOf(run(aws.ec2, { PrivateIpAddress: '172.31.0.77' }))).toBe('InvalidIPAddress.InUse');
    const InstanceIds = [taken?.InstanceId ?? ''];
    await aws.ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    aws.tick(1_000);
    expect((await instance(aws.ec2, InstanceIds[0] ?? ''))?.State?.Name).toBe('terminated');
    expect(await errorOf(run(aws.ec2, { PrivateIpAddress: '172.31.0.77' }))).toBe(null);
  });

  // Source: EC2 API reference, error codes: VcpuLimitExceeded; a t3.small has two.
  test('refuses more vCPUs than the account may have, a stopped instance not counted', async () => {
    const aws = await openAws();
    await fetch(`${aws.endpoint}/_sandbox/settings`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${aws.sandbox.adminToken}` },
      body: JSON.stringify({ accounts: { [ACCOUNT]: { vcpus: 3 } } }),
    });
    expect(await errorOf(run(aws.ec2, { MinCount: 2, MaxCount: 2 }))).toBe('VcpuLimitExceeded');
    const first = await run(aws.ec2);
    expect(await errorOf(run(aws.ec2, { DryRun: true }))).toBe('VcpuLimitExceeded');
    await aws.ec2.send(new StopInstancesCommand({ InstanceIds: [first?.InstanceId ?? ''] }));
    expect(await errorOf(run(aws.ec2))).toBe(null);
  });

  test('with the same token starts nothing twice, and refuses another request under it', async () => {
    const { ec2 } = await openAws();
    const first = await run(ec2, { ClientToken: 'job-1' });
    expect((await run(ec2, { ClientToken: 'job-1' }))?.InstanceId).toBe(first?.InstanceId);
    expect(await errorOf(run(ec2, { ClientToken: 'job-1', InstanceType: 't3.large' }))).toBe(
      'IdempotentParameterMismatch',
    );
  });

  // Source: service authorization reference, RunInstances: each of these is asked about.
  const account = `arn:aws:ec2:${REGION}:${ACCOUNT}:`;
  const resources = {
    image: `arn:aws:ec2:${REGION}::image/*`,
    instance: `${account}instance/*`,
    volume: `${account}volume/*`,
    'network-interface': `${account}network-interface/*`,
    subnet: `${account}subnet/*`,
    'security-group': `${account}security-group/*`,
  };
  test.each(Object.keys(resources))('needs rights on the %s', async (left) => {
    const aws = await openAws();
    const all = Object.entries(resources);
    const without = all.filter(([kind]) => kind !== left).map(([, arn]) => arn);
    const tryAs = async (arns: string[]) => errorOf(run((await aws.as(allow('ec2:RunInstances', arns))).ec2));
    expect(await tryAs(without)).toBe('UnauthorizedOperation');
    expect(await tryAs(all.map(([, arn]) => arn))).toBe(null);
  });

  // Source: service authorization reference: ec2:Vpc, an ARN, on subnet, security group and network interface.
  test('can be kept to one VPC, and a profile needs iam:PassRole', async () => {
    const aws = await openAws();
    const vpc = `${account}vpc/${(await firstSubnet(aws.ec2))?.VpcId}`;
    const inVpc = (arn: string) => [
      allow('ec2:RunInstances', [resources.image, resources.instance, resources.volume]),
      allow('ec2:RunInstances', [resources.subnet, resources['security-group'], resources['network-interface']], {
        ArnEquals: { 'ec2:Vpc': arn },
      }),
    ];
    const right = await aws.as(...inVpc(vpc));
    const wrong = await aws.as(...inVpc(`${account}vpc/vpc-0other`));
    expect(await errorOf(run(wrong.ec2))).toBe('UnauthorizedOperation');
    expect(await errorOf(run(right.ec2))).toBe(null);
    const profile = { IamInstanceProfile: { Name: 'app' } };
    expect(await errorOf(run(right.ec2, profile))).toBe('UnauthorizedOperation');
    const passing = await aws.as(...inVpc(vpc), allow('iam:PassRole', `arn:aws:iam::${ACCOUNT}:role/app`));
    expect(await errorOf(run(passing.ec2, profile))).toBe(null);
  });
});

describe('starting, stopping and terminating', () => {
  test('obey the tags of the instance', async () => {
    const aws = await openAws();
    const mine = await run(aws.ec2, { TagSpecifications: tagsOf('instance') });
    const other = await run(aws.ec2);
    aws.tick(1_000);
    const ours = { StringEquals: { 'aws:ResourceTag/owner': 'us' } };
    const { ec2 } = await aws.as(
      allow(['ec2:StopInstances', 'ec2:StartInstances', 'ec2:TerminateInstances'], '*', ours),
    );
    const send = {
      stop: (id: string) => ec2.send(new StopInstancesCommand({ InstanceIds: [id] })),
      start: (id: string) => ec2.send(new StartInstancesCommand({ InstanceIds: [id] })),
      terminate: (id: string) => ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] })),
    };
    for (const change of Object.values(send)) {
      expect(await errorOf(change(other?.InstanceId ?? ''))).toBe('UnauthorizedOperation');
      expect(await errorOf(change(mine?.InstanceId ?? ''))).toBe(null);
      aws.tick(1_000);
    }
  });

  test('a stopped instance starts, a terminated one does not', async () => {
    const aws = await openAws();
    const { instanceId } = await running(aws);
    await aws.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    aws.tick(1_000);
    const start = aws.ec2.send(new StartInstancesCommand({ InstanceIds: [instanceId] }));
    expect(await errorOf(start)).toBe('IncorrectInstanceState');
  });

  test('images and key pairs of another account do not exist', async () => {
    const aws = await openAws();
    const ImageId = await register(aws.ec2, await newSnapshot(aws));
    await aws.ec2.send(new CreateKeyPairCommand({ KeyName: 'ours' }));
    const stranger = clientsOf(aws.endpoint, await aws.control.account('333333333333'));
    expect(await errorOf(run(stranger.ec2, { ImageId }))).toBe('InvalidAMIID.NotFound');
    expect(await errorOf(run(stranger.ec2, { KeyName: 'ours' }))).toBe('InvalidKeyPair.NotFound');
    expect(await errorOf(stranger.ec2.send(new DeregisterImageCommand({ ImageId })))).toBe('InvalidAMIID.NotFound');
    expect(await errorOf(aws.ec2.send(new DeregisterImageCommand({ ImageId: LINUX })))).toBe('AuthFailure');
  });
});
