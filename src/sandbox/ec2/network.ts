import { createHash, randomBytes } from 'node:crypto';
import { textList } from '../wire/query.ts';
import type { Xml } from '../wire/xml.ts';
import { arnOf, awsId, type Instance, type KeyPair, networkOf, requestTagKeys, resourceTagKeys } from './model.ts';
import { type Ask, ec2Error, endDryRun, filtersOf, type Operation, own, required, tagsFor, tagSet } from './request.ts';

/** AWS keeps the first four addresses of a subnet and the last. */
const FIRST_HOST = 4;
const HOSTS = 4_091;

export type Subnet = ReturnType<typeof networkOf>['subnets'][number];

const networkFor = ({ request }: Ask) => networkOf(request.caller.accountId, request.awsRegion);

export function subnetOf(ask: Ask, subnetId: string): Subnet {
  const subnet = networkFor(ask).subnets.find((candidate) => candidate.subnetId === subnetId);
  if (!subnet) throw ec2Error('InvalidSubnetID.NotFound', `The subnet ID '${subnetId}' does not exist`);
  return subnet;
}

const toNumber = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const toAddress = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');

/** Instances that hold an address in a subnet: all but terminated ones. */
function usedIn({ world, request }: Ask, subnetId: string): Instance[] {
  return own(world.instances.values(), request).filter(
    (instance) => instance.subnetId === subnetId && instance.state !== 'terminated',
  );
}

export function freeAddresses(ask: Ask, subnet: Subnet): number {
  return HOSTS - usedIn(ask, subnet.subnetId).length;
}

/** The asked-for address if it is free, else the lowest free one. */
export function takeAddress(ask: Ask, subnet: Subnet, wanted: string | undefined): string {
  const used = new Set(usedIn(ask, subnet.subnetId).map((instance) => instance.privateIp));
  const base = toNumber(subnet.cidr.replace(/\/.*$/, ''));
  if (wanted !== undefined) {
    const offset = toNumber(wanted) - base;
    if (!/^\d+(\.\d+){3}$/.test(wanted) || offset < FIRST_HOST || offset >= FIRST_HOST + HOSTS)
      throw ec2Error('InvalidParameterValue', `Address ${wanted} does not fall within the subnet's address range`);
    if (used.has(wanted)) throw ec2Error('InvalidIPAddress.InUse', `Address ${wanted} is in use.`);
    return wanted;
  }
  for (let host = FIRST_HOST; host < FIRST_HOST + HOSTS; host += 1)
    if (!used.has(toAddress(base + host))) return toAddress(base + host);
  throw ec2Error(
    'InsufficientFreeAddressesInSubnet',
    `The specified subnet does not have enough free addresses: ${subnet.subnetId}`,
  );
}

/** A Describe call without resources of its own: rights, dry run, then the answer. */
export function describe(action: string, answer: (ask: Ask) => { [name: string]: Xml }): Operation {
  return (ask) => {
    ask.world.require(ask.request, { action: `ec2:${action}`, resource: '*' });
    endDryRun(ask);
    return answer(ask);
  };
}

function subnets(ask: Ask): { [name: string]: Xml } {
  const wanted = textList(ask.params, 'SubnetId').map((id) => subnetOf(ask, id).subnetId);
  const { vpcId, subnets: all } = networkFor(ask);
  const matches = filtersOf(ask.params);
  const item = all
    .filter(({ subnetId }) => wanted.length === 0 || wanted.includes(subnetId))
    .filter(({ subnetId, zone }) =>
      matches({
        id: subnetId,
        tags: {},
        fields: { 'subnet-id': subnetId, 'vpc-id': vpcId, 'availability-zone': zone, state: 'available' },
      }),
    )
    .map((subnet) => ({
      subnetId: subnet.subnetId,
      state: 'available',
      vpcId,
      cidrBlock: subnet.cidr,
      availableIpAddressCount: freeAddresses(ask, subnet),
      availabilityZone: subnet.zone,
      defaultForAz: true,
      tagSet: tagSet({}),
    }));
  return { subnetSet: { item } };
}

/** Throws for groups that do not exist: each account has its VPC's default group. */
export function requireGroups(ask: Ask, ids: readonly string[]): void {
  const { securityGroupId } = networkFor(ask);
  const unknown = ids.find((id) => id !== securityGroupId);
  if (unknown !== undefined) throw ec2Error('InvalidGroup.NotFound', `The security group '${unknown}' does not exist`);
}

function securityGroups(ask: Ask): { [name: string]: Xml } {
  const { vpcId, securityGroupId } = networkFor(ask);
  requireGroups(ask, textList(ask.params, 'GroupId'));
  const group = {
    ownerId: ask.request.caller.accountId,
    groupId: securityGroupId,
    groupName: 'default',
    groupDescription: 'default VPC security group',
    vpcId,
    tagSet: tagSet({}),
  };
  const fields = { 'group-id': securityGroupId, 'vpc-id': vpcId, 'group-name': 'default' };
  return {
    securityGroupInfo: { item: filtersOf(ask.params)({ id: securityGroupId, tags: {}, fields }) ? [group] : [] },
  };
}

