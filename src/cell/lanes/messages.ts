import type { MessagePort } from 'node:worker_threads';
import type { Region } from '../../../regions/types.ts';
import type { AwsCredentials } from '../../aws/data-clients.ts';
import type { Endpoints } from '../../aws/endpoints.ts';
import type { WindowLimits } from '../../aws/lean/window.ts';
import type { StorePlace } from '../../aws/s3-store.ts';
import type { LaneOrder } from '../../vault/lane-port.ts';
import type { RestoreOrder } from '../../vault/restore-lane-port.ts';

/** What a thread knows from its start. `limits` is its share of what the process may ask of AWS. */
export type ThreadData = { region: Region; endpoints: Endpoints; limits: WindowLimits };

/** The snapshot that a lane reads or writes, and the part of the vault. */
export type LanePlace = { snapshot: { awsRegion: string; snapshotId: string }; store: StorePlace };

export type LaneWork =
  | { kind: 'backup'; order: LaneOrder; blockBytes: number }
  | { kind: 'restore'; order: RestoreOrder };

/** A lane to open. `lane` carries its work, `credentials` answers `CredentialCalls`. */
export type LaneJob = { work: LaneWork; place: LanePlace; lane: MessagePort; credentials: MessagePort };

/** What the thread of the job answers: credentials of now, for the customer's account and for the vault. */
export type CredentialCalls = {
  account(input: null): Promise<AwsCredentials>;
  vault(input: null): Promise<AwsCredentials>;
};
