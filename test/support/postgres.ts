import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { inject } from 'vitest';
import { silentLogger } from '../../src/core/log.ts';
import { openDatabase } from '../../src/cell/db/client.ts';
import { TEMPLATE, type TestServer } from './postgres-server.ts';

async function server(): Promise<TestServer> {
  const response = await fetch(inject('postgres').startUrl);
  if (!response.ok) throw new Error(`the test database did not start: ${await response.text()}`);
  return (await response.json()) as TestServer;
}

function urlFor(ownerUrl: string, database: string, role?: { name: string; password: string }): string {
  const url = new URL(ownerUrl);
  url.pathname = `/${database}`;
  if (role) Object.assign(url, { username: role.name, password: role.password });
  return url.href;
}

/**
 * A migrated database of its own on a real PostgreSQL, opened as both tiers. Copies of a template are made in some
 * 40 ms; the server itself starts with the first of them.
 */
export async function testDatabase(options: { maxConnections?: number } = {}) {
  const { maxConnections = 5 } = options;
  const { ownerUrl, apiPassword, workerPassword } = await server();
  const name = `test_${randomBytes(8).toString('hex')}`;
  const admin = postgres(ownerUrl, { max: 1, onnotice: () => {} });
  // Copies of one template wait for each other, because PostgreSQL copies a template for one session at a time.
  await admin`select pg_advisory_lock(1)`;
  await admin.unsafe(`create database ${name} template ${TEMPLATE}`);
  await admin`select pg_advisory_unlock(1)`;
  const url = {
    api: urlFor(ownerUrl, name, { name: 'domicile_api', password: apiPassword }),
    worker: urlFor(ownerUrl, name, { name: 'domicile_worker', password: workerPassword }),
  };
  const open = (as: string) => openDatabase({ url: as, maxConnections, log: silentLogger });
  const api = open(url.api);
  const worker = open(url.worker);
  return {
    ownerUrl: urlFor(ownerUrl, name),
    urls: url,
    api: api.db,
    worker: worker.db,
    async close() {
      await Promise.all([api.close(), worker.close()]);
      await admin.unsafe(`drop database if exists ${name} with (force)`);
      await admin.end({ timeout: 5 });
    },
  };
}

export type TestDatabase = Awaited<ReturnType<typeof testDatabase>>;
