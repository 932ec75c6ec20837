import * as contract from '../../contract/backup-plans.ts';
import type { BackupPlans, Plan } from '../services/backup-plans.ts';
import { mapPage } from '../services/pages.ts';
import type { SelectionRow, Selections } from '../services/selections.ts';
import type { Operations } from './operations.ts';
import { orNull } from './views.ts';

const selectionView = (row: SelectionRow) => ({
  id: row.id,
  connectionId: row.connectionId,
  match: row.match,
  tags: row.tags,
  instanceIds: row.instanceIds,
  excludeInstanceIds: row.excludeInstanceIds,
  excludeVolumeIds: row.excludeVolumeIds,
  excludeVolumes: row.excludeVolumes,
  createdAt: row.createdAt.toISOString(),
});

const planView = ({ row, rules, selections }: Plan) => ({
  id: row.id,
  name: row.name,
  paused: row.paused,
  rules: rules.map((rule) => ({
    id: rule.id,
    name: rule.name,
    cron: rule.cron,
    timeZone: rule.timeZone,
    startWindowMinutes: rule.startWindowMinutes,
    retention: rule.retention,
    nextRunAt: orNull(rule.nextRunAt),
  })),
  selections: selections.map(selectionView),
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

export function backupPlanRoutes(operations: Operations, { plans }: { plans: BackupPlans }): void {
  operations.tenant(contract.createBackupPlan, async (scope, { body }) => planView(await plans.create(scope, body)));
  operations.tenant(contract.listBackupPlans, async (scope, { query }) =>
    mapPage(await plans.list(scope, query), planView),
  );
  operations.tenant(contract.getBackupPlan, async (scope, { params }) => planView(await plans.get(scope, params.id)));
  operations.tenant(contract.updateBackupPlan, async (scope, { params, body }) =>
    planView(await plans.update(scope, params.id, body)),
  );
  operations.tenant(contract.deleteBackupPlan, (scope, { params }) => plans.remove(scope, params.id));
}

export function selectionRoutes(operations: Operations, { selections }: { selections: Selections }): void {
  operations.tenant(contract.createSelection, async (scope, { params, body }) =>
    selectionView(await selections.create(scope, params.id, body)),
  );
  operations.tenant(contract.listSelections, async (scope, { params, query }) =>
    mapPage(await selections.list(scope, params.id, query), selectionView),
  );
  operations.tenant(contract.deleteSelection, (scope, { params }) =>
    selections.remove(scope, params.id, params.selectionId),
  );
}
