import type { Image } from './model.ts';

/** Amazon's own account, which owns the images that it publishes. */
const AMAZON = '137112412989';
const MARKETPLACE = '679593333241';

type Published = Pick<Image, 'id' | 'name' | 'architecture' | 'billing'> & {
  rootDeviceName?: string;
  accountId?: string;
  ownerAlias?: string;
};

const linux = { platformDetails: 'Linux/UNIX', productCodes: [] };
const billed = (platformDetails: string) => ({ platformDetails, productCodes: [] });

const PUBLISHED: readonly Published[] = [
  { id: 'ami-0d0111c11e0000001', name: 'al2023-ami-2023.9-kernel-6.1-x86_64', architecture: 'x86_64', billing: linux },
  { id: 'ami-0d0111c11e0000002', name: 'al2023-ami-2023.9-kernel-6.1-arm64', architecture: 'arm64', billing: linux },
  {
    id: 'ami-0d0111c11e0000003',
    name: 'Windows_Server-2025-English-Full-Base-2026.11.12',
    architecture: 'x86_64',
    billing: billed('Windows'),
    rootDeviceName: '/dev/sda1',
  },
  {
    id: 'ami-0d0111c11e0000004',
    name: 'RHEL-10.1.0_HVM-20261103-x86_64',
    architecture: 'x86_64',
    billing: billed('Red Hat Enterprise Linux'),
    rootDeviceName: '/dev/sda1',
  },
  {
    id: 'ami-0d0111c11e0000005',
    name: 'suse-sles-16-v20261101-hvm-ssd-x86_64',
    architecture: 'x86_64',
    billing: billed('SUSE Linux'),
    rootDeviceName: '/dev/sda1',
  },
  {
    id: 'ami-0d0111c11e0000006',
    name: 'a-firewall-of-the-marketplace-7.2',
    architecture: 'x86_64',
    billing: { platformDetails: 'Linux/UNIX', productCodes: ['5tiyrfb5tasxk9gmnab39b843'] },
    accountId: MARKETPLACE,
    ownerAlias: 'aws-marketplace',
  },
];

/** A few public images, the same in every region: one for each platform that AWS bills in its own way. */
export function publicImages(awsRegion: string): Image[] {
  return PUBLISHED.map(({ rootDeviceName = '/dev/xvda', accountId = AMAZON, ownerAlias = 'amazon', ...rest }) => ({
    ...rest,
    accountId,
    awsRegion,
    ownerAlias,
    tags: {},
    description: '',
    virtualizationType: 'hvm',
    rootDeviceName,
    enaSupport: true,
    bootMode: 'uefi-preferred',
    imdsSupport: 'v2.0',
    tpmSupport: null,
    isPublic: true,
    createdAt: '2026-11-12T00:00:00.000Z',
    devices: [
      {
        deviceName: rootDeviceName,
        snapshotId: null,
        sizeGiB: 8,
        volumeType: 'gp3',
        iops: null,
        throughput: null,
        deleteOnTermination: true,
      },
    ],
  }));
}
