import { randomInt, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { AccountStore } from './accounts/store.ts';
import type { CallLog } from './call-log.ts';
import { handleFaults, handleSettings } from './faults/control.ts';
import type { Faults } from './faults/registry.ts';
import { evaluate } from './iam/evaluate.ts';
import { parsePolicy } from './iam/policy.ts';
import { startSession } from './sts/service.ts';
import { AwsError, type AwsResponse } from './service.ts';
import type { Settings } from './settings.ts';

const STEP_BYTES = 1 << 20;
const READ_BYTES_MAX = 64 * 2 ** 20;
const TASK_SECONDS = 3_600;

/** What software on an instance reads and writes on its disks. */
export type GuestVolumes = {
  read(accountId: string, volumeId: string, offset: number, length: number): Promise<Buffer>;
  write(accountId: string, volumeId: string, offset: number, bytes: Buffer): Promise<void>;
};

/** A clock that can be moved, for expiry and schedules. */
export type MovableClock = Clock & { move(offsetMs: number): void };

export type Control = {
  store: AccountStore;
  clock: MovableClock;
  calls: CallLog;
  adminToken: string;
  volumes: GuestVolumes;
  faults: Faults;
  settings: Settings;
};

const json = (status: number, value: unknown): AwsResponse => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});
const refuse = (status: number, message: string) => json(status, { message });

function same(a: string, b: string): boolean {
  const [have, want] = [Buffer.from(a), Buffer.from(b)];
  return have.length === want.length && timingSafeEqual(have, want);
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  if (parts.length === 0) return {};
  try {
    return Object(JSON.parse(Buffer.concat(parts).toString('utf8'))) as Record<string, unknown>;
  } catch {
    throw new AwsError('MalformedJson', 400, 'the body must be JSON');
  }
}

/** Credentials of a role as ECS hands them to a task, when the role's trust policy lets ECS assume it. */
function taskCredentials({ store, clock }: Control, accountId: string, roleName: string): AwsResponse {
  const role = store.account(accountId)?.roles[roleName];
  if (!role) return refuse(404, 'no such role');
  const ecs = {
    accountId: 'aws',
    arn: 'ecs-tasks.amazonaws.com',
    principalArn: '',
    uniqueId: '',
    kind: 'service' as const,
  };
  const decision = evaluate({
    principal: ecs,
    action: 'sts:AssumeRole',
    resource: role.arn,
    resourceAccountId: accountId,
    context: new Map(),
    identityPolicies: [],
    sessionPolicies: null,
    resourcePolicy: parsePolicy(role.trust, 'trust'),
    resourcePolicyRequired: true,
  });
  if (!decision.allowed) return refuse(403, 'the role does not trust ecs-tasks.amazonaws.com');
  const session = startSession(store, clock, {
    accountId,
    role,
    sessionName: 'task',
    seconds: TASK_SECONDS,
    policies: null,
    tags: {},
  });
  return json(200, {
    RoleArn: role.arn,
    AccessKeyId: session.accessKeyId,
    SecretAccessKey: session.secretAccessKey,
    Token: session.token,
    Expiration: session.expiresAt,
  });
}

/** The account whose access key and secret stand in a Basic authorization, or null. */
function owner({ store }: Control, authorization: string): string | null {
  const [id = '', secret = ''] = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
    .toString('utf8')
    .split(/:(.*)/s);
  const key = store.key(id);
  return key && same(key.secretAccessKey, secret) ? key.accountId : null;
}

