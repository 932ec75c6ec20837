import * as contract from '../../contract/jobs.ts';
import * as restores from '../../contract/restore-jobs.ts';
import type { BackupJobs } from '../services/backup-jobs.ts';
import { backupJobView, restoreJobView } from '../services/job-views.ts';
import { mapPage } from '../services/pages.ts';
import type { RestoreJobs } from '../services/restore-jobs.ts';
import type { Operations } from './operations.ts';

export function backupJobRoutes(operations: Operations, { jobs }: { jobs: BackupJobs }): void {
  operations.tenant(contract.createBackupJob, async (scope, { body }) => backupJobView(await jobs.create(scope, body)));
  operations.tenant(contract.listBackupJobs, async (scope, { query }) =>
    mapPage(await jobs.list(scope, query), backupJobView),
  );
  operations.tenant(contract.getBackupJob, async (scope, { params }) =>
    backupJobView(await jobs.get(scope, params.id)),
  );
  operations.tenant(contract.abortBackupJob, async (scope, { params }) =>
    backupJobView(await jobs.abort(scope, params.id)),
  );
}

export function restoreJobRoutes(operations: Operations, { jobs }: { jobs: RestoreJobs }): void {
  operations.tenant(restores.createRestoreJob, async (scope, { body }) =>
    restoreJobView(await jobs.create(scope, body)),
  );
  operations.tenant(restores.listRestoreJobs, async (scope, { query }) =>
    mapPage(await jobs.list(scope, query), restoreJobView),
  );
  operations.tenant(restores.getRestoreJob, async (scope, { params }) =>
    restoreJobView(await jobs.get(scope, params.id)),
  );
  operations.tenant(restores.abortRestoreJob, async (scope, { params }) =>
    restoreJobView(await jobs.abort(scope, params.id)),
  );
}
