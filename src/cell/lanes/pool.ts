import { MessageChannel, Worker as Thread } from 'node:worker_threads';
import type { Region } from '../../../regions/types.ts';
import type { Endpoints } from '../../aws/endpoints.ts';
import { DEFAULT_LIMITS, type WindowLimits } from '../../aws/lean/window.ts';
import type { StorePlace } from '../../aws/s3-store.ts';
import { type Calls, connectPort } from '../../core/port-calls.ts';
import type { OpenLanes } from '../../vault/backup-attempt.ts';
import { connectLane, createOpenPacks } from '../../vault/lane-port.ts';
import type { OpenRestoreLanes } from '../../vault/restore.ts';
import { connectRestoreLane } from '../../vault/restore-lane-port.ts';
import type { OpenVerifyLanes } from '../../vault/verify-bytes.ts';
import { connectVerifyLane } from '../../vault/verify-lane-port.ts';
import type { CredentialCalls, LaneJob, LaneSnapshot, LaneWork, ThreadData } from './messages.ts';

/** Which part of the vault lanes use, and who they are there. */
export type VaultUse = { store: StorePlace; credentials: Pick<CredentialCalls, 'vault'> };
/** The same, with the snapshot that a job's lanes read or write. */
export type LaneUse = VaultUse & { snapshot: LaneSnapshot; credentials: CredentialCalls };

/** Threads that copy and prove blocks for all jobs of a process. */
export type LanePool = {
  backup(use: LaneUse): OpenLanes;
  restore(use: LaneUse): OpenRestoreLanes;
  verify(use: VaultUse): OpenVerifyLanes;
  stop(): Promise<void>;
};

/**
 * Ciphertext is allocated outside the heap, and freed with the young objects that hold it. A small young generation is collected
 * before so much of it gathers that the collector walks the whole heap.
 */
const RESOURCES = { maxYoungGenerationSizeMb: 8 };

/** A thread's share of what a process may ask: together its threads ask no more than one alone would. */
function shareOf(limits: WindowLimits, threads: number): WindowLimits {
  const part = (most: number) => Math.max(1, Math.floor(most / threads));
  return {
    floor: part(limits.floor),
    start: part(limits.start),
    ceiling: part(limits.ceiling),
    targetPerSec: limits.targetPerSec / threads,
  };
}

/**
 * A pool of `count` threads, begun with the first job. A job has a lane in every thread. A thread that ends fails the lanes it had
 * (Fault `unavailable`, tried again by the job's runner), and the next job finds another in its place.
 */
export function createLanePool(options: {
  region: Region;
  endpoints: Endpoints;
  count: number;
  limits?: WindowLimits;
}): LanePool {
  const { region, endpoints, count, limits = DEFAULT_LIMITS } = options;
  const threads = new Set<Thread>();

  function start(): Thread {
    const workerData: ThreadData = { region, endpoints, limits: shareOf(limits, count) };
    const thread = new Thread(new URL('thread.ts', import.meta.url), { workerData, resourceLimits: RESOURCES });
    threads.add(thread);
    thread.on('error', () => {}); // Its lanes hear of its end by their ports.
    thread.once('exit', () => threads.delete(thread));
    thread.unref();
    return thread;
  }

  function openIn(thread: Thread, work: LaneWork, { store, credentials }: VaultUse) {
    const [lane, asking] = [new MessageChannel(), new MessageChannel()];
    connectPort(asking.port1, credentials satisfies Calls);
    lane.port1.once('close', () => asking.port1.close());
    const job: LaneJob = { work, store, lane: lane.port2, credentials: asking.port2 };
    thread.postMessage(job, [lane.port2, asking.port2]);
    return lane.port1;
  }

  /** Ends a lane, and with it its connections, once nothing of it is under way. */
  const ending = <Lane extends { settle(): Promise<void> }>(lane: Lane, port: { close(): void }): Lane => ({
    ...lane,
    settle: () => lane.settle().finally(() => port.close()),
  });

  const all = () => {
    while (threads.size < count) start();
    return [...threads];
  };

  return {
    backup: (use) => async (run) => {
      const { snapshot } = use;
      const { cell, tenantId, volumeId, source } = run.scope;
      const scope = { cell, tenantId, volumeId };
      const { attempt, idKey, checkAll } = run;
      const order = { scope, attempt, idKey, checkAll };
      const packs = createOpenPacks(run);
      return all().map((thread) => {
        const port = openIn(thread, { kind: 'backup', order, blockBytes: source.blockBytes, snapshot }, use);
        return ending(connectLane(port, run, packs), port);
      });
    },
    restore: (use) => async (run) => {
      const { scope, idKey, blockBytes } = run;
      const { cell, tenantId, volumeId } = scope;
      const order = { scope: { cell, tenantId, volumeId }, idKey, blockBytes };
      return all().map((thread) => {
        const port = openIn(thread, { kind: 'restore', order, snapshot: use.snapshot }, use);
        return ending(connectRestoreLane(port, run), port);
      });
    },
    verify: (use) => async (run) => {
      const { scope, series } = run;
      const { cell, tenantId, volumeId } = scope;
      const order = { scope: { cell, tenantId, volumeId }, series };
      return all().map((thread) => {
        const port = openIn(thread, { kind: 'verify', order }, use);
        return ending(connectVerifyLane(port, run), port);
      });
    },
    stop: async () => void (await Promise.all([...threads].map((thread) => thread.terminate()))),
  };
}
