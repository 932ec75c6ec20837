import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { regionOf } from '../../regions/index.ts';
import { createAwsClients } from '../../src/aws/clients.ts';
import { connections } from '../../src/cell/db/schema/connections.ts';
import { condemnedObjects, vaultRuns } from '../../src/cell/db/schema/garbage.ts';
import { recoveryPoints, volumeBases } from '../../src/cell/db/schema/recovery-points.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import { type Claim, claimJob, withClaim, writeJob } from '../../src/cell/jobs/claim.ts';
import { openLedger } from '../../src/cell/jobs/garbage/ledger.ts';
import { packsAllowed } from '../../src/cell/jobs/garbage/state.ts';
import { enterVault } from '../../src/cell/jobs/garbage/vault-run.ts';
import type { ConnectionRow, Worker } from '../../src/cell/jobs/worker.ts';
import { silentLogger } from '../../src/core/log.ts';
import { executeCollection } from '../../src/vault/gc/execute.ts';
import { type CollectionPlan, planCollection } from '../../src/vault/gc/plan.ts';
import { block, contentOf, createVault, type Vault } from '../vault/fixture.ts';
import { connected, discovered, INSTANCE, pointOf, VOLUMES } from './fixtures.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';

const HOUR_MS = 3_600_000;
const [VOLUME] = VOLUMES;
const TUNING = { changesPerDedupPage: 1 };

let cell: Cell;
let worker: Worker;
beforeAll(async () => {
  cell = await startCell();
  const region = regionOf('eu');
  if (!region) throw new Error('no eu');
  worker = {
    region,
    db: cell.database.worker,
    clock: cell.clock,
    log: silentLogger,
    enqueue: async () => {},
    aws: createAwsClients({ region, credentials: { accessKeyId: 'x', secretAccessKey: 'x' }, endpoints: {} }),
    endpoints: {},
    vault: { bucket: 'b', bucketOwner: '111111111111', dataKeyArn: 'arn:aws:kms:eu-central-1:111111111111:key/x' },
    lanes: null,
  };
});
afterAll(() => cell.close());

/** A tenant with one instance of one volume, and a vault in memory. */
async function protectedVolume() {
  const tenant = await cell.newTenant();
  const connectionId = await connected(cell, tenant);
  await discovered(cell, tenant, connectionId);
  const [connection] = await inTenant(worker.db, tenant.tenantId, (tx) =>
    tx.select().from(connections).where(eq(connections.id, connectionId)),
  );
  if (!connection) throw new Error('no connection');
  const scope = { cell: 'eu', tenantId: tenant.tenantId, volumeId: VOLUME };
  return { tenant, connection, scope, vault: createVault() };
}
type Volume = Awaited<ReturnType<typeof protectedVolume>>;

const imageOf = (...seeds: number[]) => new Map(seeds.map((seed, index) => [index, block(seed)] as const));

async function claim({ tenant, connection }: Volume): Promise<Claim> {
  const body = { connectionId: connection.id, instanceId: INSTANCE };
  const { json } = await tenant.call('POST', '/v1/backup-jobs', { body });
  return claimAgain(tenant, json.id);
}
async function claimAgain({ tenantId }: Tenant, jobId: string): Promise<Claim> {
  const claimed = await claimJob(worker.db, { table: 'backup', tenantId, jobId }, worker.clock.now());
  if (claimed.kind !== 'claimed') throw new Error(claimed.kind);
  return claimed.claim;
}

const enter = ({ connection }: Volume, held: Claim) => enterVault(worker, held, connection as ConnectionRow, VOLUME);
type Entered = Awaited<ReturnType<typeof enter>>;

function copy({ vault, scope }: Volume, held: Claim, entered: Entered, image: Map<number, Uint8Array>) {
  return vault.backup(image, { ...scope, runId: held.jobId, condemned: entered.condemned, tuning: TUNING });
}

