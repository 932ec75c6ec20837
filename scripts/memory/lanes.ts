import { MessageChannel, Worker } from 'node:worker_threads';
import type { OpenLanes } from '../../src/vault/backup-attempt.ts';
import { connectLane, createOpenPacks } from '../../src/vault/lane-port.ts';
import type { OpenRestoreLanes } from '../../src/vault/restore.ts';
import { connectRestoreLane } from '../../src/vault/restore-lane-port.ts';
import type { LaneWork } from './lane-thread.ts';
import type { Order } from './steps.ts';

/** As the pool of a cell has it. */
const RESOURCES = { maxYoungGenerationSizeMb: 8 };

/** Lanes in threads, which end with the process. */
export function openThreads(workerData: Order) {
  const scope = (of: { cell: string; tenantId: string; volumeId: string }) => {
    const { cell, tenantId, volumeId } = of;
    return { cell, tenantId, volumeId };
  };
  function begin(work: { kind: 'backup'; order: object } | { kind: 'restore'; order: object }) {
    const thread = new Worker(new URL('lane-thread.ts', import.meta.url), { workerData, resourceLimits: RESOURCES });
    thread.unref();
    const { port1, port2 } = new MessageChannel();
    thread.postMessage({ ...work, port: port2 } as LaneWork, [port2]);
    return port1;
  }
  const count = Array.from({ length: workerData.lanes });
  const openLanes: OpenLanes = async (start) => {
    const { attempt, idKey, checkAll } = start;
    const order = { scope: scope(start.scope), attempt, idKey, checkAll };
    const packs = createOpenPacks(start);
    return count.map(() => connectLane(begin({ kind: 'backup', order }), start, packs));
  };
  const openRestoreLanes: OpenRestoreLanes = async (start) => {
    const { idKey, blockBytes } = start;
    const order = { scope: scope(start.scope), idKey, blockBytes };
    return count.map(() => connectRestoreLane(begin({ kind: 'restore', order }), start));
  };
  return workerData.lanes === 0 ? {} : { openLanes, openRestoreLanes };
}
