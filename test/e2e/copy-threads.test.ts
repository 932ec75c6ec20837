import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import { openWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld({ copyThreads: 2 });
});
afterAll(() => world.close());

test('threads back up and restore the same bytes, with credentials that only the main thread gets', async () => {
  const who = await world.customer('222222222291');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const [volumeId = ''] = who.volumeIds;
  await world.backUp(tenant, connection.id, who.instanceId);
  await who.write(volumeId, 700_000_000, 2_000_000);
  const job = await world.backUp(tenant, connection.id, who.instanceId);
  expect(job).toMatchObject({ state: 'COMPLETED' });
  const point = (await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json;
  expect(point.volumes.map((volume: { kind: string }) => volume.kind)).toEqual(['incremental', 'incremental']);
  const restored = await world.restore(tenant, point.id, { connectionId: connection.id, awsRegion: 'eu-central-1' });
  expect(restored).toMatchObject({ state: 'COMPLETED' });
  for (const { sourceVolumeId, volumeId: made } of restored.volumes)
    expect(await hashVolume(who.access, made)).toEqual(await hashVolume(who.access, sourceVolumeId));
});
