import type { Region } from './types.ts';

/** The European Union. London (eu-west-2) and Zurich (eu-central-2) are deliberately absent. */
export const eu: Region = {
  cell: 'eu',
  jurisdiction: { code: 'EU', name: 'European Union' },
  awsRegions: ['eu-central-1', 'eu-west-1', 'eu-west-3', 'eu-north-1', 'eu-south-1', 'eu-south-2'],
  homeAwsRegion: 'eu-central-1',
  partition: 'aws',
  dnsSuffix: 'amazonaws.com',
  url: 'https://eu.domicile.example',
  allowedEndpointHosts: [],
};