/** The acknowledgement, as a backup job gives it. */
async function commit(volume: Volume, held: Claim, manifestKey: string): Promise<string> {
  const { tenant, connection } = volume;
  const { tenantId } = tenant;
  const runId = held.jobId;
  const now = worker.clock.now();
  const stored = { volumeId: VOLUME, runId, manifestKey };
  const pointId = await pointOf(cell, tenant, connection.id, { backupJobId: runId, volumes: [stored] as never });
  await withClaim(worker.db, held, async (tx) => {
    const values = { tenantId, connectionId: connection.id, volumeId: VOLUME, awsRegion: 'eu-central-1' };
    const base = { ...values, snapshotId: 's', runId, manifestKey, recoveryPointId: pointId, updatedAt: now };
    await tx
      .insert(volumeBases)
      .values(base)
      .onConflictDoUpdate({
        target: [volumeBases.tenantId, volumeBases.connectionId, volumeBases.volumeId],
        set: base,
      });
    await writeJob(tx, held, { state: 'COMPLETED', completedAt: now, recoveryPointId: pointId }, now);
  });
  return pointId;
}

async function backUp(volume: Volume, image: Map<number, Uint8Array>) {
  const held = await claim(volume);
  const { manifestKey } = await copy(volume, held, await enter(volume, held), image);
  return { manifestKey, pointId: await commit(volume, held, manifestKey), image };
}

const forgetPoint = ({ tenant }: Volume, pointId: string) =>
  inTenant(worker.db, tenant.tenantId, (tx) =>
    tx.update(recoveryPoints).set({ state: 'DELETING' }).where(eq(recoveryPoints.id, pointId)),
  );

function begin({ vault, scope }: Volume) {
  const ledger = openLedger(worker, scope);
  const plan = () => planCollection({ ...vault.deps, clock: worker.clock }, scope, () => ledger.begin());
  return { ledger, plan };
}
async function collect(volume: Volume): Promise<CollectionPlan> {
  const { ledger, plan } = begin(volume);
  const made = await plan();
  await executeCollection(made, volume.vault.store, ledger);
  return made;
}

const condemnedIn = ({ tenant }: Volume) =>
  inTenant(worker.db, tenant.tenantId, (tx) => tx.select().from(condemnedObjects));

async function expectRestores(volume: Volume, point: { manifestKey: string; image: Map<number, Uint8Array> }) {
  const restored = await volume.vault.restore(point.manifestKey, { scope: volume.scope });
  expect(contentOf(restored.image)).toEqual(contentOf(point.image));
}
const packsOf = (vault: Vault) => [...vault.store.objects.keys()].filter((key) => key.includes('/packs/'));

/** A volume whose first point was deleted: its pack is needed by none, and its content is known to whoever looks. */
async function withGarbage(): Promise<Volume & { kept: Awaited<ReturnType<typeof backUp>> }> {
  const volume = await protectedVolume();
  const first = await backUp(volume, imageOf(1, 2, 3));
  const kept = await backUp(volume, imageOf(7, 8, 9));
  await forgetPoint(volume, first.pointId);
  return { ...volume, kept };
}

test('a deleted point is gone at once, its objects after 72 hours', async () => {
  const volume = await withGarbage();
  const plan = await collect(volume);
  expect(plan.rootsToDelete).toHaveLength(1);
  expect(plan.condemn.length).toBeGreaterThan(2);
  expect(packsOf(volume.vault)).toHaveLength(2);
  cell.clock.advance(71 * HOUR_MS);
  expect((await collect(volume)).sweep).toMatchObject({ delete: [], release: [] });
  cell.clock.advance(2 * HOUR_MS);
  expect((await collect(volume)).sweep.delete).toHaveLength(plan.condemn.length);
  expect(packsOf(volume.vault)).toHaveLength(1);
  await expectRestores(volume, volume.kept);
  cell.clock.advance(25 * HOUR_MS);
  await collect(volume);
  expect(await condemnedIn(volume)).toEqual([]);
});

