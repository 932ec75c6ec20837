import type { MessagePort } from 'node:worker_threads';
import type { Region } from '../../../regions/types.ts';
import type { AwsCredentials } from '../../aws/data-clients.ts';
import type { Endpoints } from '../../aws/endpoints.ts';
import type { WindowLimits } from '../../aws/lean/window.ts';
import type { StorePlace } from '../../aws/s3-store.ts';
import type { LaneOrder } from '../../vault/lane-port.ts';
import type { RestoreOrder } from '../../vault/restore-lane-port.ts';
import type { VerifyOrder } from '../../vault/verify-lane-port.ts';

/** What a thread knows from its start. `limits` is its share of what the process may ask of AWS. */
export type ThreadData = { region: Region; endpoints: Endpoints; limits: WindowLimits };

/** The snapshot that a lane reads or writes. */
export type LaneSnapshot = { awsRegion: string; snapshotId: string };

export type LaneWork =
  | { kind: 'backup'; order: LaneOrder; blockBytes: number; snapshot: LaneSnapshot }
  | { kind: 'restore'; order: RestoreOrder; snapshot: LaneSnapshot }
  | { kind: 'verify'; order: VerifyOrder };

/** A lane to open, on a part of the vault. `lane` carries its work, `credentials` answers `CredentialCalls`. */
export type LaneJob = { work: LaneWork; store: StorePlace; lane: MessagePort; credentials: MessagePort };

/** What the thread of the job answers: credentials of now, for the customer's account (a verification has none) and for the vault. */
export type CredentialCalls = {
  account(input: null): Promise<AwsCredentials>;
  vault(input: null): Promise<AwsCredentials>;
};
