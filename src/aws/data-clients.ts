import { EBSClient } from '@aws-sdk/client-ebs';
import { S3Client } from '@aws-sdk/client-s3';
import type { Region } from '../../regions/types.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { assertInJurisdiction } from '../core/residency.ts';
import { type Endpoints, isAllowedHost, type ServiceName } from './endpoints.ts';
import { type Budgets, createBudgets } from './lean/budgets.ts';
import { createLeanClient, type LeanClient } from './lean/client.ts';
import { openWire } from './lean/http.ts';

export type AwsCredentials = {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
  /** The account they belong to: its requests are counted together. */
  accountId?: string;
};
export type CredentialSource = AwsCredentials | (() => Promise<AwsCredentials>);

const CONNECT_TIMEOUT_MS = 5_000;
/** One block, one pack: nothing that we send or fetch takes a minute on a working line. */
const REQUEST_TIMEOUT_MS = 60_000;
/** GetSnapshotBlock is one request for each 512 KiB: the SDK's 50 sockets would be the limit. */
const SOCKETS_MAX = 128;
const ATTEMPTS_MAX = 5;

/** The part of the SDK's middleware stack that the guard needs, without the types of any one service. */
type Stack = { add(middleware: Middleware, options: { step: 'finalizeRequest'; name: string; priority: 'low' }): void };
type Middleware = (next: Handler) => Handler;
type Handler = (args: { request: unknown }) => Promise<unknown>;

function hostOf(request: unknown): string {
  return typeof request === 'object' &&
    request !== null &&
    'hostname' in request &&
    typeof request.hostname === 'string'
    ? request.hostname
    : '';
}

/** The last check before a request leaves, whatever made its address: a host outside the region is refused. */
function guardHost(region: Region, awsRegion: string, hostname: string): void {
  if (isAllowedHost(region, awsRegion, hostname)) return;
  throw new Fault(
    'residency_violation',
    `A request for ${hostname} was stopped: it is not an endpoint in ${awsRegion}.`,
  );
}

function guardResidency(stack: Stack, guard: (hostname: string) => void): void {
  const guarded: Middleware = (next) => (args) => {
    guard(hostOf(args.request));
    return next(args);
  };
  stack.add(guarded, { step: 'finalizeRequest', name: 'residencyGuard', priority: 'low' });
}

/** Quotas are an account's and a snapshot's, whoever asks: all clients of a process share what they may ask. */
const BUDGETS = createBudgets(systemClock);

/** Whom clients ask, where, and as whom. */
export type ClientOptions = {
  region: Region;
  credentials: CredentialSource;
  endpoints: Endpoints;
  requestTimeoutMs?: number;
  clock?: Clock;
  budgets?: Budgets;
};

type Guarded = { middlewareStack: unknown };

/** What every client of one AWS region is made with, and the guard that stands before each. */
export function clientConfig({ region, credentials, endpoints, requestTimeoutMs }: ClientOptions, awsRegion: string) {
  const guard = (hostname: string) => guardHost(region, awsRegion, hostname);
  return {
    guard,
    guarded: <Client extends Guarded>(client: Client): Client => {
      guardResidency(client.middlewareStack as Stack, guard);
      return client;
    },
    config: (service: ServiceName) => ({
      region: awsRegion,
      credentials,
      maxAttempts: ATTEMPTS_MAX,
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
        // Without this the SDK only warns, and waits for ever.
        throwOnRequestTimeout: true,
        httpAgent: { maxSockets: SOCKETS_MAX, keepAlive: true },
        httpsAgent: { maxSockets: SOCKETS_MAX, keepAlive: true },
      },
      ...(endpoints[service] === undefined ? {} : { endpoint: endpoints[service] }),
    }),
  };
}

/** Clients of the two services that hold data. */
export type DataClients = {
  ebs: EBSClient;
  s3: S3Client;
  /** The calls that move data. */
  lean: LeanClient;
  destroy(): void;
};

/**
 * Clients that move data, for one AWS region of the jurisdiction: all that a thread which copies blocks loads of the SDK. (The rest of
 * it would triple what its garbage collector walks, hundreds of times in a backup.)
 *
 * @throws Fault `residency_violation` for a region outside
 */
export function createDataClients(options: ClientOptions, awsRegion: string): DataClients {
  const { region, endpoints, requestTimeoutMs = REQUEST_TIMEOUT_MS, clock = systemClock, budgets = BUDGETS } = options;
  assertInJurisdiction(region, awsRegion);
  const { config, guard, guarded } = clientConfig(options, awsRegion);
  const ebs = guarded(new EBSClient(config('ebs')));
  // An address of our own is reached by path; our own SHA-256 is the only checksum we send.
  const s3 = guarded(
    new S3Client({
      ...config('s3'),
      followRegionRedirects: false,
      forcePathStyle: endpoints.s3 !== undefined,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    }),
  );
  const wire = openWire({ connectTimeoutMs: CONNECT_TIMEOUT_MS, requestTimeoutMs, connections: SOCKETS_MAX });
  return {
    ebs,
    s3,
    lean: createLeanClient({ ebs, s3 }, { awsRegion, endpoints, guard, wire, clock, budgets }),
    destroy() {
      wire.destroy();
      ebs.destroy();
      s3.destroy();
    },
  };
}
