import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/cell/db/migrate.ts';
import { type LocalPostgres, startPostgres } from '../../src/local/postgres.ts';

/** What the workers need to make databases of their own. */
export type TestServer = { ownerUrl: string; apiPassword: string; workerPassword: string };

declare module 'vitest' {
  export interface ProvidedContext {
    postgres: { startUrl: string };
  }
}

/** The database that every test's database is a copy of. */
export const TEMPLATE = 'domicile_template';

const token = () => randomBytes(18).toString('base64url');

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function start(dataDir: string): Promise<{ server: LocalPostgres; test: TestServer }> {
  const server = await startPostgres({ dataDir: join(dataDir, 'data'), port: await freePort(), password: token() });
  const roles = { apiPassword: token(), workerPassword: token() };
  await server.ensureDatabase(TEMPLATE);
  await migrate(server.url(TEMPLATE), roles);
  return { server, test: { ownerUrl: server.url('postgres'), ...roles } };
}

/**
 * One PostgreSQL for the whole run, started when the first test file asks for it: a run that needs none starts none.
 * The asking goes over HTTP on loopback, because test files run in processes of their own.
 */
export default async function setup(project: TestProject) {
  let started: ReturnType<typeof start> | undefined;
  const dataDir = mkdtempSync(join(tmpdir(), 'domicile-test-'));
  const { createServer: createHttp } = await import('node:http');
  const broker = createHttp((_, response) => {
    started ??= start(dataDir);
    started.then(
      ({ test }) => response.end(JSON.stringify(test)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  const port = await new Promise<number>((resolve) => {
    broker.listen(0, '127.0.0.1', () => {
      const address = broker.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
  project.provide('postgres', { startUrl: `http://127.0.0.1:${port}/${token()}` });
  return async () => {
    broker.close();
    broker.closeAllConnections();
    await started?.then(({ server }) => server.stop()).catch(() => undefined);
    rmSync(dataDir, { recursive: true, force: true });
  };
}