function networkInterfaces(ask: Ask): { [name: string]: Xml } {
  const matches = filtersOf(ask.params);
  const { vpcId } = networkFor(ask);
  const attached = own(ask.world.instances.values(), ask.request).filter(({ state }) => state !== 'terminated');
  const hits = attached.filter((instance) =>
    matches({
      id: instance.networkInterfaceId,
      tags: instance.networkInterfaceTags,
      fields: {
        'network-interface-id': instance.networkInterfaceId,
        'subnet-id': instance.subnetId,
        'vpc-id': vpcId,
        'private-ip-address': instance.privateIp,
        'addresses.private-ip-address': instance.privateIp,
        'attachment.instance-id': instance.id,
      },
    }),
  );
  const item = hits.map((instance) => ({
    networkInterfaceId: instance.networkInterfaceId,
    subnetId: instance.subnetId,
    vpcId,
    availabilityZone: instance.availabilityZone,
    ownerId: instance.accountId,
    status: 'in-use',
    privateIpAddress: instance.privateIp,
    groupSet: { item: instance.securityGroupIds.map((groupId) => ({ groupId, groupName: 'default' })) },
    attachment: { instanceId: instance.id, deviceIndex: 0, status: 'attached', deleteOnTermination: true },
    privateIpAddressesSet: { item: [{ privateIpAddress: instance.privateIp, primary: true }] },
    tagSet: tagSet(instance.networkInterfaceTags),
  }));
  return { networkInterfaceSet: { item } };
}

export function keyPairOf({ world, request }: Ask, name: string): KeyPair {
  const found = own(world.keyPairs.values(), request).find((pair) => pair.name === name);
  if (!found) throw ec2Error('InvalidKeyPair.NotFound', `The key pair '${name}' does not exist`);
  return found;
}

const createKeyPair: Operation = (ask) => {
  const { world, request, params } = ask;
  const name = required(params, 'KeyName');
  const tags = tagsFor(params, 'key-pair');
  const resource = arnOf('key-pair', request.awsRegion, request.caller.accountId, name);
  world.require(request, { action: 'ec2:CreateKeyPair', resource, context: requestTagKeys(tags) });
  if (own(world.keyPairs.values(), request).some((pair) => pair.name === name))
    throw ec2Error('InvalidKeyPair.Duplicate', `The keypair already exists`);
  endDryRun(ask);
  const material = randomBytes(32);
  const fingerprint = createHash('sha1')
    .update(material)
    .digest('hex')
    .replace(/(..)(?=.)/g, '$1:');
  const { accountId } = request.caller;
  const pair = { id: awsId('key'), accountId, awsRegion: request.awsRegion, tags, name, fingerprint };
  world.keyPairs.set(pair.id, pair);
  world.changed();
  // Nobody can log in to an instance of the sandbox: what stands for the private key only looks like one.
  const keyMaterial = `-----BEGIN PRIVATE KEY-----\n${material.toString('base64')}\n-----END PRIVATE KEY-----`;
  return { keyName: name, keyPairId: pair.id, keyFingerprint: fingerprint, keyMaterial };
};

const deleteKeyPair: Operation = (ask) => {
  const { world, request, params } = ask;
  const name = required(params, 'KeyName');
  const found = own(world.keyPairs.values(), request).find((pair) => pair.name === name);
  const resource = arnOf('key-pair', request.awsRegion, request.caller.accountId, name);
  world.require(request, { action: 'ec2:DeleteKeyPair', resource, context: resourceTagKeys(found?.tags ?? {}) });
  endDryRun(ask);
  if (found) world.keyPairs.delete(found.id);
  world.changed();
  return { return: true };
};

function keyPairs(ask: Ask): { [name: string]: Xml } {
  const names = textList(ask.params, 'KeyName');
  const hits =
    names.length > 0 ? names.map((name) => keyPairOf(ask, name)) : own(ask.world.keyPairs.values(), ask.request);
  return {
    keySet: {
      item: hits.map(({ id, name, fingerprint, tags }) => ({
        keyPairId: id,
        keyName: name,
        keyFingerprint: fingerprint,
        tagSet: tagSet(tags),
      })),
    },
  };
}

export const NETWORK_OPERATIONS: Record<string, Operation> = {
  DescribeSubnets: describe('DescribeSubnets', subnets),
  DescribeSecurityGroups: describe('DescribeSecurityGroups', securityGroups),
  DescribeNetworkInterfaces: describe('DescribeNetworkInterfaces', networkInterfaces),
  DescribeKeyPairs: describe('DescribeKeyPairs', keyPairs),
  CreateKeyPair: createKeyPair,
  DeleteKeyPair: deleteKeyPair,
};
