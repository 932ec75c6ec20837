import type { Region } from './types.ts';

/** Canada: Montreal and Calgary. */
export const ca: Region = {
  cell: 'ca',
  jurisdiction: { code: 'CA', name: 'Canada' },
  awsRegions: ['ca-central-1', 'ca-west-1'],
  homeAwsRegion: 'ca-central-1',
  partition: 'aws',
  dnsSuffix: 'amazonaws.com',
  url: 'https://ca.domicile.example',
  allowedEndpointHosts: [],
};
