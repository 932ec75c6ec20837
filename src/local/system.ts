import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { REGIONS } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { vaultDocuments } from '../aws/policies/vault-account.ts';
import { type CellResources, prepareCellAccount } from '../stranger/operator-account.ts';
import { createSandboxControl, type SandboxControl } from '../stranger/sandbox-control.ts';
import { until } from './api-client.ts';
import { runToEnd, type ServiceProcess, startService } from './service-process.ts';
import { choosePorts } from './ports.ts';
import { type LocalPostgres, startPostgres } from './postgres.ts';
import { type CellSecrets, openSecrets } from './secrets.ts';
import { ensureCertificates, type TlsFiles } from './certificates.ts';

const program = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const READY_TIMEOUT_MS = 30_000;

export type System = {
  regions: readonly Region[];
  routerUrl: string;
  caFile: string;
  control: SandboxControl;
  cells: Record<string, { url: string; operatorKey: string }>;
  /** Resolves with a service's name when one ends that nobody stopped. */
  failed: Promise<string>;
  stop(): Promise<void>;
};

type Parts = {
  dir: string;
  ports: Record<string, number>;
  secrets: ReturnType<typeof openSecrets>;
  control: SandboxControl;
  postgres: LocalPostgres;
  tls: TlsFiles;
};

const cellAccountId = (region: Region) => `1111111111${11 + REGIONS.indexOf(region)}`;
const cellUrl = (ports: Record<string, number>, cell: string) => `https://127.0.0.1:${ports[cell]}`;

async function startSandbox(dir: string, port: number): Promise<{ service: ServiceProcess; control: SandboxControl }> {
  const state = join(dir, 'sandbox');
  await mkdir(state, { recursive: true, mode: 0o700 });
  const service = await startService({
    name: 'sandbox',
    program: program('sandbox/main.ts'),
    args: ['--port', String(port), '--dir', state],
    logFile: join(dir, 'logs', 'sandbox.log'),
  });
  const { url } = JSON.parse(service.line) as { url: string };
  return { service, control: createSandboxControl(url, readFileSync(join(state, 'admin-token'), 'utf8').trim()) };
}

/** The account of a cell, as its operator would prepare it, and the environment that its processes are given. */
async function cellEnvironment(region: Region, parts: Parts): Promise<Record<string, string>> {
  const { cell, homeAwsRegion } = region;
  const { control, ports, postgres, tls } = parts;
  const awsAccountId = cellAccountId(region);
  const root = await control.account(awsAccountId);
  const access = { endpoint: control.url, awsRegion: homeAwsRegion, credentials: root };
  const resources: CellResources = await prepareCellAccount(access, cell, awsAccountId, (made) =>
    vaultDocuments({ ...region, ...made, awsAccountId, dataKeyArns: [made.dataKeyArn] }, made.connectorRoleArn),
  );
  const secrets = parts.secrets.cells[cell] as CellSecrets;
  const database = (role: string, password: string) =>
    `postgres://${role}:${password}@127.0.0.1:${postgres.port}/${cell}`;
  return {
    CELL: cell,
    LISTEN_HOST: '127.0.0.1',
    LISTEN_PORT: String(ports[cell]),
    PUBLIC_URL: cellUrl(ports, cell),
    CELL_URLS: JSON.stringify(Object.fromEntries(REGIONS.map((other) => [other.cell, cellUrl(ports, other.cell)]))),
    TLS_CERT_FILE: tls.leaf(cell).certFile,
    TLS_KEY_FILE: tls.leaf(cell).keyFile,
    TLS_CA_CERT_FILE: tls.caCertFile,
    TLS_CA_KEY_FILE: tls.caKeyFile,
    API_DATABASE_URL: database('domicile_api', secrets.apiPassword),
    WORKER_DATABASE_URL: database('domicile_worker', secrets.workerPassword),
    PEPPER_FILE: secrets.pepperFile,
    ROUTER_PUBLIC_KEY_FILE: parts.secrets.routerPublicKeyFile,
    DATA_KEY_ARN: resources.dataKeyArn,
    TOKEN_KEY_ARN: resources.tokenKeyArn,
    VAULT_BUCKET: resources.bucket,
    VAULT_BUCKET_OWNER: awsAccountId,
    CONNECTOR_ROLE_ARN: resources.connectorRoleArn,
    API_CREDENTIALS_URI: control.taskCredentialsUri(awsAccountId, resources.apiRoleName),
    WORKER_CREDENTIALS_URI: control.taskCredentialsUri(awsAccountId, resources.connectorRoleName),
    CREDENTIALS_TOKEN: readFileSync(join(parts.dir, 'sandbox', 'admin-token'), 'utf8').trim(),
    AWS_ENDPOINT_URL: control.url,
    // Three cells share this machine.
    COPY_THREADS: '1',
  };
}

