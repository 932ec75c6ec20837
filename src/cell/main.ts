import { sql } from 'drizzle-orm';
import { systemClock } from '../core/clock.ts';
import { createLogger } from '../core/log.ts';
import { createApi } from './api/app.ts';
import { type CellConfig, readConfig } from './config.ts';
import { openDatabase } from './db/client.ts';
import { openQueue } from './jobs/queue.ts';
import { createCertificates, listen } from './listener.ts';
import { startWorkerTier } from './worker-tier.ts';

const CONFIGURATION_EXIT = 78;
const CONNECTIONS_MAX = 12;
const READY_AGAIN_MS = 2_000;

function configuration(): CellConfig {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : 'wrong configuration'}\n`);
    process.exit(CONFIGURATION_EXIT);
  }
}

type Readiness = () => Promise<Record<string, string>>;

/** Asked at most every two seconds, whoever asks: readiness must not become load. */
function remembered(ask: Readiness): Readiness {
  let at = 0;
  let last: Promise<Record<string, string>> = Promise.resolve({});
  return () => {
    const now = systemClock.now().getTime();
    if (now - at >= READY_AGAIN_MS) [at, last] = [now, ask()];
    return last;
  };
}

async function startApiTier(config: CellConfig, worker: { readiness: Readiness } | null) {
  const { CELL: region } = config;
  const log = createLogger({ level: config.LOG_LEVEL, fields: { cell: region.cell, tier: 'api' } });
  const database = openDatabase({ url: config.API_DATABASE_URL, maxConnections: CONNECTIONS_MAX, log });
  const queue = await openQueue({ url: config.API_DATABASE_URL, supervise: false, log });
  const { tls, certificates } = createCertificates(config, systemClock);
  const databaseState = () =>
    database.db.execute(sql`select 1`).then(
      () => 'ok',
      () => 'unreachable',
    );
  const readiness = remembered(async () => ({
    database: await databaseState(),
    ...(worker ? await worker.readiness() : {}),
  }));
  const app = createApi({
    region,
    cellUrl: config.PUBLIC_URL,
    db: database.db,
    enqueue: queue.enqueue,
    clock: systemClock,
    log,
    pepper: config.PEPPER_FILE,
    connectorRoleArn: config.CONNECTOR_ROLE_ARN,
    templateBaseUrl: config.TEMPLATE_BASE_URL ?? `${config.PUBLIC_URL}/templates`,
    routerKeys: config.ROUTER_PUBLIC_KEY_FILE ? [config.ROUTER_PUBLIC_KEY_FILE] : [],
    authorities: [new URL(config.PUBLIC_URL).host],
    certificates,
    readiness,
    cellUrls: config.CELL_URLS,
  });
  const { server, port } = await listen(app, config, tls);
  return {
    port,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await queue.close();
      await database.close();
    },
  };
}

const config = configuration();
const log = createLogger({ level: config.LOG_LEVEL, fields: { cell: config.CELL.cell, tier: 'worker' } });
const worker = config.TIERS.includes('worker') ? await startWorkerTier(config, log) : null;
const api = config.TIERS.includes('api') ? await startApiTier(config, worker) : null;
process.stdout.write(`${JSON.stringify({ cell: config.CELL.cell, port: api?.port ?? null })}\n`);

const stop = () => {
  Promise.all([api?.stop(), worker?.stop()]).then(
    () => process.exit(0),
    () => process.exit(1),
  );
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
process.on('unhandledRejection', (error) => log.log('error', 'unhandled_rejection', {}, error));
