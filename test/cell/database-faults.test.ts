import { sql } from 'drizzle-orm';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/cell/db/client.ts';
import { silentLogger } from '../../src/core/log.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const QUERY_TIMEOUT_MS = 1_500;
const QUERIES_AFTER = 200;

let database: TestDatabase;
let owner: postgres.Sql;
const unhandled: unknown[] = [];
const note = (error: unknown) => unhandled.push(error);
beforeAll(async () => {
  process.on('unhandledRejection', note);
  database = await testDatabase();
  owner = postgres(database.ownerUrl, { max: 1, onnotice: () => {} });
  await owner`create table fault_log (run text, step int)`;
  await owner`grant select, insert on fault_log to domicile_api`;
});
afterAll(async () => {
  process.off('unhandledRejection', note);
  await owner.end();
  await database.close();
});

describe.each([1, 5, 10])('a pool of %i', (maxConnections) => {
  let proxy: Awaited<ReturnType<typeof startFaultProxy>>;
  let opened: ReturnType<typeof openDatabase>;
  let run: string;

  beforeEach(async () => {
    const url = new URL(database.urls.api);
    proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(proxy.port);
    run = `${maxConnections}-${crypto.randomUUID()}`;
    url.searchParams.set('application_name', run.slice(0, 60));
    opened = openDatabase({ url: url.href, maxConnections, log: silentLogger, queryTimeoutMs: QUERY_TIMEOUT_MS });
    await opened.db.execute(sql`select 1`);
  });
  afterEach(async () => {
    proxy.blackHole(false);
    await opened.close();
    await proxy.close();
    expect(unhandled).toEqual([]);
    // Nobody is left behind on the server.
    await expect
      .poll(
        async () => (await owner`select 1 from pg_stat_activity where application_name = ${run.slice(0, 60)}`).length,
        { timeout: 5_000 },
      )
      .toBe(0);
  });

  /** After a fault the pool must serve again: a few queries may be refused, none may hang, and the last ones succeed. */
  async function recovers() {
    const outcomes: boolean[] = [];
    for (let n = 0; n < QUERIES_AFTER; n += 1)
      outcomes.push(
        await opened.db.execute(sql`select ${n}::int`).then(
          () => true,
          () => false,
        ),
      );
    expect(outcomes.slice(-QUERIES_AFTER + 2 * maxConnections)).not.toContain(false);
  }
  const stored = async () =>
    (await owner<{ step: number }[]>`select step from fault_log where run = ${run} order by step`).map(
      (row) => row.step,
    );

  test('recovers when connections are reset in the middle of queries', async () => {
    const slow = Array.from({ length: maxConnections }, () =>
      opened.db.execute(sql`select pg_sleep(1)`).then(
        () => 'done',
        () => 'refused',
      ),
    );
    await expect
      .poll(
        async () =>
          (
            await owner`select 1 from pg_stat_activity where query like '%pg_sleep%' and application_name = ${run.slice(0, 60)}`
          ).length,
        { timeout: 5_000 },
      )
      .toBe(maxConnections);
    proxy.reset();
    expect(await Promise.all(slow)).not.toContain('done');
    await recovers();
  });

  test('applies no half of a transaction whose connection is reset between its statements', async () => {
    const transaction = opened.db.transaction(async (tx) => {
      await tx.execute(sql`insert into fault_log values (${run}, 1)`);
      proxy.reset();
      // Another query makes the pool connect again: the transaction must not go on there.
      await opened.db.execute(sql`select 1`).catch(() => {});
      await tx.execute(sql`insert into fault_log values (${run}, 2)`);
    });
    await expect(transaction).rejects.toThrow();
    await recovers();
    expect(await stored()).toEqual([]);
  });

  test('recovers when the server ends its sessions', async () => {
    await owner`select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${run.slice(0, 60)}`;
    await recovers();
  });

  test('notices a line that swallows everything by its deadline, and recovers', async () => {
    proxy.blackHole(true);
    await expect(opened.db.execute(sql`select 1`)).rejects.toThrow();
    proxy.blackHole(false);
    proxy.reset();
    await recovers();
  });
});
