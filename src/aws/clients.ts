import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { fromHttp, fromNodeProviderChain } from '@aws-sdk/credential-providers';
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

export type RegionalClients = {
  ec2: EC2Client;
  ebs: EBSClient;
  sts: STSClient;
  kms: KMSClient;
  s3: S3Client;
  /** The calls that move data. */
  lean: LeanClient;
  destroy(): void;
};
export type AwsClients = ReturnType<typeof createAwsClients>;

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

/**
 * The only place where AWS clients are made. Each belongs to one AWS region of the jurisdiction; a region outside, a global
 * endpoint and an unlisted host are refused.
 */
export function createAwsClients(options: {
  region: Region;
  credentials: CredentialSource;
  endpoints: Endpoints;
  requestTimeoutMs?: number;
  clock?: Clock;
  budgets?: Budgets;
}) {
  const { region, credentials, endpoints, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const { clock = systemClock, budgets = BUDGETS } = options;
  const made = new Map<string, RegionalClients>();

  function make(awsRegion: string): RegionalClients {
    const config = (service: ServiceName) => ({
      region: awsRegion,
      credentials,
      maxAttempts: ATTEMPTS_MAX,
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: requestTimeoutMs,
        // Without this the SDK only warns, and waits for ever.
        throwOnRequestTimeout: true,
        httpAgent: { maxSockets: SOCKETS_MAX, keepAlive: true },
        httpsAgent: { maxSockets: SOCKETS_MAX, keepAlive: true },
      },
      ...(endpoints[service] === undefined ? {} : { endpoint: endpoints[service] }),
    });
    const clients = {
      ec2: new EC2Client(config('ec2')),
      ebs: new EBSClient(config('ebs')),
      sts: new STSClient({ ...config('sts'), useGlobalEndpoint: false }),
      kms: new KMSClient(config('kms')),
      // An address of our own is reached by path; our own SHA-256 is the only checksum we send.
      s3: new S3Client({
        ...config('s3'),
        followRegionRedirects: false,
        forcePathStyle: endpoints.s3 !== undefined,
        requestChecksumCalculation: 'WHEN_REQUIRED',
      }),
    };
    const guard = (hostname: string) => guardHost(region, awsRegion, hostname);
    for (const client of Object.values(clients)) guardResidency(client.middlewareStack as unknown as Stack, guard);
    const wire = openWire({ connectTimeoutMs: CONNECT_TIMEOUT_MS, requestTimeoutMs, connections: SOCKETS_MAX });
    return {
      ...clients,
      lean: createLeanClient(clients, { awsRegion, endpoints, guard, wire, clock, budgets }),
      destroy() {
        wire.destroy();
        for (const client of Object.values(clients)) client.destroy();
      },
    };
  }

  return {
    /** Clients for one AWS region. Throws Fault `residency_violation` for a region outside the jurisdiction. */
    for(awsRegion: string): RegionalClients {
      assertInJurisdiction(region, awsRegion);
      const known = made.get(awsRegion) ?? make(awsRegion);
      made.set(awsRegion, known);
      return known;
    },
    destroy(): void {
      for (const clients of made.values()) clients.destroy();
      made.clear();
    },
  };
}

/**
 * The credentials of one tier. In production a tier is an ECS service and has its task's own; where both tiers are one
 * process, each is told the address of its own.
 */
export function tierCredentials(options: {
  uri?: string | undefined;
  authorizationToken?: string | undefined;
}): CredentialSource {
  if (options.uri === undefined) return fromNodeProviderChain();
  return fromHttp({
    awsContainerCredentialsFullUri: options.uri,
    ...(options.authorizationToken === undefined ? {} : { awsContainerAuthorizationToken: options.authorizationToken }),
  });
}
