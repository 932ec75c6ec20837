import { availableParallelism } from 'node:os';
import { createAwsClients, tierCredentials } from '../aws/clients.ts';
import { checkKey } from '../aws/kms-keys.ts';
import { checkBucket } from '../aws/s3-store.ts';
import { callerAccount } from '../aws/sessions.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { isFault, toFault } from '../core/faults.ts';
import type { Logger } from '../core/log.ts';
import type { CellConfig } from './config.ts';
import { openDatabase } from './db/client.ts';
import { backupKind } from './jobs/backup.ts';
import { discoverInstances } from './jobs/discover.ts';
import { collectDue } from './jobs/garbage/collect.ts';
import { openQueue } from './jobs/queue.ts';
import { restoreKind } from './jobs/restore/job.ts';
import { applyRetention, instancesWithPoints } from './jobs/retention.ts';
import { runJob } from './jobs/runner.ts';
import { tenantIds, tick } from './jobs/scheduler.ts';
import { renewLocks } from './jobs/renew-locks.ts';
import { verifyConnection } from './jobs/verify.ts';
import type { VerificationKind } from './jobs/verification/claim.ts';
import { verifyVault, type VerificationOptions } from './jobs/verification/run.ts';
import type { Worker } from './jobs/worker.ts';
import { createLanePool } from './lanes/pool.ts';

const TICK_EVERY_MS = 2_000;
const RETENTION_EVERY_MS = 10 * 60_000;
const LOCKS_EVERY_MS = 24 * 3_600_000;
const VERIFICATION_EVERY_MS = 10 * 60_000;
const CONNECTIONS_MAX = 12;
const MIB = 2 ** 20;

/** Repeats `work` until stopped, never two at a time; an error is logged and the next turn is the retry. */
function repeat(
  name: string,
  everyMs: number,
  options: { clock: Clock; log: Logger; signal: AbortSignal; work: () => Promise<void> },
): Promise<void> {
  const { clock, log, signal, work } = options;
  const turn = async () => {
    while (!signal.aborted) {
      await work().catch((error: unknown) => log.log('warn', `${name}.failed`, {}, error));
      await clock.sleep(everyMs, signal);
    }
  };
  return turn();
}

/** What of one instance or volume cannot be done now does not hold up the others: the next turn tries again. */
async function retainAll(worker: Worker): Promise<void> {
  for (const tenantId of await tenantIds(worker)) {
    for (const instance of await instancesWithPoints(worker, tenantId))
      await applyRetention(worker, instance).catch((error: unknown) =>
        worker.log.log('warn', 'retention.failed', { ...instance, code: toFault(error).code }, error),
      );
    await collectDue(worker, tenantId);
  }
}

async function renewAllLocks(worker: Worker): Promise<void> {
  for (const tenantId of await tenantIds(worker)) await renewLocks(worker, tenantId);
}

async function verifyAll(worker: Worker, kind: VerificationKind, options: VerificationOptions): Promise<void> {
  for (const tenantId of await tenantIds(worker)) await verifyVault(worker, tenantId, kind, options);
}

/** The tier that touches AWS: verification, discovery, backups, restores, schedules, retention and locks. */
export async function startWorkerTier(config: CellConfig, log: Logger, clock: Clock = systemClock) {
  const { CELL: region, endpoints } = config;
  const database = openDatabase({ url: config.WORKER_DATABASE_URL, maxConnections: CONNECTIONS_MAX, log });
  const queue = await openQueue({ url: config.WORKER_DATABASE_URL, supervise: true, log });
  const credentials = tierCredentials({
    uri: config.WORKER_CREDENTIALS_URI,
    authorizationToken: config.CREDENTIALS_TOKEN,
  });
  const aws = createAwsClients({ region, credentials, endpoints });
  const vault = {
    bucket: config.VAULT_BUCKET,
    bucketOwner: config.VAULT_BUCKET_OWNER,
    dataKeyArn: config.DATA_KEY_ARN,
    formerDataKeyArns: config.FORMER_DATA_KEY_ARNS,
    recoveryKeyArn: config.RECOVERY_KEY_ARN,
  };
  const threads = config.COPY_THREADS ?? availableParallelism();
  const lanes = threads === 0 ? null : createLanePool({ region, endpoints, count: threads });
  const { db } = database;
  const worker: Worker = { region, db, clock, log, enqueue: queue.enqueue, aws, endpoints, vault, lanes };
  const stopping = new AbortController();
  await queue.work('verify', (job) => verifyConnection(worker, job));
  await queue.work('discover', (job) => discoverInstances(worker, job));
  await queue.work('backup', (job) => runJob(worker, backupKind, job));
  await queue.work('restore', (job) => runJob(worker, restoreKind, job));
  const loop = { clock, log, signal: stopping.signal };
  void repeat('scheduler', TICK_EVERY_MS, { ...loop, work: () => tick(worker) });
  void repeat('retention', RETENTION_EVERY_MS, { ...loop, work: () => retainAll(worker) });
  void repeat('locks', LOCKS_EVERY_MS, { ...loop, work: () => renewAllLocks(worker) });
  const verification = { signal: stopping.signal, bytesPerSec: config.VERIFY_MIB_PER_SEC * MIB };
  // Apart from each other: reading a large volume holds up no look at another one.
  for (const kind of ['existence', 'reading'] as const)
    void repeat(`verification.${kind}`, VERIFICATION_EVERY_MS, {
      ...loop,
      work: () => verifyAll(worker, kind, verification),
    });

  const check = (work: () => Promise<unknown>) =>
    work().then(
      () => 'ok',
      (error: unknown) => (isFault(error) ? error.code : 'failed'),
    );
  return {
    async readiness(): Promise<Record<string, string>> {
      const { homeAwsRegion } = region;
      const clients = aws.for(homeAwsRegion);
      const [identity, bucket, dataKey] = await Promise.all([
        check(() => callerAccount(clients.sts, homeAwsRegion)),
        check(() =>
          checkBucket(clients.s3, {
            bucket: vault.bucket,
            expectedBucketOwner: vault.bucketOwner,
            awsRegion: homeAwsRegion,
          }),
        ),
        check(() => checkKey(clients.kms, vault.dataKeyArn, homeAwsRegion)),
      ]);
      return { identity, bucket, dataKey };
    },
    /** Stops claiming. Jobs that run are left where they are: another worker, or the next start, takes them over. */
    async stop(): Promise<void> {
      stopping.abort();
      await queue.close();
      await database.close();
      await lanes?.stop();
      aws.destroy();
    },
  };
}
