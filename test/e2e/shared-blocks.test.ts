import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { Json, Tenant } from '../cell/harness.ts';
import { openWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const BYTES = Buffer.from(Array.from({ length: 3 * 524_288 }, (_, n) => (n * n) % 251));

/** An instance whose first disk begins with the same bytes as every other one's. */
async function instanceLikeOthers(tenant: Tenant, awsAccountId: string, dedup: 'volume' | 'tenant') {
  const who = await world.customer(awsAccountId);
  const [volumeId = ''] = who.volumeIds;
  await world.control.writeDisk(
    who.account,
    volumeId,
    0,
    (async function* () {
      yield BYTES;
    })(),
  );
  const connection = await world.connect(tenant, who, undefined, { dedup });
  return { who, volumeId, connectionId: connection.id as string };
}

async function storedOf(
  tenant: Tenant,
  { who, volumeId, connectionId }: Awaited<ReturnType<typeof instanceLikeOthers>>,
) {
  const job = await world.backUp(tenant, connectionId, who.instanceId);
  const volume = job.volumes.find((one: Json) => one.volumeId === volumeId);
  return {
    recoveryPointId: job.recoveryPointId as string,
    blocksStored: volume.blocksStored as number,
    blocksRead: volume.blocksRead as number,
  };
}

test('connections that share among the tenant store equal blocks once, and each restores its own bytes', async () => {
  const tenant = await world.cell.newTenant();
  const first = await instanceLikeOthers(tenant, '222222222281', 'tenant');
  const second = await instanceLikeOthers(tenant, '222222222282', 'tenant');
  const alone = await instanceLikeOthers(tenant, '222222222283', 'volume');
  const one = await storedOf(tenant, first);
  const two = await storedOf(tenant, second);
  const three = await storedOf(tenant, alone);
  // The three blocks that are everywhere; what else lies on the disk is each one's own.
  expect(one.blocksStored - two.blocksStored).toBe(3);
  expect(three.blocksStored).toBe(one.blocksStored);
  const { volumes } = await world.restore(tenant, two.recoveryPointId, {
    connectionId: second.connectionId,
    awsRegion: 'eu-central-1',
  });
  for (const { sourceVolumeId, volumeId } of volumes)
    expect(await hashVolume(second.who.access, volumeId)).toEqual(await hashVolume(second.who.access, sourceVolumeId));
});

test('with account storage there is nothing to share: it is refused', async () => {
  const tenant = await world.cell.newTenant();
  const body = { awsAccountId: '222222222284', awsRegions: ['eu-central-1'], tag: { key: 'a', value: 'b' } };
  const { status, json } = await tenant.call('POST', '/v1/connections', {
    body: { ...body, storage: 'account', dedup: 'tenant' },
  });
  expect([status, json.code, json.errors[0].pointer]).toEqual([400, 'invalid_request', '/dedup']);
});
