import * as contract from '../../contract/connections.ts';
import type { ConnectionRow, Connections } from '../services/connections.ts';
import { type RoleDeps, roleDocuments } from '../services/customer-role.ts';
import type { InstanceRow, Instances } from '../services/instances.ts';
import { mapPage } from '../services/pages.ts';
import type { Operations } from './operations.ts';
import { orNull } from './views.ts';

/** Policies are computed on each read, so that what a tenant reads is always what this version needs. */
const connectionView = (role: RoleDeps) => (row: ConnectionRow) => ({
  id: row.id,
  state: row.state,
  stateDetail: row.stateDetail,
  awsAccountId: row.awsAccountId,
  awsRegions: row.awsRegions,
  tag: row.tag,
  vpcIds: row.vpcIds,
  kmsKeyArns: row.kmsKeyArns,
  storage: row.storage,
  dedup: row.dedup,
  restore: row.restore,
  restoreInPlace: row.restoreInPlace,
  cleanUp: row.cleanUp,
  externalId: row.externalId,
  roleName: row.roleName,
  ...roleDocuments(role, row),
  missing: row.missing,
  lastVerifiedAt: orNull(row.lastVerifiedAt),
  createdAt: row.createdAt.toISOString(),
});

const instanceView = (row: InstanceRow) => ({
  id: row.id,
  instanceId: row.instanceId,
  connectionId: row.connectionId,
  awsRegion: row.awsRegion,
  availabilityZone: row.availabilityZone,
  vpcId: row.vpcId,
  name: row.name,
  state: row.state,
  instanceType: row.instanceType,
  tags: row.tags,
  volumes: row.volumes.map(({ volumeId, deviceName, volumeBytes, encrypted, kmsKeyArn }) => ({
    volumeId,
    deviceName,
    volumeBytes,
    encrypted,
    kmsKeyArn,
  })),
  discoveredAt: row.discoveredAt.toISOString(),
});

export function connectionRoutes(operations: Operations, deps: { role: RoleDeps; connections: Connections }): void {
  const { connections } = deps;
  const view = connectionView(deps.role);
  operations.tenant(contract.createConnection, async (scope, { body }) => view(await connections.create(scope, body)));
  operations.tenant(contract.listConnections, async (scope, { query }) =>
    mapPage(await connections.list(scope, query), view),
  );
  operations.tenant(contract.getConnection, async (scope, { params }) => view(await connections.get(scope, params.id)));
  operations.tenant(contract.verifyConnection, async (scope, { params }) =>
    view(await connections.verify(scope, params.id)),
  );
  operations.tenant(contract.deleteConnection, (scope, { params }) => connections.remove(scope, params.id));
}

export function instanceRoutes(operations: Operations, { instances }: { instances: Instances }): void {
  operations.tenant(contract.listInstances, async (scope, { query }) =>
    mapPage(await instances.list(scope, query), instanceView),
  );
  operations.tenant(contract.getInstance, async (scope, { params }) =>
    instanceView(await instances.get(scope, params.id)),
  );
}
