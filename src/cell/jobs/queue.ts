import { sql } from 'drizzle-orm';
import { fromDrizzle, type Job, PgBoss } from 'pg-boss';
import postgres from 'postgres';
import type { Logger } from '../../core/log.ts';
import type { CellJob, Enqueue } from '../queue.ts';

type Kind = CellJob['kind'];

/** A worker that shows no sign of life for this long is given up; its jobs are delivered again, and fencing makes that safe. */
const HEARTBEAT_SECONDS = 15;
/** Longer than any job: only the heartbeat ends one. pg-boss allows less than a day. */
const EXPIRE_SECONDS = 23 * 3_600;
const DELIVERIES_MAX = 50;
const POLL_SECONDS = 0.5;
const DELETE_AFTER_SECONDS = 3_600;

/** `short`: one waiting job for each key, so that asking twice is asking once. */
const QUEUES: Record<Kind, { policy: 'standard' | 'short'; workers: number }> = {
  verify: { policy: 'short', workers: 4 },
  discover: { policy: 'short', workers: 2 },
  backup: { policy: 'standard', workers: 4 },
  restore: { policy: 'standard', workers: 4 },
};

const GRANTS = `
  grant usage on schema pgboss to domicile_api, domicile_worker;
  grant select on all tables in schema pgboss to domicile_api;
  grant insert on all tables in schema pgboss to domicile_api;
  grant select, insert, update, delete on all tables in schema pgboss to domicile_worker;
  grant execute on all functions in schema pgboss to domicile_api, domicile_worker;
  grant usage on all sequences in schema pgboss to domicile_api, domicile_worker;
`;

/** Installs or upgrades the queue's tables, as the owner. One-shot. */
export async function installQueue(ownerUrl: string): Promise<void> {
  const boss = new PgBoss({ connectionString: ownerUrl, supervise: false, schedule: false, max: 2 });
  await boss.start();
  for (const [name, { policy }] of Object.entries(QUEUES)) {
    if ((await boss.getQueue(name)) !== null) continue;
    await boss.createQueue(name, {
      policy,
      heartbeatSeconds: HEARTBEAT_SECONDS,
      expireInSeconds: EXPIRE_SECONDS,
      retryLimit: DELIVERIES_MAX,
      retryDelay: 1,
      deleteAfterSeconds: DELETE_AFTER_SECONDS,
    });
  }
  await boss.stop({ graceful: false });
  const owner = postgres(ownerUrl, { max: 1, onnotice: () => {} });
  await owner.unsafe(GRANTS);
  await owner.end({ timeout: 5 });
}

/** What makes two waiting jobs the same; jobs with rows of their own are never folded. */
const singletonKey = (job: CellJob) => ('connectionId' in job ? job.connectionId : undefined);

/** Opens the queue as one tier. Only the worker supervises: it is the one that may change rows. */
export async function openQueue(options: { url: string; supervise: boolean; log: Logger }) {
  const boss = new PgBoss({
    connectionString: options.url,
    migrate: false,
    createSchema: false,
    schedule: false,
    supervise: options.supervise,
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 10,
    maintenanceIntervalSeconds: 300,
    registerInstance: false,
    max: 4,
  });
  boss.on('error', (error) => options.log.log('warn', 'queue.error', {}, error));
  await boss.start();
  const enqueue: Enqueue = async (tx, job, { startAfter } = {}) => {
    const key = singletonKey(job);
    await boss.send(job.kind, job, {
      db: fromDrizzle(tx, sql),
      ...(key === undefined ? {} : { singletonKey: key }),
      ...(startAfter === undefined ? {} : { startAfter }),
    });
  };
  return {
    enqueue,
    /** Delivers jobs of one kind to `handle`, several at a time. What it throws makes the queue deliver again. */
    async work<K extends Kind>(kind: K, handle: (job: Extract<CellJob, { kind: K }>) => Promise<void>): Promise<void> {
      const one = async ([delivered]: Job<Extract<CellJob, { kind: K }>>[]) => {
        if (delivered) await handle(delivered.data);
      };
      for (let n = 0; n < QUEUES[kind].workers; n += 1)
        await boss.work<Extract<CellJob, { kind: K }>>(
          kind,
          { pollingIntervalSeconds: POLL_SECONDS, batchSize: 1 },
          one,
        );
    },
    close: () => boss.stop({ graceful: false }),
  };
}
