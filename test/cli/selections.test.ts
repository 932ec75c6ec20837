import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newFolder, runCommand } from './command.ts';
import { type ContractServer, ok, page, startContractServer } from './contract-server.ts';
import { apiKey, explanation, id, instance, plan, recoveryPointDetail, unprotectedInstance } from './examples.ts';

const match = {
  and: [
    { tag: { key: 'env', value: 'prod-*' } },
    { not: { or: [{ tag: { key: 'scratch' } }, { awsRegions: ['eu-west-1'] }] } },
  ],
};
const selection = {
  ...plan.selections[0],
  connectionId: null,
  match,
  tags: [],
  excludeVolumes: [{ root: true }, { deviceName: '/dev/sd*' }, { tag: { key: 'purpose', value: 'tmp' } }],
};

let server: ContractServer;
beforeAll(async () => {
  server = await startContractServer({
    createBackupPlan: () => ok(plan, 201),
    getBackupPlan: () => ok({ ...plan, selections: [selection, ...plan.selections] }),
    getRecoveryPoint: () => ok(recoveryPointDetail),
    listInstances: ({ query }) => page(query['instanceId'] === instance.instanceId ? [instance] : []),
    listUnprotectedInstances: ({ query }) => page(query['awsRegion'] === undefined ? [unprotectedInstance] : []),
    explainInstance: ({ params }) => ok({ ...explanation, id: params['id'] }),
  });
});
afterAll(async () => {
  await server.close();
  expect(server.drift).toEqual([]);
});

const run = (...args: string[]) => runCommand(args, { env: { DOMICILE_URL: server.url, DOMICILE_API_KEY: apiKey } });
const create = (...options: string[]) =>
  run('plans', 'create', '--name', 'p', '--cron', '0 3 * * *', '--time-zone', 'UTC', '--keep-last', '7', ...options);
const created = () => {
  const call = server.calls.findLast(({ operationId }) => operationId === 'createBackupPlan');
  return (call?.body as { selections: unknown[] } | undefined)?.selections;
};

test('a plan takes an expression, from the command line or a file, and rules for volumes', async () => {
  const file = join(newFolder(), 'match.json');
  writeFileSync(file, JSON.stringify(match));
  const volumes = ['--exclude-root', '--exclude-device', '/dev/sd*', '--exclude-volume-tag', 'purpose=tmp'];
  expect((await create('--match', `@${file}`, ...volumes, '--exclude-volume-tag', 'scratch')).code).toBe(0);
  expect(created()).toEqual([
    {
      match,
      excludeVolumes: [
        { deviceName: '/dev/sd*' },
        { tag: { key: 'purpose', value: 'tmp' } },
        { tag: { key: 'scratch' } },
        { root: true },
      ],
    },
  ]);
  expect((await create('--match', JSON.stringify(match))).code).toBe(0);
  expect(created()).toEqual([{ match }]);
});

test.each([['{'], ['5'], ['@/nowhere/match.json']])('%s is no expression: the command line is wrong', async (text) => {
  const { code, stderr } = await create('--match', text);
  expect([code, stderr]).toEqual([2, expect.stringContaining('--match')]);
});

test('a plan says what it selects, and what not, as a person writes it', async () => {
  const { stdout } = await run('plans', 'show', id.plan);
  expect(stdout).toContain(
    'Selects env=prod-* and not (tag scratch or region eu-west-1) except the root volume, /dev/sd*, volumes with purpose=tmp',
  );
  expect(stdout).toContain(`Selects backup=yes of ${id.connection}`);
});

test('a recovery point names the volumes that it does not have', async () => {
  const { stdout } = await run('recovery-points', 'show', id.point);
  expect(stdout).toContain('Left out: vol-0fedcba9876543210 (/dev/sdf): device is /dev/sdf, like /dev/sd*');
});

test('the unprotected are listed with why not', async () => {
  const { stdout } = await run('instances', 'list', '--unprotected');
  const [head, row] = stdout.split('\n');
  expect(head).toMatch(/^INSTANCE +NAME +STATE +REGION +CONNECTION +WHY$/);
  expect(row).toMatch(/^i-0123456789abcdef0 .* Nightly: tag env is "test", wanted "prod"$/);
  const none = await run('instances', 'list', '--unprotected', '--region', 'eu-west-1', '--json');
  expect(JSON.parse(none.stdout)).toEqual({ items: [], more: false });
});

test('an instance is explained, by its EC2 id or by ours', async () => {
  const { code, stdout } = await run('instances', 'explain', instance.instanceId);
  expect(code).toBe(0);
  expect(stdout).toMatch(/protected +yes/);
  expect(stdout).toContain('tag env is "prod"  (/match/and/0)');
  expect(stdout).toContain('leaves out vol-0fedcba9876543210 (/dev/sdf): device is /dev/sdf, like /dev/sd*');
  const ours = await run('instances', 'explain', id.instance, '--json');
  expect(JSON.parse(ours.stdout)).toEqual(explanation);
  const unknown = await run('instances', 'explain', 'i-0fff');
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('has not been discovered')]);
});

test('a recovery point tells its damage, and how much of it is lost', async () => {
  const { stdout } = await run('recovery-points', 'show', id.point);
  expect(stdout).toMatch(/every byte read since +not yet/);
  expect(stdout).toMatch(/object_corrupt +vol-0123456789abcdef0 +3 blocks, the first is 17/);
});
