import { randomBytes } from 'node:crypto';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type LaneOrder, serveLane } from '../../src/vault/lane-port.ts';
import { type RestoreOrder, serveRestoreLane } from '../../src/vault/restore-lane-port.ts';
import { openFiles } from './files.ts';
import type { Order } from './steps.ts';
import { discard, openImage, VOLUMES } from './volumes.ts';

/** A thread with one lane, as the worker tier has them (`src/cell/lanes`), on a volume that is made up. */
export type LaneWork = { port: MessagePort } & (
  | { kind: 'backup'; order: LaneOrder }
  | { kind: 'restore'; order: RestoreOrder }
);

const { step, volume: name, dir } = workerData as Order;
const volume = VOLUMES[name];
const store = openFiles(dir);

parentPort?.on('message', (work: LaneWork) => {
  if (work.kind === 'restore') return serveRestoreLane(work.port, work.order, { store, openSink: () => discard });
  serveLane(work.port, work.order, {
    source: openImage(volume, step === 'backup' ? 0 : 1),
    store,
    random: randomBytes,
  });
});
