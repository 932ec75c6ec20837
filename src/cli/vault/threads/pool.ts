import { availableParallelism } from 'node:os';
import { MessageChannel, Worker as Thread } from 'node:worker_threads';
import { type Calls, connectPort } from '../../../core/port-calls.ts';
import type { OpenRestoreLanes } from '../../../vault/restore.ts';
import { connectRestoreLane } from '../../../vault/restore-lane-port.ts';
import type { OpenVerifyLanes } from '../../../vault/verify-bytes.ts';
import { connectVerifyLane } from '../../../vault/verify-lane-port.ts';
import type { ImageSource } from '../image-state.ts';
import type { CredentialCalls, LaneJob, LaneWork, VaultPlace } from './messages.ts';

/** Each takes some 180 MiB: two spans of blocks under way, sealed and open. */
const THREADS_DEFAULT = Math.min(4, availableParallelism());
/** What takes a thread longer to begin than to do. */
const BYTES_WORTH_IT = 256 * 2 ** 20;

/** How many threads a command uses: as it was told, else by what there is to do. 1: its own. */
export const threadsFor = (wanted: number | undefined, bytes: number): number =>
  wanted ?? (bytes < BYTES_WORTH_IT ? 1 : THREADS_DEFAULT);

/** Lanes end with their ports, and with them their connections and files. */
const ending = <Lane extends { settle(): Promise<void> }>(lane: Lane, port: { close(): void }): Lane => ({
  ...lane,
  settle: () => lane.settle().finally(() => port.close()),
});

/** Threads that read a vault for one command. `credentials` is asked when a thread needs them. */
export function openThreads(
  count: number,
  { place, credentials }: { place: VaultPlace; credentials: CredentialCalls['vault'] },
) {
  const threads = Array.from({ length: count }, () => {
    const thread = new Thread(new URL('thread.ts', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    thread.on('error', () => {}); // Its lanes hear of its end by their ports.
    return thread;
  });
  function openIn(thread: Thread, work: LaneWork) {
    const [lane, asking] = [new MessageChannel(), new MessageChannel()];
    connectPort(asking.port1, { vault: credentials } satisfies CredentialCalls satisfies Calls);
    lane.port1.once('close', () => asking.port1.close());
    const job: LaneJob = { work, place, lane: lane.port2, credentials: asking.port2 };
    thread.postMessage(job, [lane.port2, asking.port2]);
    return lane.port1;
  }
  return {
    restore:
      (image: { path: string; source: ImageSource }): OpenRestoreLanes =>
      async (run) => {
        const { scope, idKey, blockBytes } = run;
        const { cell, tenantId, volumeId } = scope;
        const order = { scope: { cell, tenantId, volumeId }, idKey, blockBytes };
        return threads.map((thread) => {
          const port = openIn(thread, { kind: 'restore', order, image });
          return ending(connectRestoreLane(port, run), port);
        });
      },
    verify: (async (run) => {
      const { scope, series } = run;
      const { cell, tenantId, volumeId } = scope;
      return threads.map((thread) => {
        const port = openIn(thread, { kind: 'verify', order: { scope: { cell, tenantId, volumeId }, series } });
        return ending(connectVerifyLane(port, run), port);
      });
    }) satisfies OpenVerifyLanes,
    stop: async () => void (await Promise.all(threads.map((thread) => thread.terminate()))),
  };
}
