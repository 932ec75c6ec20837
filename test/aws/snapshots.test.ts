import { EC2Client } from '@aws-sdk/client-ec2';
import { expect, test } from 'vitest';
import { createInstanceSnapshots } from '../../src/aws/snapshots.ts';

test('more data volumes than AWS leaves out are refused before AWS is asked', async () => {
  const nobody = new EC2Client({
    endpoint: 'http://127.0.0.1:1',
    region: 'eu-central-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    maxAttempts: 1,
  });
  const dataVolumeIds = (count: number) => Array.from({ length: count }, (_, n) => `vol-${n}`);
  const take = (count: number) =>
    createInstanceSnapshots(nobody, 'eu-central-1', {
      tenantId: 't',
      jobId: 'j',
      instanceId: 'i-1',
      leaveOut: { bootVolume: true, dataVolumeIds: dataVolumeIds(count) },
    });
  await expect(take(41)).rejects.toMatchObject({
    code: 'aws_rejected',
    message: expect.stringContaining('at most 40'),
  });
  await expect(take(40)).rejects.toThrow('list our snapshots'); // it did ask, and nobody was there
});
