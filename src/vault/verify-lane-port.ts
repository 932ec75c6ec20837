import { type Calls, connectPort, type Port } from '../core/port-calls.ts';
import type { VolumeScope } from './layout.ts';
import type { BlobStore } from './ports.ts';
import type { DataKeys } from './run-keys.ts';
import type { VerifyStart } from './verify-bytes.ts';
import type { Series } from './verify-existence.ts';
import { createVerifyLane, type Verdict, type VerifyLane } from './verify-lane.ts';
import type { NeededObject } from './verify-table.ts';

/** What a lane of a verification in another thread is told when it is opened. Plain data: it is cloned. */
export type VerifyOrder = { scope: VolumeScope; series: readonly Series[] };

/** What the thread of a lane answers. */
type LaneCalls = {
  check(object: NeededObject): Promise<Verdict>;
  settle(input: null): Promise<void>;
};

/** What the thread of the verification answers: it alone uses the key service. */
type VerificationCalls = {
  dataKey(wanted: { ref: Parameters<DataKeys['dataKey']>[0]; key: string }): Promise<Uint8Array>;
};

/** The lane's own end. */
export function serveVerifyLane(port: Port, { scope, series }: VerifyOrder, { store }: { store: BlobStore }): void {
  const ring: DataKeys = { dataKey: (ref, key) => call('dataKey', { ref, key }) };
  const lane = createVerifyLane({ store, scope, ring, series });
  const mine: LaneCalls = { check: (object) => lane.check(object), settle: () => lane.settle() };
  const call = connectPort<VerificationCalls>(port, mine satisfies Calls);
}

/** The verification's end of a lane in another thread. */
export function connectVerifyLane(port: Port, { ring }: VerifyStart): VerifyLane {
  const mine: VerificationCalls = { dataKey: ({ ref, key }) => ring.dataKey(ref, key) };
  const call = connectPort<LaneCalls>(port, mine satisfies Calls);
  return {
    check: (object) => call('check', object),
    settle: () => call('settle', null).catch(() => {}), // Of a thread that is gone nothing is under way.
  };
}
