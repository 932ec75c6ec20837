import { Fault } from '../core/faults.ts';
import { type Calls, connectPort, type Port } from '../core/port-calls.ts';
import type { VolumeScope } from './layout.ts';
import { createPackReader } from './pack-reader.ts';
import { assertNotAborted, onAbort, type StopReason } from './pipeline.ts';
import type { BlobStore, BlockSink } from './ports.ts';
import type { RestoreStart } from './restore.ts';
import { createRestoreLane, type Place, type RestoreLane } from './restore-lane.ts';
import type { DataKeys } from './run-keys.ts';

/** What a restore lane in another thread is told when it is opened. Plain data: it is cloned. */
export type RestoreOrder = { scope: VolumeScope; idKey: Uint8Array; blockBytes: number };

type DataKeyRef = Parameters<DataKeys['dataKey']>[0];

/** What the thread of a lane answers. */
type LaneCalls = {
  write(span: readonly Place[]): Promise<Uint8Array>;
  settle(input: null): Promise<void>;
  stop(reason: StopReason): void;
};

/** What the thread of the restore answers: it alone uses the key service. */
type RestoreCalls = { dataKey(wanted: { ref: DataKeyRef; key: string }): Promise<Uint8Array> };

/** The lane's own end. `openSink` is told what ends the waiting of writes. */
export function serveRestoreLane(
  port: Port,
  order: RestoreOrder,
  parts: { store: BlobStore; openSink: (signal: AbortSignal) => Pick<BlockSink, 'put'> },
): void {
  const stopping = new AbortController();
  const ring: DataKeys = { dataKey: (ref, key) => call('dataKey', { ref, key }) };
  const lane = createRestoreLane({
    ...order,
    packs: createPackReader(parts, order.scope, ring),
    sink: parts.openSink(stopping.signal),
    assertGoingOn: () => assertNotAborted(stopping.signal),
  });
  const mine: LaneCalls = {
    write: (span) => lane.write(span),
    settle: () => lane.settle(),
    stop: ({ code, message }) => stopping.abort(new Fault(code, message)),
  };
  const call = connectPort<RestoreCalls>(port, mine satisfies Calls);
}

/** The restore's end of a lane in another thread. */
export function connectRestoreLane(port: Port, { ring, signal }: RestoreStart): RestoreLane {
  const mine: RestoreCalls = { dataKey: ({ ref, key }) => ring.dataKey(ref, key) };
  const call = connectPort<LaneCalls>(port, mine satisfies Calls);
  const deafen = onAbort(signal, ({ code, message }) => void call('stop', { code, message }).catch(() => {}));
  return {
    write: (span) => call('write', span),
    async settle() {
      deafen();
      await call('settle', null).catch(() => {}); // Of a thread that is gone nothing is under way.
    },
  };
}
