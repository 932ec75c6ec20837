import { afterAll, describe, expect, test } from 'vitest';
import { runCommand, startCommand } from './command.ts';
import { type ContractServer, type Handlers, ok, problem, sendEvents, startContractServer } from './contract-server.ts';
import { apiKey, backupJob, id, instance, progressAt, recoveryPointDetail, restoreJob } from './examples.ts';

const servers: ContractServer[] = [];
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  expect(servers.flatMap((server) => server.drift)).toEqual([]);
});

async function serve(handlers: Handlers) {
  const server = await startContractServer({ createBackupJob: () => ok(backupJob('CREATED'), 202), ...handlers });
  servers.push(server);
  return { server, env: { DOMICILE_URL: server.url, DOMICILE_API_KEY: apiKey } };
}

const backup = ['backup', instance.instanceId, '--connection', id.connection];
const steps = Array.from({ length: 101 }, (_, percent): [string, string, unknown] => [
  `${percent + 2}`,
  'progress',
  progressAt(percent),
]);
const events: [string, string, unknown][] = [
  ['1', 'state', backupJob('RUNNING')],
  ...steps,
  ['200', 'state', backupJob('COMPLETED', 100)],
];

describe.concurrent('waiting for a job', () => {
  test('in a pipe: one line per state and per ten percent, however many events come', async () => {
    const { env, server } = await serve({ backupJobEvents: (_, response) => sendEvents(response, events) });
    const { code, stdout } = await runCommand([...backup, '--wait'], { env });
    expect(code).toBe(0);
    const progress = stdout.split('\n').filter((line) => line.startsWith(id.backupJob));
    expect(progress.map((line) => line.split('  ')[1])).toEqual([
      'RUNNING', '10 %', '20 %', '30 %', '40 %', '50 %', '60 %', '70 %', '80 %', '90 %', '100 %', 'COMPLETED',
    ]); // biome-ignore format: one line reads better
    expect(stdout).toContain(id.point);
    expect(server.calls[0]?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('--json prints one document, the job as it ended', async () => {
    const { env } = await serve({ backupJobEvents: (_, response) => sendEvents(response, events) });
    const { code, stdout } = await runCommand([...backup, '--wait', '--json'], { env });
    expect([code, JSON.parse(stdout).state]).toEqual([0, 'COMPLETED']);
  });

  test('watch --json prints one event per line', async () => {
    const { env } = await serve({
      getBackupJob: () => ok(backupJob('RUNNING')),
      backupJobEvents: (_, response) => sendEvents(response, events),
    });
    const { code, stdout } = await runCommand(['jobs', 'watch', id.backupJob, '--json'], { env });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect([code, lines.length, lines.at(-1).job.state]).toEqual([0, events.length, 'COMPLETED']);
  });

  test('a lost connection is taken up again after the last event seen', async () => {
    const asked: unknown[] = [];
    const { env } = await serve({
      backupJobEvents: async ({ headers }, response) => {
        asked.push(headers['last-event-id']);
        if (asked.length === 3) return sendEvents(response, events.slice(60));
        if (asked.length === 2) return void response.destroy(); // lost before the first event
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const [eventId, type, data] of events.slice(0, 60)) {
          response.write(`id: ${eventId}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
        }
        response.write('id: 61\nevent: progress\ndata: {"cut', () => response.destroy());
      },
    });
    const { code, stdout } = await runCommand([...backup, '--wait'], { env });
    expect(code).toBe(0);
    expect(asked).toEqual([undefined, '60', '60']);
    expect(stdout.match(/ 50 % /g)).toHaveLength(1);
  });

  test('a refusal while following ends it with the code of the refusal', async () => {
    const { env } = await serve({
      backupJobEvents: async (_, response) => {
        const { status, body } = problem('unauthorized', 'The key was revoked.');
        response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body));
      },
    });
    expect((await runCommand([...backup, '--wait'], { env })).code).toBe(3);
  });

  test.each(['FAILED', 'PARTIAL', 'ABORTED', 'EXPIRED'])('a job that ends %s exits 1 and says why', async (state) => {
    const reason = {
      code: 'missing_permission',
      title: 'A permission is missing',
      detail: 'ebs:GetSnapshotBlock',
      retry: 'later',
    };
    const { env } = await serve({
      backupJobEvents: (_, response) =>
        sendEvents(response, [['1', 'state', backupJob(state, 40, { problem: reason })]]),
    });
    const { code, stdout } = await runCommand([...backup, '--wait'], { env });
    expect([code, stdout]).toEqual([1, expect.stringContaining('ebs:GetSnapshotBlock')]);
  });

  test('the final state ends the waiting, also when the service keeps the stream open', async () => {
    const { env } = await serve({
      backupJobEvents: async (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(
          `: hello\r\nid: 1\r\nevent: state\r\ndata: ${JSON.stringify(backupJob('COMPLETED', 100))}\r\n\r\n`,
        );
      },
    });
    expect((await runCommand([...backup, '--wait'], { env })).code).toBe(0);
  });

  test('Ctrl-C leaves the job running, says how to follow it, and exits 130', async () => {
    const { env, server } = await serve({
      backupJobEvents: async (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(`id: 1\nevent: state\ndata: ${JSON.stringify(backupJob('RUNNING'))}\n\n`);
      },
    });
    const { child, done } = startCommand([...backup, '--wait'], { env });
    child.stdout.once('data', () => child.kill('SIGINT'));
    const { code, stderr } = await done;
    expect([code, stderr]).toEqual([130, expect.stringContaining(`domicile jobs watch ${id.backupJob}`)]);
    expect(server.calls.map((call) => call.operationId)).toEqual(['createBackupJob', 'backupJobEvents']);
  });
});

describe.concurrent('restore', () => {
  const restore = ['restore', id.point, '--type', 'volume', '--region', 'eu-central-1'];

  test("goes to the point's own connection unless another is named, and returns at once without --wait", async () => {
    const { env, server } = await serve({
      getRecoveryPoint: () => ok(recoveryPointDetail),
      createRestoreJob: () => ok(restoreJob('CREATED'), 202),
    });
    const { code, stderr } = await runCommand(
      [...restore, '--zone', 'eu-central-1b', '--volume', 'vol-0123456789abcdef0'],
      { env },
    );
    expect([code, stderr]).toEqual([0, expect.stringContaining(`jobs watch ${id.restoreJob}`)]);
    expect(server.calls.at(-1)?.body).toEqual({
      recoveryPointId: id.point,
      type: 'volume',
      mode: 'new',
      volumeIds: ['vol-0123456789abcdef0'],
      target: { connectionId: id.connection, awsRegion: 'eu-central-1', availabilityZone: 'eu-central-1b' },
      dryRun: false,
    });
  });

  test('an instance is sent with what the options say, and with null for what it is to be without', async () => {
    const { env, server } = await serve({
      getRecoveryPoint: () => ok(recoveryPointDetail),
      createRestoreJob: () => ok(restoreJob('CREATED'), 202),
    });
    const options = ['--type', 'instance', '--subnet', 'subnet-0123456789abcdef0', '--no-key-pair'];
    const { code } = await runCommand([...restore, ...options], { env });
    expect(code).toBe(0);
    expect(server.calls.at(-1)?.body).toMatchObject({
      type: 'instance',
      instance: { subnetId: 'subnet-0123456789abcdef0', keyName: null },
    });
  });

  test('what is left over comes with the command that removes it', async () => {
    const leftovers = ['snap-0123456789abcdef0', 'ami-0123456789abcdef0'];
    const { env } = await serve({ getRestoreJob: () => ok(restoreJob('COMPLETED', { leftovers })) });
    const { stdout } = await runCommand(['jobs', 'show', id.restoreJob], { env });
    expect(stdout).toContain('aws ec2 delete-snapshot --region eu-central-1 --snapshot-id snap-0123456789abcdef0');
    expect(stdout).toContain('aws ec2 deregister-image --region eu-central-1 --image-id ami-0123456789abcdef0');
  });

  test('a dry run waits for its findings, and exits 1 when one is bad', async () => {
    const checks = [{ check: 'kms', ok: false, detail: 'kms:CreateGrant is refused' }];
    const { env } = await serve({
      createRestoreJob: () => ok(restoreJob('CREATED', { dryRun: true }), 202),
      restoreJobEvents: (_, response) =>
        sendEvents(response, [['1', 'state', restoreJob('COMPLETED', { dryRun: true, checks })]]),
    });
    const { code, stdout } = await runCommand([...restore, '--connection', id.connection, '--dry-run'], { env });
    expect([code, stdout]).toEqual([1, expect.stringContaining('FAILED  kms: kms:CreateGrant is refused')]);
  });
});
