import type { IncomingMessage } from 'node:http';
import type { AccountStore } from './accounts/store.ts';
import { decodeChunked } from './wire/chunked.ts';
import type { CallLog } from './call-log.ts';
import { AwsError, type AwsRequest, type AwsResponse, type AwsService, type Caller } from './service.ts';
import type { Signed } from './signed.ts';
import { parseAuthorization, verifySignature } from './sigv4.ts';
import { sessionArn } from './sts/service.ts';
import { errorResponse } from './wire/errors.ts';
import type { Clock } from '../core/clock.ts';
import { underFaults } from './faults/apply.ts';
import { expiredToken } from './faults/refusals.ts';
import type { Faults } from './faults/registry.ts';
import { operationOf } from './operation-name.ts';
import { addPresignedHeaders, parsePresigned } from './presigned.ts';
import type { Rates } from './quotas/rates.ts';
import type { Settings } from './settings.ts';

const BODY_BYTES_MAX = 64 * 2 ** 20;

type Dispatch = {
  store: AccountStore;
  services: Record<string, AwsService>;
  clock: Clock;
  calls: CallLog;
  faults: Faults;
  rates: Rates;
  settings: Settings;
};

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > BODY_BYTES_MAX)
      throw new AwsError('EntityTooLarge', 400, 'Your proposed upload exceeds the maximum allowed size');
    parts.push(part as Buffer);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
}

const partitionOf = (awsRegion: string) => (awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws');

function unknownKey(service: string): AwsError {
  const messages: Record<string, [string, number]> = {
    ec2: ['AuthFailure', 401],
    s3: ['InvalidAccessKeyId', 403],
    kms: ['UnrecognizedClientException', 400],
    ebs: ['UnrecognizedClientException', 403],
  };
  const [code, status] = messages[service] ?? ['InvalidClientTokenId', 403];
  return new AwsError(code, status, 'The security token included in the request is invalid.');
}

/** The user of a key or of a session of GetSessionToken, or the root of the account. */
function userOrRoot(
  store: AccountStore,
  signed: Signed,
  { accountId, userName }: { accountId: string; userName: string | null },
): Caller {
  const user = userName === null ? undefined : store.account(accountId)?.users[userName];
  if (userName !== null && !user) throw unknownKey(signed.service);
  const arn = user?.arn ?? `arn:${partitionOf(signed.awsRegion)}:iam::${accountId}:root`;
  return { accountId, arn, principalArn: arn, userId: user?.id ?? accountId, kind: user ? 'user' : 'root' };
}

/** Whose key signed, and the secret to check the signature with. */
function credentialsOf(
  { store, clock }: Dispatch,
  signed: Signed,
  headers: Headers,
): { secretAccessKey: string; caller: Caller } {
  const key = store.key(signed.accessKeyId);
  if (key) return { secretAccessKey: key.secretAccessKey, caller: userOrRoot(store, signed, key) };
  const session = store.session(signed.accessKeyId);
  const token = signed.presigned ? signed.presigned.securityToken : headers.get('x-amz-security-token');
  if (!session || token !== session.token) throw unknownKey(signed.service);
  if (Date.parse(session.expiresAt) <= clock.now().getTime()) throw expiredToken(signed.service);
  const { userName } = session;
  if (userName !== undefined)
    return {
      secretAccessKey: session.secretAccessKey,
      caller: userOrRoot(store, signed, { accountId: session.accountId, userName }),
    };
  const role = store.effective(session.accountId)?.roles[session.roleName];
  // A role that was deleted, or made again under its name, leaves its old sessions without any right.
  if (!role || role.id !== session.roleId) throw unknownKey(signed.service);
  const caller: Caller = {
    accountId: session.accountId,
    arn: sessionArn(role, session.sessionName),
    principalArn: role.arn,
    userId: `${session.roleId}:${session.sessionName}`,
    kind: 'role',
  };
  return { secretAccessKey: session.secretAccessKey, caller };
}

async function serve(
  context: Dispatch,
  incoming: IncomingMessage,
  requestId: string,
  signed: Signed,
): Promise<AwsResponse> {
  const { services, clock, calls } = context;
  const [path = '/', search = ''] = (incoming.url ?? '/').split(/\?(.*)/s);
  const method = incoming.method ?? 'GET';
  const headers = new Headers();
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2)
    headers.append(incoming.rawHeaders[i] ?? '', incoming.rawHeaders[i + 1] ?? '');
  const { service, awsRegion } = signed;
  let caller: Caller | null = null;
  let operation = '';
  const record = (status: number, errorCode?: string) =>
    calls.add({
      time: clock.now().toISOString(),
      accountId: caller?.accountId ?? '',
      callerArn: caller?.arn ?? '',
      service,
      awsRegion,
      operation,
      status,
      ...(errorCode === undefined ? {} : { errorCode }),
    });
  try {
    const body = await readBody(incoming);
    const credentials = credentialsOf(context, signed, headers);
    verifySignature({ method, path, search, headers, body }, signed, {
      secretAccessKey: credentials.secretAccessKey,
      nowMs: clock.now().getTime(),
    });
    caller = credentials.caller;
    if (signed.presigned) addPresignedHeaders(headers, search, signed);
    const request: AwsRequest = {
      service: service as AwsRequest['service'],
      awsRegion,
      method,
      path,
      query: new URLSearchParams(search),
      headers,
      body: decodeChunked(headers, body),
      caller,
      requestId,
    };
    operation = operationOf(request);
    const handler = services[service];
    if (!handler) throw new AwsError('UnknownOperationException', 404, `The sandbox has no service ${service}`);
    const answer = await underFaults(context.faults, { request, operation }, async () => {
      if (context.settings.values().quotas) context.rates.spend(request, operation);
      return handler.handle(request);
    });
    record(answer.status, answer.delivery);
    return answer;
  } catch (error) {
    const known =
      error instanceof AwsError
        ? error
        : new AwsError('InternalFailure', 500, error instanceof Error ? (error.stack ?? error.message) : 'unknown');
    record(known.status, known.code);
    return errorResponse(service, known, requestId, method);
  }
}

/** Finds the service by the credential scope, proves the signature, and records the call. */
export function createDispatcher(context: Dispatch) {
  return async (incoming: IncomingMessage, requestId: string): Promise<AwsResponse> => {
    let refusal = new AwsError('MissingAuthenticationToken', 403, 'Request is missing Authentication Token');
    try {
      const search = (incoming.url ?? '').split(/\?(.*)/s)[1] ?? '';
      const signed = parseAuthorization(incoming.headers.authorization ?? null) ?? parsePresigned(search);
      if (signed) return await serve(context, incoming, requestId, signed);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      refusal = error;
    }
    incoming.resume();
    return errorResponse('s3', refusal, requestId, incoming.method);
  };
}
