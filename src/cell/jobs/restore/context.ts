import { and, eq } from 'drizzle-orm';
import type { RegionalClients } from '../../../aws/clients.ts';
import type { PolicyDocument } from '../../../aws/policies/document.ts';
import type { Step } from '../../../aws/policies/session.ts';
import { Fault } from '../../../core/faults.ts';
import { assertInJurisdiction } from '../../../core/residency.ts';
import type { VolumeOptions } from '../../db/schema/jobs.ts';
import { type PointVolume, recoveryPoints } from '../../db/schema/recovery-points.ts';
import { inTenant } from '../../db/tenancy.ts';
import type { RestoreJobRow } from '../../services/job-views.ts';
import { loadConnection } from '../verify.ts';
import { type ConnectionRow, inAccount, requireUsable, stepOf, type Worker } from '../worker.ts';
import type { Journal } from './journal.ts';

export type PointRow = typeof recoveryPoints.$inferSelect;

/** What a restore is made from: the point, the volumes of it that were asked for, and the account they go to. */
export type Source = { connection: ConnectionRow; point: PointRow; volumes: readonly PointVolume[] };

/** Everything that the steps of one restore share. */
export type RestoreContext = Source & { worker: Worker; row: RestoreJobRow; journal: Journal; signal: AbortSignal };

/** @throws Fault `residency_violation`, `connection_not_usable`, `recovery_point_not_usable` */
export async function loadSource(worker: Worker, row: RestoreJobRow): Promise<Source> {
  assertInJurisdiction(worker.region, row.awsRegion);
  const connection = await loadConnection(worker, row.tenantId, row.connectionId);
  if (!connection) throw new Fault('connection_not_usable', 'The connection is gone.');
  requireUsable(connection);
  const one = and(eq(recoveryPoints.tenantId, row.tenantId), eq(recoveryPoints.id, row.recoveryPointId));
  const [point] = await inTenant(worker.db, row.tenantId, (tx) => tx.select().from(recoveryPoints).where(one));
  if (point?.state !== 'COMPLETED' && point?.state !== 'PARTIAL') {
    throw new Fault('recovery_point_not_usable', 'The recovery point is gone or being deleted.', {
      facts: { recoveryPointId: row.recoveryPointId },
    });
  }
  const volumes = point.volumes.filter((volume) => row.volumeIds === null || row.volumeIds.includes(volume.volumeId));
  return { connection, point, volumes };
}

/** One step in the target account, with the rights of that step only. */
export function inTarget<T>(
  { worker, connection, row }: Pick<RestoreContext, 'worker' | 'connection' | 'row'>,
  policyFor: (step: Step) => PolicyDocument,
  work: (clients: RegionalClients) => Promise<T>,
): Promise<T> {
  const { awsRegion, id: jobId } = row;
  const policy = policyFor(stepOf(worker, connection, awsRegion));
  return inAccount(worker, connection, { awsRegion, jobId, policy }, work);
}

export const optionsOf = (row: Pick<RestoreJobRow, 'volumeOptions'>, volumeId: string): VolumeOptions | undefined =>
  row.volumeOptions.find(({ sourceVolumeId }) => sourceVolumeId === volumeId);

/**
 * The key of a restored volume: the one that was asked for, else the source's own in its own region and account. Null
 * where the source was not encrypted: a *volume* is encrypted all the same, under the account's default key.
 */
export function targetKey(
  row: Pick<RestoreJobRow, 'volumeOptions' | 'target'>,
  volume: Pick<PointVolume, 'volumeId' | 'encrypted' | 'kmsKeyArn'>,
): string | null {
  const wanted = optionsOf(row, volume.volumeId)?.kmsKeyArn ?? row.target.kmsKeyArn;
  return wanted ?? (volume.encrypted ? volume.kmsKeyArn : null);
}

/** AWS takes client tokens of 64 characters. */
export const tokenOf = (row: RestoreJobRow, what: string): string => `${row.id}-${what}`.slice(-64);
