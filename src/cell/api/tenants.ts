import type { Region } from '../../../regions/types.ts';
import * as recoveryKey from '../../contract/recovery-key.ts';
import * as contract from '../../contract/tenants.ts';
import type { ApiKeyRow, Keys } from '../services/keys.ts';
import { mapPage } from '../services/pages.ts';
import type { RecoveryKey, RecoveryKeys } from '../services/recovery-keys.ts';
import type { TenantRow, Tenants } from '../services/tenants.ts';
import type { Operations } from './operations.ts';
import { orNull } from './views.ts';

const tenantView = (region: Region) => (row: TenantRow) => ({
  tenantId: row.tenantId,
  name: row.name,
  tier: row.tier,
  cell: region.cell,
  jurisdiction: region.jurisdiction.code,
  createdAt: row.createdAt.toISOString(),
});

const apiKeyView = (cell: string) => (row: ApiKeyRow) => ({
  id: row.id,
  name: row.name,
  prefix: `dk_${cell}_${row.keyId}`,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: orNull(row.lastUsedAt),
  revokedAt: orNull(row.revokedAt),
});

export function tenantRoutes(operations: Operations, deps: { region: Region; tenants: Tenants }): void {
  const { tenants } = deps;
  const view = tenantView(deps.region);
  operations.operator(contract.createTenant, async (scope, { body }) => {
    const { row, apiKey } = await tenants.create(scope, body);
    return { ...view(row), apiKey };
  });
  operations.operator(contract.listTenants, async (scope, { query }) =>
    mapPage(await tenants.list(scope, query), view),
  );
  operations.tenant(contract.getTenant, async (scope) => view(await tenants.get(scope)));
}

export function recoveryKeyRoutes(operations: Operations, { recoveryKeys }: { recoveryKeys: RecoveryKeys }): void {
  const view = ({ fingerprint, since }: RecoveryKey) => ({ fingerprint, since: since.toISOString() });
  operations.tenant(recoveryKey.getRecoveryKey, async (scope) => view(await recoveryKeys.get(scope)));
  operations.tenant(recoveryKey.setRecoveryKey, async (scope, { body }) =>
    view(await recoveryKeys.set(scope, body.publicKey)),
  );
  operations.tenant(recoveryKey.removeRecoveryKey, (scope) => recoveryKeys.remove(scope));
}

export function apiKeyRoutes(operations: Operations, deps: { cell: string; keys: Keys }): void {
  const { keys } = deps;
  const view = apiKeyView(deps.cell);
  operations.tenant(contract.createApiKey, async (scope, { body }) => {
    const { row, key } = await keys.create(scope, body);
    return { ...view(row), apiKey: key };
  });
  operations.tenant(contract.listApiKeys, async (scope, { query }) => mapPage(await keys.list(scope, query), view));
  operations.tenant(contract.revokeApiKey, (scope, { params }) => keys.revoke(scope, params.id));
}
