import { randomBytes } from 'node:crypto';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { openBlockWriter } from '../../aws/block-writer.ts';
import { type AwsCredentials, createDataClients } from '../../aws/data-clients.ts';
import { openBlockFetch } from '../../aws/ebs-source.ts';
import { createBudgets } from '../../aws/lean/budgets.ts';
import { openBlobStore } from '../../aws/s3-store.ts';
import { systemClock } from '../../core/clock.ts';
import { connectPort } from '../../core/port-calls.ts';
import { serveLane } from '../../vault/lane-port.ts';
import { serveRestoreLane } from '../../vault/restore-lane-port.ts';
import { serveVerifyLane } from '../../vault/verify-lane-port.ts';
import type { CredentialCalls, LaneJob, ThreadData } from './messages.ts';

/**
 * A thread of the pool: serves lanes, each with connections of its own. It holds no credentials but those that the thread of the
 * job gives it, and asks for them again when they expire.
 */
const { region, endpoints, limits } = workerData as ThreadData;
const budgets = createBudgets(systemClock, limits);

function open({ work, store: place, lane, credentials }: LaneJob): void {
  const ask = connectPort<CredentialCalls>(credentials, {});
  const clientsOf = (whose: keyof CredentialCalls, awsRegion: string) => {
    const source = (): Promise<AwsCredentials> => ask(whose, null);
    const clients = createDataClients({ region, endpoints, credentials: source, budgets }, awsRegion);
    lane.once('close', () => clients.destroy());
    return clients;
  };
  const store = openBlobStore(clientsOf('vault', place.awsRegion), place);
  if (work.kind === 'verify') return serveVerifyLane(lane, work.order, { store });
  const { awsRegion, snapshotId } = work.snapshot;
  const account = clientsOf('account', awsRegion);
  if (work.kind === 'backup') {
    const source = { blockBytes: work.blockBytes, ...openBlockFetch(account, awsRegion, snapshotId) };
    return serveLane(lane, work.order, { source, store, random: randomBytes });
  }
  const openSink = (signal: AbortSignal) =>
    openBlockWriter(account, { awsRegion, snapshotId, clock: systemClock, signal });
  serveRestoreLane(lane, work.order, { store, openSink });
}

(parentPort as MessagePort | null)?.on('message', open);
