import { type MessagePort, parentPort } from 'node:worker_threads';
import { createDataClients } from '../../../aws/data-clients.ts';
import { openBlobStore } from '../../../aws/s3-store.ts';
import { connectPort } from '../../../core/port-calls.ts';
import type { BlobStore } from '../../../vault/ports.ts';
import { serveRestoreLane } from '../../../vault/restore-lane-port.ts';
import { serveVerifyLane } from '../../../vault/verify-lane-port.ts';
import { openDirectoryStore } from '../directory-store.ts';
import { openImageWriter } from '../image-file.ts';
import type { CredentialCalls, LaneJob } from './messages.ts';

/** A thread opens the vault for itself, with connections of its own. Data keys and credentials come from the command's thread. */
function openStore({ place, lane, credentials }: LaneJob): BlobStore {
  if (place.kind === 'folder') return openDirectoryStore(place.base);
  const ask = connectPort<CredentialCalls>(credentials, {});
  const { region, endpoints } = place;
  const source = () => ask('vault', null);
  const clients = createDataClients({ region, endpoints, credentials: source }, place.place.awsRegion);
  lane.once('close', () => clients.destroy());
  return openBlobStore(clients, place.place);
}

function open(job: LaneJob): void {
  const { work, lane } = job;
  const store = openStore(job);
  if (work.kind === 'verify') return serveVerifyLane(lane, work.order, { store });
  const writer = openImageWriter(work.image.path, work.image.source);
  lane.once('close', () => void writer.close());
  serveRestoreLane(lane, work.order, { store, openSink: () => writer });
}

(parentPort as MessagePort | null)?.on('message', open);
