import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FaultCode } from '../../src/core/faults.ts';
import { newFolder, runCommand } from './command.ts';
import { type ContractServer, type Handlers, ok, page, problem, startContractServer } from './contract-server.ts';
import {
  apiKey,
  backupJob,
  connection,
  id,
  instance,
  plan,
  recoveryPointDetail,
  restoreJob,
  time,
} from './examples.ts';

let server: ContractServer;
let env: Record<string, string>;
/** The next answer of getRecoveryPoint, by the id that is asked for. */
const failures: Record<string, () => ReturnType<typeof problem>> = {};
const keyRow = { id: id.key, name: 'ci', prefix: 'dk_eu_abc', createdAt: time, lastUsedAt: null, revokedAt: null };
const verified = { ...connection, state: 'CONNECTED', lastVerifiedAt: time };

let busyAnswers = 2;

const handlers: Handlers = {
  createApiKey: () =>
    busyAnswers-- > 0 ? problem('unavailable', 'Busy.', { retry: 'now' }) : ok({ ...keyRow, apiKey }, 201),
  listInstances: ({ query }) =>
    query['cursor'] === 'second'
      ? page([{ ...instance, name: 'evil\u001b[2Jname' }])
      : page(
          Array.from({ length: 2 }, () => instance),
          'second',
        ),
  createConnection: () => ok(connection, 201),
  verifyConnection: () => ok(connection, 202),
  getConnection: ({ params }) => ok(params['id'] === id.connection ? verified : connection),
  deleteConnection: () => ({ status: 204 }),
  getBackupPlan: () => ok(plan),
  createBackupPlan: () => ok(plan, 201),
  updateBackupPlan: ({ body }) => ok({ ...plan, paused: (body as { paused: boolean }).paused }),
  listBackupJobs: () => page([backupJob('COMPLETED', 100)]),
  listRestoreJobs: () => page([{ ...restoreJob('RUNNING'), createdAt: '2026-11-23T04:00:00.000Z' }]),
  getRecoveryPoint: ({ params }) => failures[params['id'] ?? '']?.() ?? ok(recoveryPointDetail),
  deleteRecoveryPoint: () =>
    ok({ id: id.deletion, state: 'SCHEDULED', recoveryPointId: id.point, notBefore: time, createdAt: time }, 202),
  listRegions: () =>
    ok({ items: [{ cell: 'eu', jurisdiction: 'European Union', awsRegions: ['eu-central-1'], url: 'https://eu' }] }),
};

beforeAll(async () => {
  server = await startContractServer(handlers);
  env = { DOMICILE_URL: server.url, DOMICILE_API_KEY: apiKey };
});
afterAll(async () => {
  await server.close();
  expect(server.drift).toEqual([]);
});

const run = (...args: string[]) => runCommand(args, { env });
const bodyOf = (operationId: string) => server.calls.findLast((call) => call.operationId === operationId)?.body;

describe.concurrent('output', () => {
  test('a list is a table on standard output, read page by page; what came from elsewhere cannot steer the terminal', async () => {
    const { code, stdout } = await run('instances', 'list');
    const lines = stdout.trimEnd().split('\n');
    expect([code, lines.length]).toEqual([0, 4]);
    expect(lines[0]).toMatch(/^INSTANCE +NAME +STATE +TYPE +ZONE +VOLUMES +CONNECTION$/);
    expect(lines[3]).toContain('evil\u{fffd}[2Jname');
    expect(stdout).not.toContain('\u001b');
  });

  test('--limit stops early and says that there is more; --json has the same in one document', async () => {
    const { stdout, stderr } = await run('instances', 'list', '--limit', '2', '--json');
    expect([JSON.parse(stdout), stderr]).toMatchObject([
      { items: [{ name: 'db-1' }, {}], more: true },
      expect.any(String),
    ]);
    expect((await run('instances', 'list', '--limit', '2')).stderr).toContain('raise --limit');
  });

  test('jobs of both kinds are one list, newest first', async () => {
    const { stdout } = await run('jobs', 'list', '--json');
    expect(JSON.parse(stdout).items.map((job: { id: string }) => job.id)).toEqual([id.restoreJob, id.backupJob]);
  });

  test('creating a connection writes the policies and shows the exact commands for the role', async () => {
    const folder = join(newFolder(), 'my policies');
    const { code, stdout } = await run(
      'connections',
      'create',
      '--account',
      '123456789012',
      '--region',
      'eu-central-1',
      '--storage',
      'vault',
      '--tag',
      'backup=yes',
      '--restore',
      '--out',
      folder,
    );
    expect(code).toBe(0);
    expect(stdout).toContain(connection.quickCreateUrl);
    const put = `aws iam put-role-policy --role-name DomicileBackup-eu --policy-name domicile-restore --policy-document 'file://${folder}/restore-policy.json'`;
    expect(stdout).toContain(put);
    expect(JSON.parse(readFileSync(join(folder, 'trust-policy.json'), 'utf8'))).toEqual(connection.trustPolicy);
  });

  test('verify --wait polls until the verification has ended', async () => {
    const { code, stdout } = await run('connections', 'verify', id.connection, '--wait');
    expect([code, stdout]).toEqual([0, expect.stringContaining('CONNECTED')]);
  });

  test('pausing a plan changes nothing else of it', async () => {
    expect((await run('plans', 'pause', id.plan)).stdout).toContain('paused');
    const { nextRunAt: _, ...rule } = plan.rules[0] as (typeof plan.rules)[0];
    expect(bodyOf('updateBackupPlan')).toEqual({ name: plan.name, rules: [rule], paused: true });
  });

  test('a plan is created from its options', async () => {
    await run(
      'plans',
      'create',
      '--name',
      'Nightly',
      '--cron',
      '0 3 * * *',
      '--time-zone',
      'Europe/Berlin',
      '--connection',
      id.connection,
      '--tag',
      'a=b=c',
      '--tag',
      'd=',
      '--keep-last',
      '7',
    );
    expect(bodyOf('createBackupPlan')).toMatchObject({
      rules: [{ cron: '0 3 * * *', timeZone: 'Europe/Berlin', retention: { keepLast: 7 } }],
      selections: [
        {
          tags: [
            { key: 'a', value: 'b=c' },
            { key: 'd', value: '' },
          ],
        },
      ],
    });
  });

  test('regions needs no key', async () => {
    const { code, stdout } = await runCommand(['regions', '--url', server.url]);
    expect([code, stdout]).toEqual([0, expect.stringContaining('European Union')]);
  });

  test('deleting a point says how to cancel, on standard error', async () => {
    const { stdout, stderr } = await run('recovery-points', 'delete', id.point);
    expect([stdout, stderr]).toEqual([
      expect.stringContaining('SCHEDULED'),
      expect.stringContaining(`deletions cancel ${id.deletion}`),
    ]);
  });
});

