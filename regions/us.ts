import type { Region } from './types.ts';

/** The United States. GovCloud is a partition of its own and would be a region file of its own. */
export const us: Region = {
  cell: 'us',
  jurisdiction: { code: 'US', name: 'United States' },
  awsRegions: ['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2'],
  homeAwsRegion: 'us-east-2',
  partition: 'aws',
  dnsSuffix: 'amazonaws.com',
  url: 'https://us.domicile.example',
  allowedEndpointHosts: [],
};
