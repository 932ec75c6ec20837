import * as contract from '../../contract/recovery-points.ts';
import type { DeletionRequestRow, DeletionRequests } from '../services/deletion-requests.ts';
import { mapPage } from '../services/pages.ts';
import type { RecoveryPointDetail, RecoveryPointRow, RecoveryPoints } from '../services/recovery-points.ts';
import type { PointVerification } from '../services/verifications.ts';
import type { Operations } from './operations.ts';
import { orNull } from './views.ts';

const volumeView = (volume: RecoveryPointRow['volumes'][number]) => ({
  volumeId: volume.volumeId,
  kind: volume.kind,
  reason: volume.reason,
  volumeBytes: volume.volumeBytes,
  blocksRead: volume.blocksRead,
  blocksStored: volume.blocksStored,
  bytesStored: volume.bytesStored,
  deviceName: volume.deviceName,
  encrypted: volume.encrypted,
  kmsKeyArn: volume.kmsKeyArn,
  snapshotId: volume.snapshotId,
  tags: volume.tags,
});

/** A deleted point is not listed and not found, so DELETED never shows: the last a client sees is DELETING. */
const pointView = (row: RecoveryPointRow) => ({
  id: row.id,
  state: row.state === 'DELETED' ? ('DELETING' as const) : row.state,
  kind: row.kind,
  connectionId: row.connectionId,
  instanceId: row.instanceId,
  awsRegion: row.awsRegion,
  planId: row.planId,
  ruleId: row.ruleId,
  backupJobId: row.backupJobId,
  pointInTime: row.pointInTime.toISOString(),
  createdTime: row.createdTime.toISOString(),
  expiresAt: orNull(row.expiresAt),
  storage: row.storage,
  lockedUntil: orNull(row.lockedUntil),
  instance: {
    name: row.instance.name,
    instanceType: row.instance.instanceType,
    availabilityZone: row.instance.availabilityZone,
    tags: row.instance.tags,
  },
  volumes: row.volumes.map(volumeView),
  excludedVolumes: row.excludedVolumes,
});

const verificationView = (verification: PointVerification | null) =>
  verification && {
    lastExistence: orNull(verification.lastExistence),
    lastBytes: orNull(verification.lastBytes),
    damage: verification.damage,
  };

const detailView = ({ verification, ...row }: RecoveryPointDetail) => ({
  ...pointView(row),
  verification: verificationView(verification),
});

const deletionView = (row: DeletionRequestRow) => ({
  id: row.id,
  state: row.state,
  recoveryPointId: row.recoveryPointId,
  notBefore: row.notBefore.toISOString(),
  createdAt: row.createdAt.toISOString(),
});

export function recoveryPointRoutes(operations: Operations, { points }: { points: RecoveryPoints }): void {
  operations.tenant(contract.listRecoveryPoints, async (scope, { query }) =>
    mapPage(await points.list(scope, query), pointView),
  );
  operations.tenant(contract.getRecoveryPoint, async (scope, { params }) =>
    detailView(await points.get(scope, params.id)),
  );
}

export function deletionRequestRoutes(operations: Operations, deps: { deletions: DeletionRequests }): void {
  const { deletions } = deps;
  operations.tenant(contract.deleteRecoveryPoint, async (scope, { params }) =>
    deletionView(await deletions.create(scope, params.id)),
  );
  operations.tenant(contract.listDeletionRequests, async (scope, { query }) =>
    mapPage(await deletions.list(scope, query), deletionView),
  );
  operations.tenant(contract.cancelDeletionRequest, async (scope, { params }) =>
    deletionView(await deletions.cancel(scope, params.id)),
  );
}
