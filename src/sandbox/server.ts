import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type Clock, systemClock } from '../core/clock.ts';
import { createAccountStore } from './accounts/store.ts';
import { createCallLog } from './call-log.ts';
import { type Control, handleControl, type MovableClock } from './control.ts';
import { createCloudFormation } from './cloudformation/service.ts';
import { createFaults } from './faults/registry.ts';
import { createEc2Ebs } from './ec2/world.ts';
import { createDispatcher } from './dispatch.ts';
import { createAuthorizer } from './iam/authorizer.ts';
import { createIam } from './iam/service.ts';
import { createKeyStore } from './kms/keys.ts';
import { createKeyUse, createKms } from './kms/service.ts';
import { createRates } from './quotas/rates.ts';
import { createS3 } from './s3/service.ts';
import type { AwsResponse, AwsService, ServiceDeps } from './service.ts';
import { createSettings, type Settings, type SettingValues } from './settings.ts';
import { createSts } from './sts/service.ts';

/** How often changed state reaches the disk while the sandbox runs. */
const SAVE_EVERY_MS = 3_000;
const KEEP_ALIVE_MS = 120_000;

export type Sandbox = { url: string; adminToken: string; clock: MovableClock; close(): Promise<void> };

function movable(clock: Clock): MovableClock {
  let offsetMs = 0;
  return {
    now: () => new Date(clock.now().getTime() + offsetMs),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    move(ms) {
      offsetMs = ms;
    },
  };
}

function tokenIn(dir: string): string {
  const file = join(dir, 'admin-token');
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600 });
  return readFileSync(file, 'utf8').trim();
}

/** `date` is the sandbox's own time: SDKs correct their clocks by it, so that they follow when it is moved. */
function send(response: ServerResponse, facts: { requestId: string; date: Date }, answer: AwsResponse): void {
  if (answer.delivery === 'hang') return;
  if (answer.delivery === 'reset') {
    response.socket?.resetAndDestroy();
    return;
  }
  const body = answer.body ?? '';
  response.writeHead(answer.status, {
    'x-amzn-requestid': facts.requestId,
    date: facts.date.toUTCString(),
    ...answer.headers,
    'content-length': answer.headers?.['content-length'] ?? Buffer.byteLength(body),
  });
  if (answer.sent) response.once('finish', answer.sent);
  if (answer.delivery !== 'cut') {
    response.end(body);
    return;
  }
  const bytes = Buffer.from(body);
  response.write(bytes.subarray(0, bytes.length >> 1), () => response.socket?.destroy());
}

function buildServices(dir: string, clock: MovableClock, settings: Settings) {
  const store = createAccountStore(join(dir, 'iam'), clock);
  const keys = createKeyStore(join(dir, 'kms'), clock);
  const authorize = createAuthorizer(store, clock);
  const kms = { keys, clock, authorize };
  const deps = (name: string): ServiceDeps => ({
    clock,
    authorize,
    keys: createKeyUse(kms),
    dir: join(dir, name),
    settings,
  });
  const { ec2, ebs, volumes } = createEc2Ebs(deps('ec2'));
  const iam = createIam(deps('iam'), store);
  const services: Record<string, AwsService> = {
    cloudformation: createCloudFormation(deps('cloudformation'), iam),
    ec2,
    ebs,
    s3: createS3(deps('s3')),
    kms: createKms(kms),
    sts: createSts(deps('sts'), store),
    iam,
  };
  return { store, services, volumes };
}

/**
 * Starts a sandbox AWS on loopback.
 *
 * @param options.dir folder of its state; made when absent, continued when there
 * @param options.port 0 for any free port
 * @param options.settings standing behaviours that differ from the usual ones
 */
export async function createSandbox(options: {
  dir: string;
  clock?: Clock;
  port?: number;
  settings?: Partial<SettingValues>;
}): Promise<Sandbox> {
  const { dir } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const clock = movable(options.clock ?? systemClock);
  const settings = createSettings(options.settings);
  const faults = createFaults();
  const { store, services, volumes } = buildServices(dir, clock, settings);
  const calls = createCallLog();
  const adminToken = tokenIn(dir);
  const control: Control = { store, clock, calls, adminToken, volumes, faults, settings };
  const dispatch = createDispatcher({ store, services, clock, calls, faults, settings, rates: createRates(clock) });
  const answer = async (request: IncomingMessage, requestId: string): Promise<AwsResponse> => {
    const url = new URL(request.url ?? '/', 'http://sandbox');
    return url.pathname.startsWith('/_sandbox/') ? handleControl(control, request, url) : dispatch(request, requestId);
  };
  const server = createServer((request, response) => {
    const requestId = randomUUID();
    answer(request, requestId).then(
      (result) => send(response, { requestId, date: clock.now() }, result),
      (error: unknown) =>
        send(
          response,
          { requestId, date: clock.now() },
          { status: 500, body: error instanceof Error ? error.message : 'internal error' },
        ),
    );
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const save = async () => {
    store.save();
    for (const service of Object.values(services)) await service.save();
  };
  const timer = setInterval(() => void save().catch(() => {}), SAVE_EVERY_MS);
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    adminToken,
    clock,
    async close() {
      clearInterval(timer);
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await save();
      for (const service of Object.values(services)) await service.close?.();
    },
  };
}
