import { availableParallelism } from 'node:os';
import { regionOf } from '../../regions/index.ts';
import { createAwsClients } from '../../src/aws/clients.ts';
import { openSnapshotSource } from '../../src/aws/ebs-source.ts';
import { createBudgets } from '../../src/aws/lean/budgets.ts';
import { openBlobStore } from '../../src/aws/s3-store.ts';
import { createLanePool, type LaneUse } from '../../src/cell/lanes/pool.ts';
import { systemClock } from '../../src/core/clock.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { createMemoryKeys } from '../../src/vault/memory.ts';
import { type BlockSink, BLOCK_BYTES } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { verifyVolume } from '../../src/vault/verify.ts';

/**
 * One phase of the engine, in a process of its own: the product's own pool, clients and pipeline against a peer.
 * `engine.ts <order as JSON>`; prints one line of JSON. The pool is begun before the clock is: a cell's is there all along.
 */
export type Order = {
  phase: 'backup' | 'incremental' | 'restore' | 'verify';
  endpoint: string;
  /** The tenant's part of the bucket: backups over HTTP and over TLS do not meet. */
  tenantId: string;
  masterHex: string;
  manifestKey: string | null;
};

export type Outcome = { seconds: number; cpuSeconds: number; peakRssMiB: number; manifestKey: string };

/** Quotas are not what is measured. */
const LIMITS = { floor: 64, start: 128, ceiling: 256, targetPerSec: 1e6 };
const AWS_REGION = 'eu-central-1';
const CREDENTIALS = { accessKeyId: 'AKIABENCH', secretAccessKey: 'bench', accountId: '111111111111' };

const order: Order = JSON.parse(process.argv[2] ?? '{}');
const region = regionOf('eu');
if (!region) throw new Error('There is no region eu.');
const endpoints = { ebs: order.endpoint, s3: order.endpoint };
const budgets = createBudgets(systemClock, LIMITS);
const clients = createAwsClients({ region, endpoints, credentials: CREDENTIALS, budgets }).for(AWS_REGION);
const pool = createLanePool({
  region,
  endpoints,
  count: availableParallelism(),
  limits: LIMITS,
});

function vaultOf(tenantId: string) {
  const place = {
    bucket: 'vault',
    expectedBucketOwner: '111111111111',
    prefix: `t/${tenantId}/`,
    awsRegion: AWS_REGION,
  };
  return { place, store: openBlobStore(clients, place), keys: createMemoryKeys(Buffer.from(order.masterHex, 'hex')) };
}

function useOf(place: LaneUse['store'], snapshotId: string): LaneUse {
  const credentials = async () => CREDENTIALS;
  const snapshot = { awsRegion: AWS_REGION, snapshotId };
  return { snapshot, store: place, credentials: { account: credentials, vault: credentials } };
}

async function backUp(tenantId: string, snapshotId: string, base: { manifestKey: string; snapshotId: string } | null) {
  const { place, store, keys } = vaultOf(tenantId);
  const source = await openSnapshotSource(clients, AWS_REGION, snapshotId);
  const input = { cell: 'eu', tenantId, volumeId: 'vol-bench', runId: `run-${snapshotId}`, snapshotId, source, base };
  return backupVolume({ store, keys, openLanes: pool.backup(useOf(place, snapshotId)) }, input);
}

async function restore(tenantId: string, manifestKey: string, snapshotId: string) {
  const { place, store, keys } = vaultOf(tenantId);
  // Blocks go to the peer through the lanes; it has no snapshot to complete.
  const sink: BlockSink = { blockBytes: BLOCK_BYTES, put: async () => {}, complete: async () => {} };
  const deps = { store, keys, openRestoreLanes: pool.restore(useOf(place, snapshotId)) };
  await restoreVolume(deps, { cell: 'eu', tenantId, volumeId: 'vol-bench', manifestKey }, sink);
  return { manifestKey };
}

/** Every byte of the point, proved; damage would be a bug. */
async function verify(tenantId: string, manifestKey: string) {
  const { place, store, keys } = vaultOf(tenantId);
  const deps = { store, keys, openVerifyLanes: pool.verify(useOf(place, '')) };
  const input = { cell: 'eu', tenantId, volumeId: 'vol-bench', manifestKeys: [manifestKey] };
  const { damage, isRound } = await verifyVolume(deps, input);
  if (damage.length > 0 || !isRound) throw new Error(`The verification found ${JSON.stringify(damage)}.`);
  return { manifestKey };
}

function runPhase(): Promise<{ manifestKey: string }> {
  const { phase, tenantId, manifestKey } = order;
  if (phase === 'backup') return backUp(tenantId, 'snap-1', null);
  if (manifestKey === null) throw new Error(`${phase} needs the manifest of the phase before it.`);
  if (phase === 'incremental') return backUp(tenantId, 'snap-2', { manifestKey, snapshotId: 'snap-1' });
  if (phase === 'verify') return verify(tenantId, manifestKey);
  return restore(tenantId, manifestKey, 'snap-restored');
}

const warm = `warm-${order.phase}-${order.tenantId}`;
const warmed = await backUp(warm, 'snap-warm', null);
await restore(warm, warmed.manifestKey, 'snap-warm');
const before = process.cpuUsage();
const from = performance.now();
const { manifestKey } = await runPhase();
const seconds = (performance.now() - from) / 1_000;
const { user, system } = process.cpuUsage(before);
const peakRssMiB = process.resourceUsage().maxRSS / 1_024;
const outcome: Outcome = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakRssMiB,
  manifestKey,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
await pool.stop();
clients.destroy();