async function guestDisk(
  control: Control,
  request: IncomingMessage,
  volumeId: string,
  query: URLSearchParams,
): Promise<AwsResponse> {
  const accountId = owner(control, request.headers.authorization ?? '');
  if (accountId === null) return refuse(401, "needs the account's access key and secret as Basic authorization");
  const offset = Number(query.get('offset') ?? 0);
  if (!Number.isSafeInteger(offset) || offset < 0) return refuse(400, 'offset must be a number of bytes');
  if (request.method === 'GET') {
    const length = Number(query.get('length') ?? STEP_BYTES);
    if (!Number.isSafeInteger(length) || length < 0 || length > READ_BYTES_MAX)
      return refuse(400, `length must be a number of bytes up to ${READ_BYTES_MAX}`);
    const bytes = await control.volumes.read(accountId, volumeId, offset, length);
    return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body: bytes };
  }
  let at = offset;
  let pending = Buffer.alloc(0);
  const writeFirst = async (bytes: number) => {
    if (bytes > 0) await control.volumes.write(accountId, volumeId, at, pending.subarray(0, bytes));
    at += bytes;
    pending = pending.subarray(bytes);
  };
  let parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    parts.push(part as Buffer);
    size += (part as Buffer).length;
    if (size < STEP_BYTES) continue;
    pending = Buffer.concat([pending, ...parts]);
    [parts, size] = [[], 0];
    // Up to a step's boundary: whole blocks are written without reading them first.
    await writeFirst(pending.length - ((at + pending.length) % STEP_BYTES));
  }
  pending = Buffer.concat([pending, ...parts]);
  await writeFirst(pending.length);
  return json(200, { bytes: at - offset });
}

function unusedAccountId({ store }: Control): string {
  for (;;) {
    const id = String(randomInt(100_000_000_000, 1_000_000_000_000));
    if (store.account(id) === undefined) return id;
  }
}

function admin(control: Control, request: IncomingMessage): boolean {
  return same((request.headers.authorization ?? '').replace(/^Bearer /, ''), control.adminToken);
}

/** Answers `/_sandbox/…`: what an AWS would not offer over its own APIs. */
export async function handleControl(control: Control, request: IncomingMessage, url: URL): Promise<AwsResponse> {
  try {
    return await answer(control, request, url);
  } catch (error) {
    if (error instanceof AwsError) return refuse(error.status, error.message);
    throw error;
  }
}

async function answer(control: Control, request: IncomingMessage, url: URL): Promise<AwsResponse> {
  const [, , what = '', ...rest] = url.pathname.split('/');
  if (what === 'health') return json(200, { status: 'ok' });
  if (what === 'volumes' && rest[1] === 'data') return guestDisk(control, request, rest[0] ?? '', url.searchParams);
  if (!admin(control, request)) return refuse(401, 'needs the admin token of this sandbox');
  if (what === 'container-credentials') return taskCredentials(control, rest[0] ?? '', rest[1] ?? '');
  if (what === 'calls' && rest[0] === 'summary') return json(200, { items: control.calls.summary() });
  if (what === 'calls') return json(200, control.calls.since(Number(url.searchParams.get('since') ?? 0)));
  const input = await readJson(request);
  const method = request.method ?? 'GET';
  if (what === 'faults') return handleFaults(control.faults, { method, id: rest[0] ?? '', input });
  if (what === 'settings') return handleSettings(control.settings, { method, input });
  if (method !== 'POST') return refuse(404, 'no such control');
  if (what === 'clock') {
    const offsetMs = input['offsetMs'] ?? 0;
    if (typeof offsetMs !== 'number' || !Number.isSafeInteger(offsetMs))
      return refuse(400, 'offsetMs must be a number of milliseconds');
    control.clock.move(offsetMs);
    return json(200, { now: control.clock.now().toISOString() });
  }
  if (what !== 'accounts') return refuse(404, 'no such control');
  const awsAccountId = typeof input['awsAccountId'] === 'string' ? input['awsAccountId'] : unusedAccountId(control);
  if (!/^\d{12}$/.test(awsAccountId)) return refuse(400, 'awsAccountId must have 12 digits');
  const { rootKey } = control.store.ensureAccount(awsAccountId);
  return json(200, { awsAccountId, accessKeyId: rootKey.accessKeyId, secretAccessKey: rootKey.secretAccessKey });
}
