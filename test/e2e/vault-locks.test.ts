import { DeleteObjectCommand, ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recoveryPoints } from '../../src/cell/db/schema/recovery-points.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import { isDue, renewLocks } from '../../src/cell/jobs/renew-locks.ts';
import { collectDue } from '../../src/cell/jobs/garbage/collect.ts';
import { applyRetention } from '../../src/cell/jobs/retention.ts';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import { lockDemanded } from '../../src/vault/locks/generations.ts';
import type { Json } from '../cell/harness.ts';
import { CELL_ACCOUNT, openWorld, type World } from './world.ts';

const DAY = 86_400_000;
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const s3As = (credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }) =>
  new S3Client({ endpoint: world.sandbox.url, region: 'eu-central-1', forcePathStyle: true, credentials });
const later = (days: number) => ({ ...world.worker.clock, now: () => new Date(Date.now() + days * DAY) });

let accounts = 80;
/** A customer whose blocks lie in the vault. */
async function keeper() {
  const who = await world.customer(`2222222224${(accounts += 1)}`);
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const { tenantId } = tenant;
  const { instanceId } = who;
  const backUp = async (retention?: object): Promise<Json> => {
    const job = await world.backUp(tenant, connection.id, instanceId, retention);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    return (await tenant.call('GET', `/v1/recovery-points/${job.recoveryPointId}`)).json;
  };
  /** The objects of the tenant and when their locks end, as the scrubber sees them. */
  const locks = () =>
    inVault(world.worker, { principal: 'scrubber', tenantId }, async (vault) => {
      const ends: { key: string; end: Date | null }[] = [];
      for await (const { key } of vault.store.list('v1/')) ends.push({ key, end: await vault.locks.lockedUntil(key) });
      return ends;
    });
  const retain = (days: number) =>
    applyRetention({ ...world.worker, clock: later(days) }, { tenantId, connectionId: connection.id, instanceId });
  const points = async (): Promise<Json[]> => (await tenant.call('GET', '/v1/recovery-points')).json.items;
  return { ...who, tenant, tenantId, backUp, locks, retain, points };
}

const isKey = ({ key }: { key: string }) => key.includes('/keys/');
const COMPLIANCE = { mode: 'compliance', days: 7 };
/** What is not locked as long as a point with this lock demands, but for keys. */
const notHeld = (ends: readonly { key: string; end: Date | null }[], lockUntil: Date) =>
  ends.filter((one) => !isKey(one) && (one.end ?? new Date(0)) < lockDemanded(lockUntil, new Date()));

describe('a locked point that is built on unlocked ones', () => {
  test('has all locked that it refers to before it is there', async () => {
    const { volumeIds, write, backUp, locks } = await keeper();
    const first = await backUp();
    expect(first.lockedUntil).toBeNull();
    expect((await locks()).filter(({ end }) => end !== null)).toEqual([]);
    for (const volumeId of volumeIds) await write(volumeId, 0, 600_000);
    const second = await backUp({ keepLast: 1, lock: COMPLIANCE });
    expect(second.kind).toBe('incremental');
    const lockUntil = new Date(second.lockedUntil);
    const shared = (await locks()).filter(({ key }) => key.includes('/packs/'));
    expect(shared.length).toBeGreaterThan(2);
    expect(notHeld(shared, lockUntil)).toEqual([]);
  });
});

test('locks that end too soon are renewed once, and what holds is not touched again', async () => {
  const { tenantId, backUp, locks } = await keeper();
  const point = await backUp();
  // As after a database was rebuilt: the point is to be locked, and nobody knows what is held.
  const lockUntil = new Date(Math.floor(Date.now() / 1_000) * 1_000 + 100 * DAY);
  const update = { lockedUntil: lockUntil };
  await inTenant(world.worker.db, tenantId, (tx) =>
    tx.update(recoveryPoints).set(update).where(eq(recoveryPoints.id, point.id)),
  );
  const calls = async () => {
    const counts = (await world.control.callSummary()).filter(({ operation }) => operation.endsWith('ObjectRetention'));
    return counts.reduce((sum, { count }) => sum + count, 0);
  };
  await renewLocks(world.worker, tenantId);
  expect(notHeld(await locks(), lockUntil)).toEqual([]);
  const before = await calls();
  await renewLocks(world.worker, tenantId);
  expect(await calls()).toBe(before);
  // In the generation after the next they are due again.
  const [row] = await inTenant(world.worker.db, tenantId, (tx) =>
    tx.select().from(recoveryPoints).where(eq(recoveryPoints.id, point.id)),
  );
  const held = row?.volumes.map(({ heldUntil }) => ({ lockUntil, heldUntil: new Date(heldUntil ?? 0) })) ?? [];
  expect([0, 30, 60].map((days) => isDue(held, later(days).now()))).toEqual([false, false, true]);
});

test('a locked point is held by S3 against everybody, and goes by retention when its lock has ended', async () => {
  const { tenant, tenantId, volumeIds, write, backUp, locks, retain, points } = await keeper();
  const point = await backUp({ deleteAfterDays: 1, lock: COMPLIANCE });
  const lockUntil = new Date(point.lockedUntil);
  expect(lockUntil.getTime()).toBeGreaterThanOrEqual(Date.parse(point.pointInTime) + 7 * DAY);
  const ends = await locks();
  expect(notHeld(ends, lockUntil)).toEqual([]);
  expect(ends.filter(isKey).map(({ end }) => end)).toEqual(ends.filter(isKey).map(() => null));

  await retain(2);
  expect((await points()).map(({ id }) => id)).toEqual([point.id]);
  expect((await tenant.call('DELETE', `/v1/recovery-points/${point.id}`)).json).toMatchObject({
    code: 'recovery_point_locked',
    status: 409,
  });

  const { bucket: Bucket } = world.resources;
  const root = s3As(await world.control.account(CELL_ACCOUNT));
  const versions = async () =>
    (await root.send(new ListObjectVersionsCommand({ Bucket, Prefix: `t/${tenantId}/` }))).Versions ?? [];
  const pack = (await versions()).find(({ Key }) => Key?.includes('/packs/'));
  const destroy = (s3: S3Client) =>
    s3.send(new DeleteObjectCommand({ Bucket, Key: pack?.Key ?? '', VersionId: pack?.VersionId }));
  const refused = { name: 'AccessDenied' };
  await expect(destroy(root)).rejects.toMatchObject(refused);
  await inVault(world.worker, { principal: 'deleter', tenantId }, async ({ credentials }) => {
    await expect(destroy(s3As((await credentials()) as Parameters<typeof s3As>[0]))).rejects.toMatchObject(refused);
  });

  // The next backup is built on other blocks: nothing but the lock keeps the first one's pack now.
  for (const volumeId of volumeIds) await write(volumeId, 0, 3_000_000);
  await backUp({ keepLast: 1 });
  await retain(8);
  expect((await points()).map(({ id }) => id)).not.toContain(point.id);
  // It is garbage now, and waits: three days, and until its own lock ends, with its generation.
  const afterCollection = async (days: number) => {
    await collectDue({ ...world.worker, clock: later(days) }, tenantId);
    return (await locks()).map(({ key }) => `t/${tenantId}/${key}`);
  };
  expect(await afterCollection(12)).toContain(pack?.Key);
  expect(await afterCollection(60)).not.toContain(pack?.Key);
  const isThere = async () => (await versions()).some(({ Key }) => Key === pack?.Key);
  expect(await isThere()).toBe(true);
  await fetch(`${world.sandbox.url}/_sandbox/clock`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.sandbox.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ offsetMs: 70 * DAY }),
  });
  expect(await isThere()).toBe(false);
});
