import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import type { Logger } from '../../core/log.ts';

/** Statements and connection attempts are bounded: a black-holed connection is only ever noticed by a time-out. */
const QUERY_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The long-lived pool of one tier, over `pg`. (`postgres` is used for one-shot work: its pool may hang, and its `begin`
 * may be applied by half, on a connection that breaks; see docs/adr.)
 */
export function openDatabase(options: { url: string; maxConnections: number; log: Logger; queryTimeoutMs?: number }) {
  const queryTimeoutMs = options.queryTimeoutMs ?? QUERY_TIMEOUT_MS;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.maxConnections,
    query_timeout: queryTimeoutMs,
    statement_timeout: queryTimeoutMs,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  pool.on('error', (error) => options.log.log('warn', 'database.connection_lost', {}, error));
  const db = drizzle({ client: pool });
  return { db, pool, close: () => pool.end() };
}

export type Database = ReturnType<typeof openDatabase>['db'];
/** A transaction with a tenant set: the only handle with which tenant tables are read or written. */
export type Tx = Parameters<Parameters<Database['transaction']>[0]>[0];
