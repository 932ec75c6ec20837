import {
  DescribeInstanceTypesCommand,
  DescribeKeyPairsCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type EC2Client,
  type InstanceTypeInfo,
} from '@aws-sdk/client-ec2';
import { asking, awsErrorName, toAwsFault } from './faults.ts';

/** What a name stands for, or undefined where AWS knows no such thing. Other refusals are Faults. */
async function orUndefined<T>(doing: string, awsRegion: string, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (/\.NotFound$|\.Malformed$|^InvalidInstanceType$/.test(awsErrorName(error))) return undefined;
    throw toAwsFault(error, doing, awsRegion);
  }
}

export type SubnetFacts = { vpcId: string; availabilityZone: string; cidr: string; freeAddresses: number };

export async function findSubnet(
  ec2: EC2Client,
  awsRegion: string,
  subnetId: string,
): Promise<SubnetFacts | undefined> {
  const found = await orUndefined(`look at ${subnetId}`, awsRegion, () =>
    ec2.send(new DescribeSubnetsCommand({ SubnetIds: [subnetId] })),
  );
  const subnet = found?.Subnets?.[0];
  return (
    subnet && {
      vpcId: subnet.VpcId ?? '',
      availabilityZone: subnet.AvailabilityZone ?? '',
      cidr: subnet.CidrBlock ?? '',
      freeAddresses: subnet.AvailableIpAddressCount ?? 0,
    }
  );
}

/** Is this private address of the subnet in use? */
export async function addressInUse(
  ec2: EC2Client,
  awsRegion: string,
  wanted: { subnetId: string; address: string },
): Promise<boolean> {
  const Filters = [
    { Name: 'subnet-id', Values: [wanted.subnetId] },
    { Name: 'addresses.private-ip-address', Values: [wanted.address] },
  ];
  const { NetworkInterfaces } = await asking('look for the private address', awsRegion, () =>
    ec2.send(new DescribeNetworkInterfacesCommand({ Filters })),
  );
  return (NetworkInterfaces ?? []).length > 0;
}

/** The VPC of each security group; a group that does not exist is missing from the answer. */
export async function vpcsOfGroups(
  ec2: EC2Client,
  awsRegion: string,
  groupIds: readonly string[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const groupId of groupIds) {
    const answer = await orUndefined(`look at ${groupId}`, awsRegion, () =>
      ec2.send(new DescribeSecurityGroupsCommand({ GroupIds: [groupId] })),
    );
    const [group] = answer?.SecurityGroups ?? [];
    if (group) found.set(groupId, group.VpcId ?? '');
  }
  return found;
}

export async function keyPairExists(ec2: EC2Client, awsRegion: string, keyName: string): Promise<boolean> {
  const found = await orUndefined(`look at the key pair ${keyName}`, awsRegion, () =>
    ec2.send(new DescribeKeyPairsCommand({ KeyNames: [keyName] })),
  );
  return (found?.KeyPairs ?? []).length > 0;
}

export async function findInstanceType(
  ec2: EC2Client,
  awsRegion: string,
  instanceType: string,
): Promise<InstanceTypeInfo | undefined> {
  const found = await orUndefined(`look at ${instanceType}`, awsRegion, () =>
    ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: [instanceType as 't3.medium'] })),
  );
  return found?.InstanceTypes?.[0];
}