/** Prepares a cell's database. The owner's connection and the operator's key are for this alone; the cell never has them. */
async function bootstrapCell(region: Region, parts: Parts): Promise<Record<string, string>> {
  const { cell } = region;
  await parts.postgres.ensureDatabase(cell);
  const env = await cellEnvironment(region, parts);
  const secrets = parts.secrets.cells[cell] as CellSecrets;
  const owner = {
    OWNER_DATABASE_URL: parts.postgres.url(cell),
    OPERATOR_KEY_FILE: secrets.operatorKeyFile,
    API_DATABASE_PASSWORD: secrets.apiPassword,
    WORKER_DATABASE_PASSWORD: secrets.workerPassword,
  };
  const logFile = join(parts.dir, 'logs', `${cell}.log`);
  await runToEnd({
    name: `${cell} bootstrap`,
    program: program('cell/bootstrap.ts'),
    env: { ...env, ...owner },
    logFile,
  });
  return env;
}

/** One after the other: the cells' roles are roles of the one server that they share here. */
async function bootstrapCells(parts: Parts, signal: AbortSignal): Promise<[string, Record<string, string>][]> {
  const environments: [string, Record<string, string>][] = [];
  for (const region of REGIONS) {
    signal.throwIfAborted();
    environments.push([region.cell, await bootstrapCell(region, parts)]);
  }
  signal.throwIfAborted();
  return environments;
}

function startCell(cell: string, env: Record<string, string>, parts: Parts): Promise<ServiceProcess> {
  return startService({
    name: `cell ${cell}`,
    program: program('cell/main.ts'),
    env,
    logFile: join(parts.dir, 'logs', `${cell}.log`),
  });
}

function startRouter(parts: Parts): Promise<ServiceProcess> {
  return startService({
    name: 'router',
    program: program('router/main.ts'),
    env: {
      HOST: '127.0.0.1',
      PORT: String(parts.ports['router']),
      CELLS: JSON.stringify(Object.fromEntries(REGIONS.map(({ cell }) => [cell, cellUrl(parts.ports, cell)]))),
      ROUTER_SIGNING_KEY_FILE: parts.secrets.routerSigningKeyFile,
      CELL_CA_FILE: parts.tls.caCertFile,
    },
    logFile: join(parts.dir, 'logs', 'router.log'),
  });
}

async function untilReady(routerUrl: string, signal: AbortSignal): Promise<void> {
  for (const { cell } of REGIONS) {
    const ask = () =>
      fetch(new URL(`/readyz?cell=${cell}`, routerUrl)).then(
        (response) => response.ok,
        () => false,
      );
    await until(ask, Boolean, { what: `/readyz of ${cell}`, timeoutMs: READY_TIMEOUT_MS, signal });
  }
}

/**
 * Starts sandbox, PostgreSQL, the cells and the router on loopback, in that order, and waits until all are ready.
 * Whatever fails, what was started is stopped.
 */
export async function startSystem(options: {
  dir: string;
  say: (text: string) => void;
  signal: AbortSignal;
}): Promise<System> {
  const { dir, say, signal } = options;
  await mkdir(join(dir, 'logs'), { recursive: true, mode: 0o700 });
  const services: ServiceProcess[] = [];
  let postgres: LocalPostgres | null = null;
  let stopping = false;
  const stop = async () => {
    stopping = true;
    const [cells, rest] = [services.filter(({ name }) => name.startsWith('cell') || name === 'router'), services];
    await Promise.all(cells.map((service) => service.stop()));
    await Promise.all([...rest.map((service) => service.stop()), postgres?.stop()]);
  };
  try {
    const ports = await choosePorts(dir, ['router', 'sandbox', 'postgres', ...REGIONS.map(({ cell }) => cell)]);
    const secrets = openSecrets(
      dir,
      REGIONS.map(({ cell }) => cell),
    );
    say('starting the sandbox AWS and PostgreSQL');
    const [sandbox, database] = await Promise.all([
      startSandbox(dir, ports['sandbox'] ?? 0),
      startPostgres({
        dataDir: join(dir, 'postgres'),
        port: ports['postgres'] ?? 0,
        password: secrets.databasePassword,
      }),
    ]);
    services.push(sandbox.service);
    postgres = database;
    if (database.note) say(database.note);
    const parts: Parts = {
      dir,
      ports,
      secrets,
      control: sandbox.control,
      postgres,
      tls: await ensureCertificates(
        dir,
        REGIONS.map(({ cell }) => cell),
      ),
    };
    say(`starting the cells ${REGIONS.map(({ cell }) => cell).join(', ')} and the router`);
    const environments = await bootstrapCells(parts, signal);
    const starting = [...environments.map(([cell, env]) => startCell(cell, env, parts)), startRouter(parts)];
    const outcomes = await Promise.allSettled(starting);
    // Those that did start are stopped again when one did not.
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') services.push(outcome.value);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    const routerUrl = `http://127.0.0.1:${ports['router']}`;
    await untilReady(routerUrl, signal);
    const failed = Promise.race(
      services.map(({ name, exited }) => exited.then(() => (stopping ? new Promise<string>(() => {}) : name))),
    );
    const cells = Object.fromEntries(
      REGIONS.map(({ cell }) => [
        cell,
        { url: cellUrl(ports, cell), operatorKey: secrets.cells[cell]?.operatorKey ?? '' },
      ]),
    );
    return { regions: REGIONS, routerUrl, caFile: parts.tls.caCertFile, control: sandbox.control, cells, failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
