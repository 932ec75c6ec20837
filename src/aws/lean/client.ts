import type { EBSClient } from '@aws-sdk/client-ebs';
import type { S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../core/clock.ts';
import type { Endpoints } from '../endpoints.ts';
import { type BlockCalls, openBlockCalls } from './blocks.ts';
import type { Budgets } from './budgets.ts';
import type { Wire } from './wire.ts';
import { type ObjectCalls, openObjectCalls } from './objects.ts';
import { openService } from './service.ts';
import { openSigning } from './signing.ts';

/** The calls that move data, at a fraction of the SDK's cost for each; everything else goes through the SDK's clients. */
export type LeanClient = { blocks: BlockCalls; objects: ObjectCalls };

/** Remembers what was asked for once, unless it failed. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let known: Promise<T> | null = null;
  return () => {
    known ??= ask().catch((error: unknown) => {
      known = null;
      throw error;
    });
    return known;
  };
}

/** Addresses by the rules of the SDK's own clients: host or path, FIPS, dual stack, an address of our own. */
async function resolve(client: EBSClient | S3Client, awsRegion: string, bucket: string | null, endpoint?: string) {
  const { config } = client;
  const { url } = config.endpointProvider({
    Region: awsRegion,
    UseFIPS: await config.useFipsEndpoint(),
    UseDualStack: await config.useDualstackEndpoint(),
    ...(endpoint === undefined ? {} : { Endpoint: endpoint }),
    ...(bucket === null ? {} : { Bucket: bucket, ForcePathStyle: endpoint !== undefined, UseGlobalEndpoint: false }),
  });
  return url;
}

/** The lean client beside a region's SDK clients, with their credentials, addresses and guard. */
export function createLeanClient(
  clients: { ebs: EBSClient; s3: S3Client },
  parts: {
    awsRegion: string;
    endpoints: Endpoints;
    guard: (hostname: string) => void;
    wire: Wire;
    clock: Clock;
    budgets: Budgets;
  },
): LeanClient {
  const { awsRegion, endpoints, guard, wire, clock, budgets } = parts;
  const { ebs, s3 } = clients;
  const service = (name: 'ebs' | 's3') =>
    openService({ wire, clock, guard, signing: openSigning(clients[name], { service: name, awsRegion, clock }) });
  const buckets = new Map<string, () => Promise<URL>>();
  const baseOf = (bucket: string) => {
    const known = buckets.get(bucket) ?? once(() => resolve(s3, awsRegion, bucket, endpoints.s3));
    buckets.set(bucket, known);
    return known();
  };
  const base = once(() => resolve(ebs, awsRegion, null, endpoints.ebs));
  return {
    blocks: openBlockCalls(ebs, { service: service('ebs'), base, budgets, awsRegion }),
    objects: openObjectCalls({ service: service('s3'), baseOf }),
  };
}