const CODES: [FaultCode, number][] = [
  ['unauthorized', 3],
  ['forbidden', 3],
  ['misdirected_request', 3],
  ['not_found', 4],
  ['invalid_request', 5],
  ['conflict', 5],
  ['residency_violation', 5],
  ['too_many_requests', 6],
  ['internal', 6],
  ['missing_permission', 7],
];

describe.concurrent('failures', () => {
  test.each(CODES)('%s exits %i', async (code, exit) => {
    failures[`rp_${code}`] = () => problem(code, 'In other words.');
    const result = await run('recovery-points', 'show', `rp_${code}`);
    expect(result).toMatchObject({ code: exit, stdout: '', stderr: expect.stringContaining('In other words.') });
    expect(result.stderr).toContain(`code ${code}, request req_eu_`);
  });

  test('every violation is shown with its place, and as data with --json', async () => {
    const errors = [{ pointer: '/rules/0/cron', detail: 'never fires' }];
    failures['rp_errors'] = () =>
      problem('invalid_request', 'One thing is wrong.', { errors, facts: { a: ['b', 'c'] } });
    const text = await run('recovery-points', 'show', 'rp_errors');
    expect(text.stderr).toContain('/rules/0/cron: never fires');
    expect(text.stderr).toContain('a: b, c');
    const json = await run('recovery-points', 'show', 'rp_errors', '--json');
    expect(JSON.parse(json.stdout).error).toMatchObject({ exitCode: 5, code: 'invalid_request', errors });
  });

  test('a tenant of another cell is told where to log in', async () => {
    failures['rp_elsewhere'] = () =>
      problem('misdirected_request', 'Elsewhere.', { facts: { url: 'https://ca.example' } });
    expect((await run('recovery-points', 'show', 'rp_elsewhere')).stderr).toContain(
      'domicile login --url https://ca.example',
    );
  });

  test('what passes by itself is tried again, with the same idempotency key', async () => {
    expect((await run('api-keys', 'create', '--name', 'ci')).code).toBe(0);
    const keys = server.calls.flatMap(({ operationId, headers }) =>
      operationId === 'createApiKey' ? headers['idempotency-key'] : [],
    );
    expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
  });

  test('nobody listening exits 6; not logged in exits 3', async () => {
    const closed = await startContractServer({});
    await closed.close();
    expect((await run('instances', 'list', '--url', closed.url)).code).toBe(6);
    expect((await runCommand(['instances', 'list'])).code).toBe(3);
  });

  test.each([
    [['nonsense']],
    [[]],
    [['jobs', 'show', 'con_eu_1']],
    [['instances', 'list', '--limit', '0']],
    [['restore', 'rp_1', '--type', 'disk', '--region', 'eu-central-1']],
    [['plans', 'create', '--name', 'x', '--cron', '* * * * *', '--time-zone', 'UTC', '--connection', 'c']],
  ])('a wrong command line exits 2: %j', async (args) => {
    expect((await run(...args)).code).toBe(2);
  });
});
