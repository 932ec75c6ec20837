import { deleteVolumes } from '../stranger/customer-account.ts';
import { hashSnapshot, hashVolume } from '../stranger/ebs-reader.ts';
import { inChunks } from '../stranger/disk-content.ts';
import type { SandboxControl } from '../stranger/sandbox-control.ts';
import { createApiClient, until } from './api-client.ts';
import { accessOf, type DemoTenant } from './customer.ts';

const JOB_TIMEOUT_MS = 30 * 60_000;

export type PointVolume = {
  volumeId: string;
  snapshotId: string | null;
  volumeBytes: number;
  blocksRead: number;
  blocksStored: number;
};
export type Point = { id: string; kind: 'full' | 'incremental'; volumes: PointVolume[] };
type Job = {
  id: string;
  state: string;
  recoveryPointId?: string | null;
  problem: { code: string; detail: string } | null;
};
type RestoreJob = Job & { volumes: { sourceVolumeId: string; volumeId: string | null }[] };

const ENDED = ['COMPLETED', 'PARTIAL', 'FAILED', 'ABORTED', 'EXPIRED'];

async function ended<T extends Job>(tenant: DemoTenant, routerUrl: string, path: string): Promise<T> {
  const api = createApiClient(routerUrl, tenant.apiKey);
  const job = await until(
    () => api<T>('GET', path),
    ({ state }) => ENDED.includes(state),
    { what: path, timeoutMs: JOB_TIMEOUT_MS },
  );
  if (job.state !== 'COMPLETED')
    throw new Error(`${path} is ${job.state}: ${job.problem?.code ?? ''} ${job.problem?.detail ?? ''}`);
  return job;
}

/** Backs the instance up on demand and returns its new recovery point. */
export async function backUp(routerUrl: string, tenant: DemoTenant): Promise<Point> {
  const api = createApiClient(routerUrl, tenant.apiKey);
  const { connectionId, account } = tenant;
  const started = await api<Job>('POST', '/v1/backup-jobs', { connectionId, instanceId: account.instanceId });
  const job = await ended<Job>(tenant, routerUrl, `/v1/backup-jobs/${started.id}`);
  return api<Point>('GET', `/v1/recovery-points/${job.recoveryPointId}`);
}

/** SHA-256 of each volume's own EBS snapshot behind a point, while those still exist. */
export async function hashSources(
  control: SandboxControl,
  tenant: DemoTenant,
  point: Point,
): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const { volumeId, snapshotId } of point.volumes) {
    if (!snapshotId) throw new Error(`the EBS snapshot of ${volumeId} in ${point.id} is gone`);
    hashes.set(volumeId, (await hashSnapshot(accessOf(control, tenant.account), snapshotId)).sha256);
  }
  return hashes;
}

/** Restores every volume of a point beside its source. Returns new volume ids by source volume id. */
export async function restore(routerUrl: string, tenant: DemoTenant, pointId: string): Promise<Map<string, string>> {
  const api = createApiClient(routerUrl, tenant.apiKey);
  const target = { connectionId: tenant.connectionId, awsRegion: tenant.account.awsRegion };
  const started = await api<Job>('POST', '/v1/restore-jobs', { recoveryPointId: pointId, type: 'volume', target });
  const job = await ended<RestoreJob>(tenant, routerUrl, `/v1/restore-jobs/${started.id}`);
  return new Map(job.volumes.map((volume) => [volume.sourceVolumeId, volume.volumeId ?? '']));
}

/** SHA-256 of each restored volume, by source volume id; the volumes are deleted afterwards. */
export async function hashRestored(
  control: SandboxControl,
  tenant: DemoTenant,
  restored: Map<string, string>,
): Promise<Map<string, string>> {
  const access = accessOf(control, tenant.account);
  const hashes = new Map<string, string>();
  for (const [source, volumeId] of restored) hashes.set(source, (await hashVolume(access, volumeId)).sha256);
  await deleteVolumes(access, [...restored.values()]);
  return hashes;
}

/** Flips one byte of a restored volume: the comparison must notice. */
export async function plantFault(
  control: SandboxControl,
  tenant: DemoTenant,
  restored: Map<string, string>,
): Promise<void> {
  const [volumeId = ''] = restored.values();
  const offset = 3 * 2 ** 20 + 77;
  const [byte = 0] = await control.readDisk(tenant.account, volumeId, offset, 1);
  await control.writeDisk(tenant.account, volumeId, offset, inChunks([Uint8Array.of(byte ^ 1)]));
}
