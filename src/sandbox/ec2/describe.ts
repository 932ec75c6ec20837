import type { Xml } from '../wire/xml.ts';
import { networkOf } from './model.ts';
import { describe } from './network.ts';
import { type Ask, filtersOf, type Operation, own, tagSet } from './request.ts';

const REGIONS = [
  'us-east-1',
  'us-east-2',
  'us-west-1',
  'us-west-2',
  'eu-central-1',
  'eu-central-2',
  'eu-west-1',
  'eu-west-2',
  'eu-west-3',
  'eu-north-1',
  'eu-south-1',
  'eu-south-2',
  'ca-central-1',
  'ca-west-1',
  'ap-southeast-2',
];

const network = ({ request }: Ask) => networkOf(request.caller.accountId, request.awsRegion);
const defaultKey = ({ request }: Ask) => `${request.caller.accountId}/${request.awsRegion}`;

function describeTags({ world, request, params }: Ask): { [name: string]: Xml } {
  const matches = filtersOf(params);
  const resources = [
    ...own(world.instances.values(), request).map((item) => ({ item, type: 'instance' })),
    ...own(world.volumes.values(), request).map((item) => ({ item, type: 'volume' })),
    ...own(world.snapshots.values(), request).map((item) => ({ item, type: 'snapshot' })),
    ...own(world.images.values(), request).map((item) => ({ item, type: 'image' })),
  ];
  const rows = resources.flatMap(({ item, type }) =>
    Object.entries(item.tags)
      .filter(([key, value]) =>
        matches({
          id: item.id,
          tags: item.tags,
          fields: { 'resource-id': item.id, 'resource-type': type, key, value },
        }),
      )
      .map(([key, value]) => ({ resourceId: item.id, resourceType: type, key, value })),
  );
  return { tagSet: { item: rows } };
}

export const DESCRIBE_OPERATIONS: Record<string, Operation> = {
  DescribeTags: describe('DescribeTags', describeTags),
  DescribeRegions: describe('DescribeRegions', () => ({
    regionInfo: {
      item: REGIONS.map((regionName) => ({
        regionName,
        regionEndpoint: `ec2.${regionName}.amazonaws.com`,
        optInStatus: 'opt-in-not-required',
      })),
    },
  })),
  DescribeAvailabilityZones: describe('DescribeAvailabilityZones', (ask) => ({
    availabilityZoneInfo: {
      item: network(ask).zones.map((zoneName) => ({
        zoneName,
        zoneState: 'available',
        regionName: ask.request.awsRegion,
      })),
    },
  })),
  DescribeVpcs: describe('DescribeVpcs', (ask) => ({
    vpcSet: {
      item: [
        {
          vpcId: network(ask).vpcId,
          state: 'available',
          cidrBlock: '172.31.0.0/16',
          isDefault: true,
          tagSet: tagSet({}),
        },
      ],
    },
  })),
  GetEbsEncryptionByDefault: describe('GetEbsEncryptionByDefault', (ask) => ({
    ebsEncryptionByDefault: ask.world.encryptionByDefault.has(defaultKey(ask)),
  })),
  EnableEbsEncryptionByDefault: describe('EnableEbsEncryptionByDefault', (ask) => {
    ask.world.encryptionByDefault.add(defaultKey(ask));
    ask.world.changed();
    return { ebsEncryptionByDefault: true };
  }),
  DisableEbsEncryptionByDefault: describe('DisableEbsEncryptionByDefault', (ask) => {
    ask.world.encryptionByDefault.delete(defaultKey(ask));
    ask.world.changed();
    return { ebsEncryptionByDefault: false };
  }),
  GetEbsDefaultKmsKeyId: describe('GetEbsDefaultKmsKeyId', (ask) => ({
    kmsKeyId: ask.world.keys.defaultEbsKeyArn(ask.request.caller.accountId, ask.request.awsRegion),
  })),
};
