import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { openWorld } from './world.ts';

const KEEP = 5;
const SETTLED = 12;
const CYCLES = 40;
/** Time between two backups: what is condemned is deleted three days later. */
const EVERY_MS = 25 * 3_600_000;

test('a plan that keeps five points does not grow: neither the bucket nor the disks of the sandbox', async () => {
  let ahead = 0;
  const world = await openWorld({ clock: { ...systemClock, now: () => new Date(Date.now() + ahead) } });
  try {
    const who = await world.customer('222222222401');
    const tenant = await world.cell.newTenant();
    const connection = await world.connect(tenant, who);
    const s3 = new S3Client({
      endpoint: world.sandbox.url,
      region: 'eu-central-1',
      forcePathStyle: true,
      credentials: await world.control.account('111111111112'),
    });
    const rule = { name: 'minute', cron: '* * * * *', timeZone: 'UTC', retention: { keepLast: KEEP } };
    await tenant.call('POST', '/v1/backup-plans', {
      body: { name: 'p', rules: [rule], selections: [{ connectionId: connection.id }] },
    });
    const used = async () => {
      const { Contents = [] } = await s3.send(
        new ListObjectsV2Command({ Bucket: world.resources.bucket, Prefix: `t/${tenant.tenantId}/` }),
      );
      return {
        objects: Contents.length,
        bytes: Contents.reduce((sum, { Size = 0 }) => sum + Size, 0),
        disk: statSync(join(world.dir, 'ec2', 'blocks', 'blocks.dat')).size,
      };
    };
    let settled = await used();
    for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
      for (const volumeId of who.volumeIds) await who.write(volumeId, (cycle % 4) * 600_000, 500_000);
      await world.scheduled(tenant);
      ahead += EVERY_MS;
      if (cycle === SETTLED) settled = await used();
    }
    expect((await tenant.call('GET', '/v1/recovery-points')).json.items).toHaveLength(KEEP);
    const now = await used();
    expect(now.objects).toBeLessThanOrEqual(settled.objects * 1.2);
    expect(now.bytes).toBeLessThanOrEqual(settled.bytes * 1.5);
    expect(now.disk).toBeLessThanOrEqual(settled.disk * 1.5);
  } finally {
    await world.close();
  }
});
