import type { MessagePort } from 'node:worker_threads';
import type { Region } from '../../../../regions/types.ts';
import type { AwsCredentials } from '../../../aws/data-clients.ts';
import type { Endpoints } from '../../../aws/endpoints.ts';
import type { StorePlace } from '../../../aws/s3-store.ts';
import type { RestoreOrder } from '../../../vault/restore-lane-port.ts';
import type { VerifyOrder } from '../../../vault/verify-lane-port.ts';
import type { ImageSource } from '../image-state.ts';

/** Where a vault lies, as data: a thread opens it for itself. */
export type VaultPlace =
  | { kind: 'folder'; base: string }
  | { kind: 'bucket'; region: Region; endpoints: Endpoints; place: StorePlace };

/** The file that a lane writes blocks to: `path` is the name that it has in the end. */
type LaneImage = { path: string; source: ImageSource };

export type LaneWork =
  | { kind: 'restore'; order: RestoreOrder; image: LaneImage }
  | { kind: 'verify'; order: VerifyOrder };

/** A lane to open. `lane` carries its work, `credentials` answers `CredentialCalls`. */
export type LaneJob = { work: LaneWork; place: VaultPlace; lane: MessagePort; credentials: MessagePort };

/** What the thread of the command answers: the user's AWS credentials of now. */
export type CredentialCalls = { vault(input: null): Promise<AwsCredentials> };
