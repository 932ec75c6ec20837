import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { regionOf } from '../../regions/index.ts';
import { createAwsClients, tierCredentials } from '../../src/aws/clients.ts';
import { vaultDocuments } from '../../src/aws/policies/vault-account.ts';
import { backupKind } from '../../src/cell/jobs/backup.ts';
import { discoverInstances } from '../../src/cell/jobs/discover.ts';
import { restoreKind } from '../../src/cell/jobs/restore/job.ts';
import { runJob } from '../../src/cell/jobs/runner.ts';
import { startDueRules } from '../../src/cell/jobs/scheduler.ts';
import { verifyConnection } from '../../src/cell/jobs/verify.ts';
import type { Worker } from '../../src/cell/jobs/worker.ts';
import { createLanePool } from '../../src/cell/lanes/pool.ts';
import type { CellJob } from '../../src/cell/queue.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createLogger } from '../../src/core/log.ts';
import { createSandbox } from '../../src/sandbox/server.ts';
import { createRole, type RoleDocuments, runInstance } from '../../src/stranger/customer-account.ts';
import { prepareCellAccount } from '../../src/stranger/operator-account.ts';
import { createSandboxControl } from '../../src/stranger/sandbox-control.ts';
import { type Json, startCell, type Tenant } from '../cell/harness.ts';

export const TAG = { key: 'domicile:backup', value: 'true' };
const AWS_REGION = 'eu-central-1';
export const CELL_ACCOUNT = '111111111112';

/** A sandbox AWS, the EU cell on a real PostgreSQL, and its worker, whose jobs run when a test says so. */
export async function openWorld({ copyThreads = 0, clock = systemClock } = {}) {
  const region = regionOf('eu');
  if (!region) throw new Error('no eu');
  const dir = mkdtempSync(join(tmpdir(), 'e2e-'));
  const sandbox = await createSandbox({ dir });
  const control = createSandboxControl(sandbox.url, sandbox.adminToken);
  const root = await control.account(CELL_ACCOUNT);
  const resources = await prepareCellAccount(
    { endpoint: sandbox.url, awsRegion: AWS_REGION, credentials: root },
    'eu',
    CELL_ACCOUNT,
    (made) =>
      vaultDocuments(
        { ...region, ...made, awsAccountId: CELL_ACCOUNT, dataKeyArns: [made.dataKeyArn] },
        made.connectorRoleArn,
      ),
  );
  const cell = await startCell({ connectorRoleArn: resources.connectorRoleArn, clock: systemClock });
  const endpoints = { ec2: sandbox.url, ebs: sandbox.url, s3: sandbox.url, kms: sandbox.url, sts: sandbox.url };
  const credentials = tierCredentials({
    uri: control.taskCredentialsUri(CELL_ACCOUNT, resources.connectorRoleName),
    authorizationToken: sandbox.adminToken,
  });
  const waiting: CellJob[] = [];
  let slot = 0;
  const worker: Worker = {
    region,
    db: cell.database.worker,
    clock,
    log: createLogger({ level: 'error' }),
    enqueue: async (_tx, job) => void waiting.push(job),
    aws: createAwsClients({ region, credentials, endpoints }),
    endpoints,
    vault: { bucket: resources.bucket, bucketOwner: CELL_ACCOUNT, dataKeyArn: resources.dataKeyArn },
    lanes: copyThreads === 0 ? null : createLanePool({ region, endpoints, count: copyThreads }),
  };
  const handle = (job: CellJob): Promise<void> => {
    if (job.kind === 'verify') return verifyConnection(worker, job);
    if (job.kind === 'discover') return discoverInstances(worker, job);
    return job.kind === 'backup' ? runJob(worker, backupKind, job) : runJob(worker, restoreKind, job);
  };
  /** Runs a job of the queue's kind now, and forgets what it asks to be done later. */
  const run = async (job: CellJob) => {
    await handle(job);
    waiting.length = 0;
  };

  /** A customer with an instance of two small disks: a plain one, and one under a key of its own. */
  async function customer(awsAccountId: string) {
    const account = await control.account(awsAccountId);
    const access = {
      endpoint: sandbox.url,
      awsRegion: AWS_REGION,
      credentials: { accessKeyId: account.accessKeyId, secretAccessKey: account.secretAccessKey },
    };
    const instance = await runInstance(access, { name: 'db', tag: TAG, rootGiB: 1, dataGiB: 1 });
    const write = (volumeId: string, offset: number, bytes: number) =>
      control.writeDisk(
        account,
        volumeId,
        offset,
        (async function* () {
          yield randomBytes(bytes);
        })(),
      );
    for (const volumeId of instance.volumeIds) await write(volumeId, 0, 3_000_000);
    return { account, access, ...instance, write };
  }

  async function connect(
    tenant: Tenant,
    who: Awaited<ReturnType<typeof customer>>,
    change: (documents: RoleDocuments) => RoleDocuments = (same) => same,
    more: object = {},
  ): Promise<Json> {
    const body = {
      awsAccountId: who.account.awsAccountId,
      awsRegions: [AWS_REGION],
      tag: TAG,
      kmsKeyArns: [who.kmsKeyArn],
      storage: 'vault',
      restore: true,
      restoreInPlace: true,
      cleanUp: true,
      ...more,
    };
    const { json } = await tenant.call('POST', '/v1/connections', { body });
    await createRole(who.access, change(json));
    await verify(tenant, json.id);
    return (await tenant.call('GET', `/v1/connections/${json.id}`)).json;
  }
  async function verify(tenant: Tenant, connectionId: string) {
    await run({ kind: 'verify', tenantId: tenant.tenantId, connectionId });
    await run({ kind: 'discover', tenantId: tenant.tenantId, connectionId });
  }
  async function backUp(tenant: Tenant, connectionId: string, instanceId: string, retention?: object): Promise<Json> {
    const { status, json } = await tenant.call('POST', '/v1/backup-jobs', {
      body: { connectionId, instanceId, ...(retention ? { retention } : {}) },
    });
    if (status !== 202) return json;
    await run({ kind: 'backup', tenantId: tenant.tenantId, jobId: json.id });
    return (await tenant.call('GET', `/v1/backup-jobs/${json.id}`)).json;
  }
  async function restore(tenant: Tenant, recoveryPointId: string, target: object, more: object = {}): Promise<Json> {
    const { status, json } = await tenant.call('POST', '/v1/restore-jobs', {
      body: { recoveryPointId, type: 'volume', target, ...more },
    });
    if (status !== 202) return json;
    await run({ kind: 'restore', tenantId: tenant.tenantId, jobId: json.id });
    return (await tenant.call('GET', `/v1/restore-jobs/${json.id}`)).json;
  }
  return {
    cell,
    control,
    sandbox,
    worker,
    resources,
    customer,
    connect,
    verify,
    backUp,
    restore,
    run,
    dir,
    /** One slot of the tenant's schedule: what the scheduler starts when it is due, run at once. */
    async scheduled(tenant: Tenant) {
      slot += 1;
      const ahead = { ...clock, now: () => new Date(clock.now().getTime() + slot * 60_000) };
      await startDueRules({ ...worker, clock: ahead }, tenant.tenantId);
      for (const job of waiting.splice(0)) await handle(job);
    },
    async close() {
      worker.aws.destroy();
      await cell.close();
      await worker.lanes?.stop();
      await sandbox.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export type World = Awaited<ReturnType<typeof openWorld>>;