test('a run that knows a pack since before it was condemned holds it back, through all its claims, and saves it', async () => {
  const volume = await withGarbage();
  const held = await claim(volume);
  const entered = await enter(volume, held);
  expect(entered.condemned.size).toBe(0);
  await collect(volume); // Its index has the pack by now; the job is tried again, long after.
  cell.clock.advance(1_000 * HOUR_MS);
  const again = await claimAgain(volume.tenant, held.jobId);
  expect((await enter(volume, again)).condemned.size).toBe(1);
  expect((await collect(volume)).sweep.wait.map(({ why }) => why)).toContain('open_run');
  const image = imageOf(1, 2, 3);
  const { manifestKey, blocksStored } = await copy(volume, held, entered, image);
  expect(blocksStored).toBe(0);
  await commit(volume, again, manifestKey);
  cell.clock.advance(1_000 * HOUR_MS);
  expect((await collect(volume)).sweep.release.length).toBeGreaterThan(0);
  cell.clock.advance(1_000 * HOUR_MS);
  await collect(volume);
  await expectRestores(volume, { manifestKey, image });
});

test('a run that enters later stores again what is condemned, and holds nothing back', async () => {
  const volume = await withGarbage();
  await collect(volume);
  cell.clock.advance(60 * HOUR_MS);
  const held = await claim(volume);
  const image = imageOf(1, 2, 3);
  const { manifestKey, blocksStored } = await copy(volume, held, await enter(volume, held), image);
  expect(blocksStored).toBe(3);
  cell.clock.advance(20 * HOUR_MS); // Twice that is less than 72 hours.
  expect((await collect(volume)).sweep.delete.length).toBeGreaterThan(0);
  await commit(volume, held, manifestKey);
  await expectRestores(volume, { manifestKey, image });
  await expectRestores(volume, volume.kept);
});

test('of two collections that overlap the later one writes, and what is doomed is finished by the next', async () => {
  const volume = await withGarbage();
  await collect(volume);
  cell.clock.advance(100 * HOUR_MS);
  const [early, late] = [begin(volume), begin(volume)];
  const earlyPlan = await early.plan();
  const latePlan = await late.plan();
  await expect(executeCollection(earlyPlan, volume.vault.store, early.ledger)).rejects.toMatchObject({
    code: 'conflict',
  });
  expect(packsOf(volume.vault)).toHaveLength(2);
  await late.ledger.record(latePlan); // And it dies.
  const held = await claim(volume);
  expect((await enter(volume, held)).condemned.size).toBe(1);
  expect((await collect(volume)).sweep.delete).toHaveLength(latePlan.sweep.delete.length);
  expect(packsOf(volume.vault)).toHaveLength(1);
});

test('what a run builds on stays as long as it is open, although its point was deleted and the base has moved', async () => {
  const volume = await protectedVolume();
  const first = await backUp(volume, imageOf(1, 2, 3));
  const held = await claim(volume);
  expect((await enter(volume, held)).base?.manifestKey).toBe(first.manifestKey);
  await inTenant(worker.db, volume.tenant.tenantId, (tx) => tx.delete(volumeBases));
  await forgetPoint(volume, first.pointId);
  expect(await collect(volume)).toMatchObject({ rootsToDelete: [], condemn: [] });
  await withClaim(worker.db, held, (tx) => writeJob(tx, held, { state: 'FAILED' }, worker.clock.now()));
  expect((await collect(volume)).rootsToDelete).toEqual([first.manifestKey]);
  const left = await inTenant(worker.db, volume.tenant.tenantId, (tx) => tx.select().from(vaultRuns));
  expect(left.map(({ runId }) => runId)).not.toContain(held.jobId);
});

test('a day deletes a twentieth of the packs of a tenant, and at least a gibibyte', () => {
  expect(packsAllowed(100_000, 0)).toBe(5_000);
  expect(packsAllowed(100_000, 4_000)).toBe(1_000);
  expect(packsAllowed(100_000, 9_000)).toBe(0);
  expect(packsAllowed(10, 0)).toBe(64);
});
